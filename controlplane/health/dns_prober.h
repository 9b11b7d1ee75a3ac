// A probe by one DNS question over UDP, with recursion asked for, under a random id.
#pragma once

#include "controlplane/health/attempt.h"
#include "controlplane/health/random.h"

namespace headgate::health {

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class DnsProber : public Prober {
 public:
  DnsProber(asio::io_context& io, Done done, std::uint64_t seed) : io_(io), done_(std::move(done)), random_(seed) {}
  void start(std::uint64_t probe, const Target& target) override;  // Requires: a DnsCheck

 private:
  asio::io_context& io_;
  Done done_;
  Random random_;
};

}  // namespace headgate::health
