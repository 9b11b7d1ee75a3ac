// What is derived from the secret of a boot: initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 7.1),
// names in TIME_WAIT. Each purpose has a key of its own.
#pragma once

#include "dataplane/base/siphash.h"
#include "dataplane/base/time.h"
#include "dataplane/tcp/seqnum.h"
#include "dataplane/tcp/timers.h"

namespace headgate::tcp {

class Secrets {
 public:
  explicit Secrets(const SipKey& secret)
      : isn_(derive(secret, 1)),
        timestamps_(derive(secret, 2)),
        names_(derive(secret, 3)),
        ports_(derive(secret, 4)),
        cookies_(derive(secret, 5)) {}

  // `tuple`: src is ours. The clock of 4 us keeps numbers of one tuple ahead of its last connection's.
  Seq initial_sequence(const Tuple& tuple, Nanos now) const {
    return {static_cast<std::uint32_t>(siphash(isn_, tuple, 0) + now / (4 * kMicrosecond))};
  }
  // Added to the millisecond clock. Equal for all ports of two addresses, so that a peer in TIME_WAIT sees time go on.
  std::uint32_t timestamp_offset(const Tuple& tuple) const {
    return static_cast<std::uint32_t>(siphash(timestamps_, {tuple.src, tuple.dst, 0, 0, 0}, 0));
  }
  std::uint64_t name(const Tuple& tuple) const { return siphash(names_, tuple, 0); }
  const SipKey& ports() const { return ports_; }
  const SipKey& cookies() const { return cookies_; }

 private:
  static SipKey derive(const SipKey& secret, std::uint64_t purpose) {
    const std::uint64_t a[] = {purpose, 0}, b[] = {purpose, 1};
    return {siphash(secret, a), siphash(secret, b)};
  }
  SipKey isn_, timestamps_, names_, ports_, cookies_;
};

}  // namespace headgate::tcp
