// Active open (RFC 9293 3.10.1, 3.10.7.3), and what both sides of a handshake agree on.
#pragma once

#include <optional>

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

// What a peer said in its SYN, whether it came just now, out of the SYN table or out of a cookie.
struct PeerOffer {
  std::uint16_t mss = 0;  // 0 = no option
  bool scaling = false, timestamps = false, sack = false, ecn = false;
  std::uint8_t scale = 0;
  std::uint32_t ts_value = 0;
};
PeerOffer offer_of(const Segment& s);
// Takes what both sides want. Sets segment size, scales, options and the windows that follow from them.
void agree(Core& k, Connection& c, const PeerOffer& offer);

// Sends a SYN. `local_port` 0: one of `ports`. Null when there is no free port, connection or memory.
Connection* connect(Core& k, const IpAddress& local, const IpAddress& remote, std::uint16_t remote_port,
                    std::uint8_t profile, const PortSet& ports);
// A segment for a connection in SYN-SENT.
void answer_to_syn(Core& k, Connection& c, const Segment& s);

}  // namespace headgate::tcp
