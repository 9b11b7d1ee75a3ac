// Who the client is, told to the backend: X-Forwarded-For, -Proto, -Port, -Host and Forwarded (RFC 7239).
//
// What came in under these names, and under X-Real-IP, is believed only from trusted peers, other proxies of the same
// house: theirs is extended (-For, Forwarded) or kept (the others). From anybody else it is left out, also when the
// field is not written anew: a client must not be able to say who it is.
#pragma once

#include <vector>

#include "dataplane/base/ip.h"
#include "dataplane/http/header_rules.h"
#include "dataplane/http/message.h"

namespace headgate::http {

struct ForwardedOptions {
  bool x_forwarded_for = true, x_forwarded_proto = true, x_forwarded_port = false, x_forwarded_host = false;
  bool forwarded = false;
  std::vector<IpPrefix> trusted;

  bool trusts(const IpAddress& peer) const;
};

// Whether a received field of this name is left out because write_forwarded() writes or withholds it.
bool replaces_forwarded(const ForwardedOptions& options, bool trusted, const RequestHead& head, FieldName name);

// trusted: options.trusts() of the peer.
void write_forwarded(const ForwardedOptions& options, bool trusted, std::string_view buffer, const RequestHead& head,
                     const RequestContext& context, HeadWriter& writer);

// The client as far as trust reaches: the last address of X-Forwarded-For that is not itself trusted, where the peer
// is; the peer else, or when what stands there is no address. For logs, limits and persistence.
IpAddress effective_client(const ForwardedOptions& options, std::string_view buffer, const RequestHead& head,
                           const IpAddress& peer);

}  // namespace headgate::http
