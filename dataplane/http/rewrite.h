// The heads that go on: requests to backends, responses to clients. What is not changed is not copied.
//
// Always written anew: the version (ours, RFC 9110 2.5), Connection, Transfer-Encoding, TE, Upgrade, Max-Forwards, and
// who the client is. Left out: what is hop by hop, the persistence cookie of our own, what rules remove.
#pragma once

#include <string_view>

#include "dataplane/http/forwarded.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/head_writer.h"
#include "dataplane/http/header_rules.h"

namespace headgate::http {

struct RequestRewrite {
  const ForwardedOptions* forwarded = nullptr;  // borrowed, not null
  const HeaderRules* rules = nullptr;           // null: none
  std::string_view path{};                      // to be sent: NormalPath::forward, or what a route made of it
  std::string_view cookie{};                    // name of the persistence cookie, which the backend does not see
  std::string_view via{};                       // "1.1 headgate", RFC 9110 7.6.3; empty: none
  bool close = false;                           // the backend is told that this is the only request
};

// `buffer`: what `head` was parsed from. Requires: head complete, and not one whose max_forwards is 0.
// writer.reason(): head_not_writable or unsafe_value when it could not be done; nothing is to be sent then.
void write_request(const RequestRewrite& rewrite, const RequestContext& context, std::string_view buffer,
                   const RequestHead& head, HeadWriter& writer);

struct ResponseRewrite {
  ResponsePlan plan{};
  const HeaderRules* rules = nullptr;  // null: none
  std::string_view set_cookie{};       // whole lines, of write_set_cookie(); empty: none
  std::string_view via{};
  std::string_view date{};     // IMF-fixdate, for responses without one (RFC 9110 6.6.1); empty: none
  bool client_http10 = false;  // which is told that the connection is kept
};

// The final response. Interim ones: write_interim().
void write_response(const ResponseRewrite& rewrite, const RequestContext& context, std::string_view buffer,
                    const ResponseHead& head, HeadWriter& writer);

// 100, 102, 103 and the like: as they came, without what is hop by hop. Requires: head.interim(), and a client of
// HTTP/1.1 (RFC 9110 15.2: older ones know none).
void write_interim(std::string_view buffer, const ResponseHead& head, HeadWriter& writer);

}  // namespace headgate::http
