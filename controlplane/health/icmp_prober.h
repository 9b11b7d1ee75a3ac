// A probe that succeeds when an echo request is answered (RFC 792, RFC 4443 section 4).
//
// It takes a ping socket where net.ipv4.ping_group_range allows one, else a raw one (CAP_NET_RAW). Neither allowed:
// unknown. An answer is ours by its identifier, sequence and 64 random bits.
#pragma once

#include "controlplane/health/attempt.h"
#include "controlplane/health/random.h"

namespace headgate::health {

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class IcmpProber : public Prober {
 public:
  IcmpProber(asio::io_context& io, Done done, std::uint64_t seed) : io_(io), done_(std::move(done)), random_(seed) {}
  void start(std::uint64_t probe, const Target& target) override;

 private:
  asio::io_context& io_;
  Done done_;
  Random random_;
};

}  // namespace headgate::health
