// A probe by a program of the operator: healthy when it ends with 0 in time.
//
// No shell. Arguments as configured; the environment is PATH and what is probed: HEADGATE_ADDRESS, HEADGATE_PORT (as a
// socket of this box reaches the backend: along the path that is a probe address), HEADGATE_BACKEND, HEADGATE_POOL.
// Standard input is empty; the first line of its output is the cause of a failure. It leads a process group, which is
// killed at the time limit. At most kProgramsMax run at once, others wait, within their own time limit. A program that
// cannot be started says nothing about a backend: unknown.
//
// Starting one blocks the event loop until the kernel has loaded the program (posix_spawn): about half a millisecond.
#pragma once

#include <deque>
#include <memory>

#include "controlplane/health/attempt.h"

namespace headgate::health {

inline constexpr unsigned kProgramsMax = 32;
inline constexpr std::size_t kOutputKept = 1024;
inline constexpr std::size_t kOutputMax = 64 * 1024;  // a program that writes more has failed

class ExternalAttempt;

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class ExternalProber : public Prober {
 public:
  ExternalProber(asio::io_context& io, Done done) : io_(io), done_(std::move(done)) {}
  void start(std::uint64_t probe, const Target& target) override;  // Requires: an ExternalCheck

 private:
  friend class ExternalAttempt;
  void ended();  // a program: the next one may run

  asio::io_context& io_;
  Done done_;
  unsigned running_ = 0;
  std::deque<std::shared_ptr<ExternalAttempt>> waiting_;
};

}  // namespace headgate::health
