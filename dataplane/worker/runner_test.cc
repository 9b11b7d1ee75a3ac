// What a runner does between a worker's step and the driver.
#include "dataplane/worker/runner.h"

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "dataplane/snapshot/testing.h"
#include "drivers/port/port.h"

namespace headgate::worker {
namespace {

// Ordinary memory, no devices, nothing on disk.
rte_mempool* start_dpdk() {
  static rte_mempool* const pool = [] {
    static std::vector<std::string> arguments{"test", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
                                              "-m",   "128",       "--lcores",    "0"};
    static std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    rte_log_set_global_level(RTE_LOG_ERR);
    HEADGATE_CHECK(rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0);
    return rte_pktmbuf_pool_create("test", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  }();
  return pool;
}

// The runner asks for the time before it begins, before it looks at its queues, before the step, and before it sends:
// there the clock may jump, as when the process is stopped between. Afterwards the runner is stopped.
class JumpingClock final : public Clock {
 public:
  explicit JumpingClock(Nanos jump) : jump_(jump) {}
  Nanos now() const override {
    ++asked_;
    if (asked_ > 3 && runner != nullptr) runner->stop();
    return kSecond + (asked_ > 3 ? jump_ : 0);
  }
  Runner* runner = nullptr;

 private:
  const Nanos jump_;
  mutable unsigned asked_ = 0;
};

struct Sent {
  std::uint64_t frames = 0, stopped_by_lease = 0;
};

// One step of a box whose group has this much of its lease left, which makes it announce the group's address; then
// this time passes before the frames are given to the driver.
Sent sent_after(Nanos lease, Nanos passes) {
  rte_mempool* pool = start_dpdk();
  snapshot::testing::Source source({"p0"});
  const auto snapshot = source.accept(R"(
      interface { id: 1 name: "front" port: "p0" prefix: "192.0.2.0/24" }
      pool { id: 1 name: "web" algorithm: ROUND_ROBIN backend { id: 1 name: "w" address: "192.0.2.21" weight: 1 } }
      service { id: 1 name: "web" address: "192.0.2.100" port: 80 protocol: TCP mode: NAT pool_id: 1 group_id: 7 }
      failover { group { id: 7 name: "site" priority: 200 interval_ms: 100
                 router { interface_id: 1 vrid: 51 source: "192.0.2.11" address: "192.0.2.100" } } })");
  const auto port = *port::Port::open(*port::parse_port_spec("x=null"), std::span(&pool, 1), {});
  const Steering steering(kDefaultRssKey, {});
  Mailboxes mailboxes(1);
  balance::LimitBoard limits(1, snapshot::kBackendSlots);
  balance::LoadBoard loads(1, snapshot::kBackendSlots);
  FailoverLink failover;
  snapshot::Publisher publisher(1);
  publisher.publish(snapshot);
  Worker worker({.flows = 1024, .ports = {{.mac = port->mac()}}, .pool = pool},
                {.steering = steering, .mailboxes = mailboxes, .limits = limits, .loads = loads, .failover = &failover},
                publisher.reader(0));
  failover.leases.set(snapshot->groups.at(0).slot, kSecond + lease);
  JumpingClock clock(passes);
  Waker waker;
  Runner runner(worker, publisher.reader(0), {port.get()}, {&waker}, Idle::poll, clock, &failover);
  clock.runner = &runner;
  runner.run();
  const auto& drops = worker.counters().drops;
  return {.frames = port->stats().tx_frames,
          .stopped_by_lease = drops[static_cast<unsigned>(telemetry::DropReason::lease_ended)].read()};
}

TEST(Runner, NothingIsGivenToTheDriverForALeaseThatEndedSinceTheStep) {
  const Sent within = sent_after(kMillisecond, kMillisecond - 1);
  EXPECT_GT(within.frames, 0u);
  EXPECT_EQ(within.stopped_by_lease, 0u);
  const Sent ended = sent_after(kMillisecond, kMillisecond);
  EXPECT_EQ(ended.stopped_by_lease, within.frames) << "at the very nanosecond";
  EXPECT_EQ(ended.frames, 0u);
}

}  // namespace
}  // namespace headgate::worker
