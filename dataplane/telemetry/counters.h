// Counters with one writer, the worker, and any number of readers: relaxed atomics, plain add instructions, no locks.
// Readers see each counter exactly, not all of them at one instant.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

#include "dataplane/base/ids.h"
#include "dataplane/telemetry/exits.h"

namespace headgate::telemetry {

class Counter {
 public:
  void add(std::uint64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

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

// A fixed array whose pages become memory when first touched.
template <class T>
class CounterArray {
 public:
  explicit CounterArray(std::size_t size) : size_(size), items_(std::make_unique<T[]>(size)) {}
  T& operator[](std::size_t i) { return items_[i]; }
  const T& operator[](std::size_t i) const { return items_[i]; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::unique_ptr<T[]> items_;
};

inline constexpr std::size_t kSteeredPorts = 64;
inline constexpr unsigned kBatchClasses = 8;  // 0, 1, 2-3, 4-7, 8-15, 16-31, 32-63, 64 and more

struct WorkerCounters {
  WorkerCounters(std::size_t services, std::size_t backends)
      : service(services), backend(backends), service_refused(services), conduct(backends) {}

  std::array<Counter, kDropReasons> drops;
  std::array<Counter, kDropReasons> answers;  // not forwarded either: the sender got a RST or an ICMP error, and why
  std::array<Counter, kExits> exits;
  std::array<Counter, kHandovers> handovers;
  std::array<Counter, kBatchClasses> batches;
  Counter steps, busy_steps, busy_ns, sleeps, flows_now, flows_shed, tx_dropped, neighbors_now, fragments_now;
  // Per port: did the NIC put packets on their owner's queue? All of the first 1,000 looked at, then 1 in 4,096.
  struct Steering {
    Counter matched, missed;
  };
  std::array<Steering, kSteeredPorts> steering;
  CounterArray<Traffic> service, backend;  // by slot; a pool's traffic is the sum over its backends
  CounterArray<Refusals> service_refused;  // by service slot
  CounterArray<BackendConduct> conduct;    // by backend slot

  static unsigned batch_class(std::size_t n) {
    return n == 0 ? 0 : std::min<unsigned>(kBatchClasses - 1, static_cast<unsigned>(std::bit_width(n)));
  }
};

}  // namespace headgate::telemetry
