// The thread that elects: the state machines of all groups (vrrp/group.h), on a thread of its own above the workers in
// priority and with locked memory, so that no load of the box makes it late. It shares the fate of forwarding: adverts
// leave by worker 0, and only while every worker makes progress; a process that stops falls silent as a whole.
//
//   worker 0 --in, accepted--> this thread --out--> worker 0          (FailoverLink: rings)
//                              this thread --leases--> every worker   (LeaseBoard)
//   API threads <--> this thread: a mutex with priority inheritance. describe() holds it longest: while it writes all
//                                 that it says of the groups and their last changes
//
// Thread rule: everything public from control threads.
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/app/fleet.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/vrrp/group.h"

namespace headgate::app {

// Who holds it is never behind a thread of lower priority: with a plain mutex an API thread that lost its core while
// holding it would make adverts late.
class InheritingMutex {
 public:
  InheritingMutex();
  ~InheritingMutex();
  InheritingMutex(const InheritingMutex&) = delete;
  InheritingMutex& operator=(const InheritingMutex&) = delete;
  void lock();
  void unlock();

 private:
  pthread_mutex_t mutex_;
};

class Election {
 public:
  static constexpr std::size_t kChangesKept = 32;  // of one group's roles, for people
  static constexpr std::size_t kLogMax = 256;
  static constexpr int kPriority = 60, kWorkerPriority = 50;  // SCHED_FIFO
  static constexpr Nanos kLinkInterval = 50 * kMillisecond;   // between looks at the ports' links and backups' workers
  static constexpr Nanos kAnswerTime = 5 * kMillisecond;      // of a worker that was woken to prove its progress

  // `fleet` and `ports` are borrowed and outlive it; ports by index.
  Election(Fleet& fleet, std::vector<port::Port*> ports);
  ~Election() { stop(); }
  Election(const Election&) = delete;
  Election& operator=(const Election&) = delete;

  // Resigns what is active, which takes some milliseconds while workers still run, then ends the thread. Once.
  void stop();

  // A snapshot whose workers run it: its groups. Those that stay keep their role.
  void configure(const snapshot::Snapshot& snapshot);
  // The control plane's word, which renews the control lease.
  void input(const dataplane::v1::FailoverInput& input);
  void describe(dataplane::v1::FailoverState& state);
  // What happened since the last call, to be logged. Not by this thread: a log that nobody reads would hold it.
  std::vector<std::string> take_log();
  // Counts what is worth telling, changes of roles and leases that come back; waits until it differs from `seen`,
  // `timeout` at most, and returns it.
  std::uint32_t wait_for_change(std::uint32_t seen, std::chrono::milliseconds timeout);

 private:
  struct Change {
    std::uint64_t number = 0;
    Nanos at = 0;
    vrrp::Role from = vrrp::Role::starting, to = vrrp::Role::starting;
    std::string cause;
    std::uint64_t epoch = 0;
  };
  struct Router {
    std::uint16_t port = snapshot::kNone, vlan = 0;
    std::string interface;
  };
  struct Entry {
    explicit Entry(vrrp::GroupConfig config, Nanos now) : group(std::move(config), now) {}
    vrrp::Group group;
    vrrp::Input input;
    snapshot::GroupSlot slot = snapshot::kNoGroup;
    bool virtual_mac = true;
    std::vector<Router> routers;
    std::vector<std::uint64_t> steps;  // of each worker when its last advert was due; not active: when last asked
    Nanos asked_at = 0;                // not active: for progress
    bool proven = false;               // until then
    vrrp::Role role = vrrp::Role::starting;
    bool leased = false;  // when we last looked: a lease that comes back is to be told at once
    std::deque<Change> changes;
  };

  void run();
  void become_realtime();
  void drain();
  void take(const worker::AdvertIn& in);
  void catch_up();
  void tend_links(Nanos now);
  void tend(Entry& entry, Nanos now);
  void act(Entry& entry, Nanos now);
  void send(Entry& entry, const vrrp::Action& action, Nanos now);
  void push(const worker::AdvertOut& out);
  void log(std::string line);
  void note_role(Entry& entry, Nanos now);
  void ask_for_progress(Nanos now);
  bool proven(const Entry& entry, Nanos now) const;
  bool progressed(const Entry& entry) const;
  void remember_steps(Entry& entry) const;
  vrrp::Input in_force(const Entry& entry) const;
  void set_control(bool alive, Nanos now);
  Entry* find(std::uint32_t id);
  void fill(const Entry& entry, dataplane::v1::GroupState& out, Nanos now) const;
  void raise_workers();
  Nanos next_deadline() const;

  Fleet& fleet_;
  std::vector<port::Port*> ports_;
  const Clock& clock_;
  worker::FailoverLink& link_;

  InheritingMutex mutex_;  // what follows, but for the rings' ends, which are the thread's
  std::vector<std::unique_ptr<Entry>> entries_;
  std::uint64_t epoch_ = 0, changes_ = 0;
  bool epoch_known_ = false;  // the control plane said it once
  Nanos control_grace_ = 30 * kSecond, heard_control_ = 0, looked_at_links_ = 0;
  bool control_ = true;
  bool sent_ = false;
  std::vector<std::string> log_;  // kLogMax at most, the oldest
  worker::AdvertOut out_;
  worker::AdvertIn in_;

  std::atomic<std::uint32_t> told_{0};  // changes_, for those who wait: a futex, so that they hold nothing we need
  bool raised_ = false;                 // of configure(), which is called by one thread at a time
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace headgate::app
