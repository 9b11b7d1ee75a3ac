// A probe that succeeds when a datagram is answered as expected. A closed port answers by ICMP: a failure at once.
#pragma once

#include "controlplane/health/attempt.h"

namespace headgate::health {

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class UdpProber : public Prober {
 public:
  UdpProber(asio::io_context& io, Done done) : io_(io), done_(std::move(done)) {}
  void start(std::uint64_t probe, const Target& target) override;  // Requires: an UdpCheck

 private:
  asio::io_context& io_;
  Done done_;
};

}  // namespace headgate::health
