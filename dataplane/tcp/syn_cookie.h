// SYN cookies (RFC 4987 3.6): a whole half-open connection in the sequence number of our SYN-ACK. 24 bits of SipHash
// over tuple, client's sequence number, epoch and the rest, then 8 bits: parity of the epoch, SACK, index of the window
// scale, index of the MSS. Timestamps need no bit: a client that echoes one was offered them.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/base/siphash.h"
#include "dataplane/base/time.h"
#include "dataplane/tcp/seqnum.h"

namespace headgate::tcp {

struct CookieValues {
  std::uint16_t mss = 0;
  std::uint8_t scale = 0;
  bool scaling = false, sack = false;
};

// `tuple`: src is ours. `irs`: the client's initial sequence number. Values are rounded down to what a cookie can hold.
Seq make_cookie(const SipKey& key, const Tuple& tuple, Seq irs, const CookieValues& values, Nanos now);
// `cookie`: what the client acknowledged, less one. Nothing unless made within the last two epochs (kCookieEpoch).
std::optional<CookieValues> read_cookie(const SipKey& key, const Tuple& tuple, Seq irs, Seq cookie, Nanos now);

}  // namespace headgate::tcp
