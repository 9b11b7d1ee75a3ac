// The box as the API sees it: ports, fleet, snapshots, steering of shared interfaces. One per process; control threads
// only.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/app/election.h"
#include "dataplane/app/fleet.h"
#include "dataplane/app/keeper.h"
#include "dataplane/app/session_stats.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/telemetry/counters.h"

namespace headgate::app {

struct BoxPort {
  std::unique_ptr<port::Port> port;
  std::string name;
  std::uint16_t exception = snapshot::kNone, physical = snapshot::kNone;
};

struct BusyTimes {
  std::chrono::steady_clock::time_point at;
  std::vector<std::uint64_t> workers;  // ns
};

class Box {
 public:
  Box(std::vector<BoxPort> ports, std::unique_ptr<Fleet> fleet, rte_mempool* pool, const std::string& state_dir,
      std::uint64_t seed);
  ~Box();

  // Checks, steers, publishes, waits until every worker runs it, keeps it on disk. One at a time. What does not work
  // although the snapshot runs is a warning in the reply, and tried again by tend().
  dataplane::v1::ApplyReply apply(const dataplane::v1::Snapshot& message);
  // Changes backends' states on top of what runs; waits until every worker runs it. It reaches the disk a little later.
  dataplane::v1::StateReply update_state(const dataplane::v1::StateUpdate& message);
  // The kept snapshot of an earlier life; nothing when there is none. A damaged file is said in the log and ignored.
  void start_from_kept();

  void running(dataplane::v1::RunningReply& reply) const;
  // For how long each worker was busy until now.
  BusyTimes busy() const;
  // The busy share is of the time since `since`, which is set to what was read now.
  void stats(dataplane::v1::StatsReply& reply, BusyTimes& since) const;
  // Periodic care: frees old snapshots and slots, follows the kernel's addresses and the ports' links, tries again what
  // failed around the last snapshot.
  void tend();

  Election& election() { return *election_; }
  void log_election();  // what it had to say since the last call
  Fleet& fleet() { return *fleet_; }
  const Fleet& fleet() const { return *fleet_; }
  const std::vector<BoxPort>& ports() const { return ports_; }
  std::shared_ptr<const snapshot::Snapshot> current() const;
  // Index of a port by name, or kNone.
  std::uint16_t port_index(const std::string& name) const;

 private:
  using Refused = std::array<std::uint64_t, telemetry::kRefusals.size() + 1>;
  using Conduct = std::array<std::uint64_t, 3>;  // connects, failures, resets
  struct Base {                                  // what a slot's counters stood at when its present id got it
    std::uint32_t id = 0;
    std::array<std::uint64_t, 6> traffic{};
    Refused refused{};         // services only
    Conduct conduct{};         // backends only
    SessionTotals sessions{};  // services only
  };
  struct Link {
    bool up = false;
    std::uint32_t changes = 0;
  };
  using Troubles = std::vector<dataplane::v1::SnapshotError>;
  // Everything a snapshot needs beside the workers; what failed.
  Troubles settle(const snapshot::Snapshot& snapshot);
  void steer(const snapshot::Snapshot& snapshot, Troubles& troubles);
  void check_mtus(const snapshot::Snapshot& snapshot, Troubles& troubles) const;
  void log_changes(const Troubles& now);
  void watch_links();
  void set_bases(const snapshot::Snapshot& snapshot);
  void release_slots();
  std::array<std::uint64_t, 6> sum(bool service, Slot slot) const;
  Refused refused(Slot service) const;
  Conduct conduct(Slot backend) const;
  std::uint64_t local_ports(Slot local) const;  // in use, all workers
  void fill_service(dataplane::v1::ServiceStats* out, const snapshot::Service& service) const;
  void fill_gauges(dataplane::v1::StatsReply& reply) const;
  void configure_probe_device(Troubles& troubles);
  // Publishes and waits; what is not as it should be although it runs.
  Troubles switch_to(std::shared_ptr<const snapshot::Snapshot> next);

  std::vector<BoxPort> ports_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Election> election_;  // ends before the fleet, by which it resigns
  rte_mempool* pool_;
  const std::uint64_t seed_;
  std::vector<std::string> port_names_;

  mutable std::mutex mutex_;  // everything below, and publishing
  snapshot::SlotTable slots_;
  std::shared_ptr<const dataplane::v1::Snapshot> message_;  // the last whole one
  std::vector<Base> service_base_, backend_base_;
  std::string probe_configured_;
  Troubles troubles_;        // of the running snapshot
  std::vector<Link> links_;  // as last logged, by port
  Keeper keeper_;
};

}  // namespace headgate::app
