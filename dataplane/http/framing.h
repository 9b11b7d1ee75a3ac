// Fields that decide where messages end and what is forwarded: Content-Length, Transfer-Encoding, Connection (RFC 9112
// 6 and 9, RFC 9110 7.6.1). What is not plain is refused: two readers who disagree here can be made to see different
// requests in one connection.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/http/message.h"

namespace headgate::http {

// Digits only, at most 2^63 - 1. A list of equal numbers is refused, too: RFC 9110 8.6 leaves the choice between that
// and a merge, and a sender that repeats itself here has put two messages together.
Reason read_content_length(std::string_view value, std::uint64_t& length);

// none: exactly "chunked". Lists with empty members are refused although RFC 9110 5.6.1.2 lets recipients ignore them:
// servers were seen to take ",chunked" for an unknown coding.
Reason read_transfer_encoding(std::string_view value);

// Framing of the body by both fields: sets head.body (none, length or chunked) and head.content_length; `none` when
// there is neither.
Reason read_body_framing(std::string_view buffer, Head& head);

// Reads every Connection field into head.connection and marks as `hop` what they name. Names of fields that are meant
// for everybody (credentials, cookies, who the client is) are not taken for hop by hop: a client must not be able to
// remove what another proxy said of it. Host, Content-Length and Transfer-Encoding are refused there. Empty members are
// ignored.
Reason read_connection(std::string_view buffer, Head& head);

// Marks fields that are hop by hop whatever Connection says: Connection itself, Keep-Alive, Proxy-Connection, TE,
// Transfer-Encoding, Upgrade, HTTP2-Settings. Called by the parsers; what is forwarded of them is written anew.
void mark_hop_by_hop(Head& head);

// RFC 9112 9.3: the sender of this head is willing to keep the connection.
bool wants_keep_alive(const Head& head);

// The one protocol of all Upgrade fields. Nothing (and nothing wrong) when there are none or several.
Slice read_upgrade(std::string_view buffer, const Head& head);

// Whether a comma-separated list has this member; case does not matter.
bool lists(std::string_view list, std::string_view member);

// -- What is done with a response for a client
// --------------------------------------------------------------------------

// What the proxy knows of the request when its response comes.
struct Exchange {
  Method method = Method::get;
  std::uint8_t client_minor_version = 1;
  bool client_keep_alive = true;  // the client is willing and the proxy is, too
  bool request_body_done = true;  // all of the request's body was read from the client and sent to the backend
  bool trailers_welcome = false;
  std::string_view upgrade{};  // the protocol that was forwarded; empty: none
};

// How the response goes on to the client, and what becomes of both connections when it is through.
struct ResponsePlan {
  BodyKind body = BodyKind::none;  // towards the client; chunked where the backend closed or chunked, if it may be
  bool keep_client = false;        // false: Connection: close, and close
  bool keep_backend = false;       // may be used again, if nothing comes behind the response
  bool trailers = false;           // may be forwarded
  bool tunnel = false;             // 101: both connections carry something else from here
};
ResponsePlan plan_response(const ResponseHead& head, const Exchange& exchange);

}  // namespace headgate::http
