// Asks an agent on the server: connects, sends what is to be sent, reads one line (at most 1 KiB). The line is the
// outcome's `answer`; parse_agent_reply() reads it. A line that it cannot read is a failure.
#pragma once

#include "controlplane/health/attempt.h"

namespace headgate::health {

inline constexpr std::size_t kAgentBytesMax = 1024;

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class AgentProber : public Prober {
 public:
  AgentProber(asio::io_context& io, Done done) : io_(io), done_(std::move(done)) {}
  void start(std::uint64_t probe, const Target& target) override;  // Requires: an AgentCheck

 private:
  asio::io_context& io_;
  Done done_;
};

}  // namespace headgate::health
