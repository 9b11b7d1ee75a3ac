// A probe that succeeds when a TCP connection is accepted.
//
// It closes with a reset (SO_LINGER 0), not with a FIN. A FIN would leave a TIME_WAIT here for a minute after every
// probe (30,000 for 1,000 backends probed every 2 s) and keep the probe's flow in the dataplane until both FINs are
// seen; a reset frees all three ends at once. Servers log neither at their default level: to nginx it is an empty
// connection, to sshd "Connection reset" instead of "Connection closed"; MariaDB counts an aborted connect either way.
//
// What the kernel refuses on this box (no descriptor, no route, no address, no permission) is no failure of the
// backend: unknown. ENETUNREACH and EACCES may also come from a router's ICMP error; a backend behind such a router
// stays as it was, and the log says so. EHOSTUNREACH is a failure: nobody answered ARP for the backend.
#pragma once

#include <asio/io_context.hpp>
#include <functional>

#include "controlplane/health/scheduler.h"

namespace headgate::health {

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class TcpProber : public Prober {
 public:
  using Done = std::function<void(std::uint64_t probe, const Outcome& outcome)>;
  TcpProber(asio::io_context& io, Done done) : io_(io), done_(std::move(done)) {}
  void start(std::uint64_t probe, const Target& target) override;

 private:
  asio::io_context& io_;
  Done done_;
};

}  // namespace headgate::health
