// All that a worker counts (counter.h has the rule of it).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/base/ids.h"
#include "dataplane/telemetry/counter.h"
#include "dataplane/telemetry/engine_counters.h"
#include "dataplane/telemetry/exits.h"
#include "dataplane/telemetry/session_counters.h"

namespace headgate::telemetry {

// From the client's point of view: in = towards the backend, out = towards the client.
struct Traffic {
  Counter packets_in, bytes_in, packets_out, bytes_out, flows_started, flows_ended;
};

// How a backend treats clients' TCP connections, where its answers pass here (full_nat, nat). Written when a flow
// opens, fails to, or is reset.
struct BackendConduct {
  Counter connects;          // handshakes answered with a SYN-ACK
  Counter connect_failures;  // not answered: a RST, or nothing until the client tried again or the flow expired
  Counter resets;            // RST on an established flow that neither side had closed
};

// Why a service refused a new flow or a segment of none: the drop reasons that can occur there.
inline constexpr std::array kRefusals{DropReason::no_backend,       DropReason::backend_limit,
                                      DropReason::no_flow,          DropReason::flow_conflict,
                                      DropReason::flow_table_full,  DropReason::local_ports_exhausted,
                                      DropReason::no_local_address, DropReason::no_route};
struct Refusals {
  std::array<Counter, kRefusals.size() + 1> by_reason;  // in the order of kRefusals; the last: any other
  void add(DropReason reason) {
    std::size_t i = 0;
    while (i < kRefusals.size() && kRefusals[i] != reason) ++i;
    by_reason[i].add(1);
  }
};

inline constexpr std::size_t kSteeredPorts = 64;
inline constexpr unsigned kBatchClasses = 8;  // 0, 1, 2-3, 4-7, 8-15, 16-31, 32-63, 64 and more

struct WorkerCounters {
  WorkerCounters(std::size_t services, std::size_t backends)
      : service(services),
        backend(backends),
        service_refused(services),
        conduct(backends),
        sessions(services),
        http(services) {}

  std::array<Counter, kDropReasons> drops;
  std::array<Counter, kDropReasons> answers;  // not forwarded either: the sender got a RST or an ICMP error, and why
  std::array<Counter, kExits> exits;
  std::array<Counter, kHandovers> handovers;
  std::array<Counter, kBatchClasses> batches;
  Counter steps, busy_steps, busy_ns, sleeps, flows_now, flows_shed, tx_dropped, neighbors_now, fragments_now;
  std::array<Counter, kEngineCounters> engine;  // copies, see engine_counters.h
  Counter connections_now, sessions_now, half_open_now, time_waits_now, tcp_memory_now;
  Counter http_requests_now, http_idle_links_now;  // under way; connections to backends that wait for a request
  // Per port: did the NIC put packets on their owner's queue? All of the first 1,000 looked at, then 1 in 4,096.
  struct Steering {
    Counter matched, missed;
  };
  std::array<Steering, kSteeredPorts> steering;
  CounterArray<Traffic> service, backend;   // by slot; a pool's traffic is the sum over its backends
  CounterArray<Refusals> service_refused;   // by service slot
  CounterArray<BackendConduct> conduct;     // by backend slot
  SparseCounters<SessionConduct> sessions;  // by service slot, proxied ones
  SparseCounters<HttpConduct> http;         // by service slot, HTTP

  static unsigned batch_class(std::size_t n) {
    return n == 0 ? 0 : std::min<unsigned>(kBatchClasses - 1, static_cast<unsigned>(std::bit_width(n)));
  }
};

}  // namespace headgate::telemetry
