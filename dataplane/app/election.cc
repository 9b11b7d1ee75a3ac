#include "dataplane/app/election.h"

#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <mutex>
#include <utility>

#include "dataplane/app/failover_words.h"
#include "drivers/port/port.h"

namespace headgate::app {

using vrrp::Action;
using vrrp::Role;
using worker::AdvertIn;
using worker::AdvertOut;

InheritingMutex::InheritingMutex() {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  HEADGATE_CHECK(pthread_mutex_init(&mutex_, &attributes) == 0);
  pthread_mutexattr_destroy(&attributes);
}
InheritingMutex::~InheritingMutex() {
  pthread_mutex_destroy(&mutex_);
}
void InheritingMutex::lock() {
  HEADGATE_CHECK(pthread_mutex_lock(&mutex_) == 0);
}
void InheritingMutex::unlock() {
  HEADGATE_CHECK(pthread_mutex_unlock(&mutex_) == 0);
}

namespace {

// The port's own link-local address, as the kernel would make it (RFC 4291 appendix A): unique on its link, which the
// virtual MAC's would not be.
IpAddress link_local(const MacAddress& mac) {
  const auto& m = mac.bytes;
  return {
      {0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}};
}

// Neither std::condition_variable nor a mutex: the thread that elects would wait for one that an API thread holds,
// which any thread of normal priority may keep from its core. Waking takes no lock of a user.
void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  static_assert(sizeof word == sizeof(std::uint32_t) && std::atomic<std::uint32_t>::is_always_lock_free);
  syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

}  // namespace

Election::Election(Fleet& fleet, std::vector<port::Port*> ports)
    : fleet_(fleet), ports_(std::move(ports)), clock_(fleet.clock()), link_(fleet.failover()) {
  heard_control_ = clock_.now();
  thread_ = std::thread([this] { run(); });
}

void Election::stop() {
  if (!thread_.joinable()) return;
  {
    const std::scoped_lock lock(mutex_);
    const Nanos now = clock_.now();
    for (auto& entry : entries_) {
      entry->group.resign(now, "this dataplane stops");
      act(*entry, now);
    }
  }
  fleet_.wake(0);
  for (int i = 0; i < 50 && !link_.out.empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stop_.store(true);
  futex(told_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr);
  fleet_.election().wake();
  thread_.join();
}

void Election::configure(const snapshot::Snapshot& snapshot) {
  if (!snapshot.groups.empty()) raise_workers();
  const std::scoped_lock lock(mutex_);
  const Nanos now = clock_.now();
  control_grace_ = snapshot.control_grace;
  std::vector<std::unique_ptr<Entry>> before;
  before.swap(entries_);
  for (const snapshot::Group& group : snapshot.groups) {
    vrrp::GroupConfig config = group.config;
    std::vector<Router> routers;
    for (std::size_t r = 0; r < config.routers.size(); ++r) {
      const snapshot::Interface& interface = snapshot.interfaces[group.interfaces[r]];
      routers.push_back({interface.port, interface.vlan, interface.name});
      if (config.routers[r].source.is_unspecified())  // IPv6 alone: see decode
        config.routers[r].source = link_local(ports_[interface.port]->mac());
    }
    const auto known = std::ranges::find_if(
        before, [&](const auto& entry) { return entry != nullptr && entry->group.config().id == config.id; });
    bool told = true;  // else what actions() holds was done before
    if (known != before.end()) {
      entries_.push_back(std::move(*known));
      told = !(entries_.back()->group.config() == config);
      if (told) entries_.back()->group.configure(config, now);
    } else {
      entries_.push_back(std::make_unique<Entry>(config, now));
      entries_.back()->steps.resize(fleet_.size());
      entries_.back()->group.input(in_force(*entries_.back()), now);
    }
    Entry& entry = *entries_.back();
    entry.slot = group.slot;
    entry.virtual_mac = group.virtual_mac;
    entry.routers = std::move(routers);
    link_.leases.set(entry.slot, entry.group.active_until());
    if (told) act(entry, now);
  }
  for (auto& entry : before) {
    if (entry == nullptr) continue;
    entry->group.resign(now, "the group left the configuration");
    act(*entry, now);
    link_.leases.set(entry->slot, 0);
  }
  looked_at_links_ = 0;
  fleet_.election().wake();
}

void Election::raise_workers() {
  if (raised_) return;
  raised_ = true;
  if (const int error = fleet_.raise_workers(kWorkerPriority); error != 0) {
    spdlog::warn("workers have no real-time priority ({}): a busy machine may make adverts late", std::strerror(error));
  }
}

// What the control plane says, and what its silence means.
vrrp::Input Election::in_force(const Entry& entry) const {
  return control_ ? entry.input : without_control(entry.input);
}

void Election::set_control(bool alive, Nanos now) {
  if (control_ == alive) return;
  control_ = alive;
  if (!alive && !entries_.empty()) {
    log("no word from the control plane for " + std::to_string(control_grace_ / kSecond) +
        " s: this box counts as degraded, and witnesses, if configured, as silent");
  }
  for (auto& entry : entries_) {
    entry->group.input(in_force(*entry), now);
    act(*entry, now);
  }
}

void Election::input(const dataplane::v1::FailoverInput& message) {
  const std::scoped_lock lock(mutex_);
  const Nanos now = clock_.now();
  heard_control_ = now;
  // Promotions from before we knew the pair's epoch were counted from 0.
  if (!std::exchange(epoch_known_, true) && message.epoch() > epoch_) {
    for (auto& entry : entries_) {
      for (Change& change : entry->changes) change.epoch += message.epoch();
    }
    epoch_ += message.epoch();
  }
  epoch_ = std::max(epoch_, message.epoch());
  set_control(true, now);
  for (const auto& in : message.group()) {
    Entry* entry = find(in.group_id());
    if (entry == nullptr) continue;
    entry->input = input_of(in);
    entry->group.input(in_force(*entry), now);
    act(*entry, now);
  }
  fleet_.election().wake();
}

Election::Entry* Election::find(std::uint32_t id) {
  const auto found = std::ranges::find_if(entries_, [&](const auto& e) { return e->group.config().id.value == id; });
  return found == entries_.end() ? nullptr : found->get();
}

void Election::become_realtime() {
  pthread_setname_np(pthread_self(), "election");
  // On fault: what is touched stays, and nothing is touched only for being mapped (flow tables, stacks).
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
    spdlog::warn("memory is not locked ({}): swapping may make adverts late", std::strerror(errno));
  sched_param priority{};
  priority.sched_priority = kPriority;
  if (const int error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority); error != 0)
    spdlog::warn("the election has no real-time priority ({}): a busy machine may make adverts late",
                 std::strerror(error));
}

void Election::run() {
  become_realtime();
  worker::Waker& waker = fleet_.election();
  while (!stop_.load()) {
    waker.prepare();
    Nanos wait = 0;
    std::uint64_t changes = 0;
    bool sent = false;
    {
      const std::scoped_lock lock(mutex_);
      catch_up();
      drain();
      const Nanos now = clock_.now();
      if (now - heard_control_ > control_grace_) set_control(false, now);
      tend_links(now);
      for (auto& entry : entries_) tend(*entry, now);
      const Nanos next = next_deadline();
      wait = next > now ? next - now : 0;
      changes = changes_;
      sent = std::exchange(sent_, false);  // by an API thread, too: it wakes us after it pushed
    }
    if (sent) fleet_.wake_all();  // the advert, and everybody's next proof of progress
    if (static_cast<std::uint32_t>(changes) != told_.load(std::memory_order_relaxed)) {
      told_.store(static_cast<std::uint32_t>(changes));
      futex(told_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr);
    }
    if (wait != 0 && link_.in.empty() && link_.accepted.empty() && !stop_.load()) {
      pollfd entry{waker.fd(), POLLIN, 0};
      const timespec span{static_cast<time_t>(wait / kSecond), static_cast<long>(wait % kSecond)};
      ppoll(&entry, 1, &span, nullptr);
    }
    waker.awake();
  }
}

Nanos Election::next_deadline() const {
  if (entries_.empty()) return clock_.now() + kSecond;
  Nanos next = looked_at_links_ + kLinkInterval;
  for (const auto& entry : entries_) next = std::min(next, entry->group.next_deadline());
  return next;
}

void Election::drain() {
  while (link_.accepted.pop(in_)) take(in_);
  while (link_.in.pop(in_)) take(in_);
}

void Election::take(const AdvertIn& in) {
  Entry* entry = find(in.router.group_id);
  if (entry == nullptr || in.router.router >= entry->routers.size()) return;
  const std::size_t router = in.router.router;
  const vrrp::RouterConfig& config = entry->group.config().routers[router];
  if (in.kind == AdvertIn::Kind::accepted) {
    entry->group.accepted(router, in.interval, in.at);
  } else {
    if (!in.carrier.fragment && in.length >= 2 && in.message[1] != config.vrid)
      return entry->group.unread(router, vrrp::Oddity::unknown_vrid);
    vrrp::Advert advert;
    const vrrp::Oddity oddity = vrrp::decode(in.carrier, {in.message.data(), in.length}, config.version, advert);
    if (vrrp::counts_for_nothing(oddity))
      return entry->group.unread(router, oddity);  // no event: nothing to be done anew
    entry->group.received(router, advert, in.carrier.source, clock_.now());
  }
  act(*entry, clock_.now());
}

// After a lapse of a lease, and before a backup promotes: this process may have been stopped, for a moment at least,
// and everything that came meanwhile is read before anything is believed. Worker 0 empties its queues first. A backup
// would take the silence of its own standstill for the peer's otherwise.
void Election::catch_up() {
  const Nanos now = clock_.now();
  const bool wanted = std::ranges::any_of(entries_, [&](const auto& entry) {
    const vrrp::Group& group = entry->group;
    const bool lapsed = group.status().role == Role::active && group.active_until() <= now;
    // Without progress nobody promotes, and waiting for a worker that is stuck would keep the lock for nothing.
    return lapsed || (group.status().role == Role::backup && group.next_deadline() <= now && proven(*entry, now));
  });
  if (!wanted) return;
  const auto& counters = fleet_.at(0).counters();
  const std::uint64_t sleeps = counters.sleeps.read(), steps = counters.steps.read();
  const Nanos until = now + 5 * kMillisecond;
  while (clock_.now() < until && counters.sleeps.read() == sleeps && counters.steps.read() - steps < 64) {
    fleet_.wake(0);
    const timespec nap{0, 50'000};
    nanosleep(&nap, nullptr);
    drain();
  }
}

void Election::tend_links(Nanos now) {
  if (entries_.empty() || now - looked_at_links_ < kLinkInterval) return;
  looked_at_links_ = now;
  ask_for_progress(now);
  for (auto& entry : entries_) {
    for (std::size_t r = 0; r < entry->routers.size(); ++r) {
      const bool up = ports_[entry->routers[r].port]->link().up;
      if (up == entry->group.router(r).link) continue;
      entry->group.link(r, up, now);
      act(*entry, now);
    }
  }
}

// Who sends no adverts asks for a proof of progress all the same, or it would take a group with a worker that stopped
// long ago: every worker has stepped since the last look, or did before that and was asked this moment.
void Election::ask_for_progress(Nanos now) {
  bool asked = false;
  for (auto& entry : entries_) {
    if (entry->group.status().role == Role::active || now - entry->asked_at < kLinkInterval) continue;
    entry->proven = progressed(*entry);
    entry->asked_at = now;
    remember_steps(*entry);
    asked = true;
  }
  sent_ |= asked;  // wakes everybody
}

bool Election::proven(const Entry& entry, Nanos now) const {
  if (progressed(entry)) return true;
  return entry.group.status().role != Role::active && entry.proven && now - entry.asked_at < kAnswerTime;
}

void Election::tend(Entry& entry, Nanos now) {
  if (entry.group.next_deadline() > now) return entry.group.idle(now);
  const std::uint64_t withheld = entry.group.status().withheld;
  entry.group.advance(proven(entry, now), now);
  if (entry.group.status().withheld != withheld) {
    remember_steps(entry);
    sent_ = true;  // wakes everybody: progress is due
  }
  act(entry, now);
}

bool Election::progressed(const Entry& entry) const {
  for (unsigned i = 0; i < fleet_.size(); ++i) {
    if (fleet_.at(i).counters().steps.read() == entry.steps[i]) return false;
  }
  return true;
}

void Election::remember_steps(Entry& entry) const {
  for (unsigned i = 0; i < fleet_.size(); ++i) entry.steps[i] = fleet_.at(i).counters().steps.read();
}

// The lease first: nothing of the group is sent once an advert says that it was given up.
void Election::act(Entry& entry, Nanos now) {
  link_.leases.set(entry.slot, entry.group.active_until());
  // The peer may hear of us by the HA link alone, and what it heard ended with the lease.
  const bool leased = entry.group.active_until() > now;
  if (leased && !std::exchange(entry.leased, leased)) ++changes_;
  entry.leased = leased;
  for (const Action& action : entry.group.actions()) {
    switch (action.kind) {
      case Action::Kind::send:
        send(entry, action, now);
        break;
      case Action::Kind::announce:
        out_.kind = AdvertOut::Kind::announce;
        out_.group = entry.slot;
        push(out_);
        break;
      case Action::Kind::role:
        note_role(entry, now);
        break;
    }
  }
}

void Election::push(const AdvertOut& out) {
  link_.out.push(out);  // a full ring: nothing is accepted, the lease ends
  sent_ = true;
}

void Election::send(Entry& entry, const Action& action, Nanos now) {
  const vrrp::RouterConfig& config = entry.group.config().routers[action.router];
  const Router& router = entry.routers[action.router];
  out_.kind = AdvertOut::Kind::advert;
  out_.router = {entry.group.config().id.value, action.router};
  out_.port = router.port;
  out_.interface = config.interface;
  out_.interval = action.interval;
  // A late one would speak of another time; that we gave up is true whenever it comes.
  out_.valid_until = now + (action.priority == vrrp::kPriorityResign ? action.interval : action.interval / 2);
  vrrp::FrameSpec spec{
      .version = config.version,
      .vrid = config.vrid,
      .priority = action.priority,
      .interval = action.interval,
      .form = action.form,
      .vlan = router.vlan,
      .source_mac = entry.virtual_mac ? vrrp::virtual_mac(config.vrid, config.v6) : ports_[router.port]->mac(),
      .destination_mac = {},
      .source = config.source,
      .destination = config.v6 ? vrrp::kGroupV6 : vrrp::kGroupV4,
      .addresses = config.addresses};
  const auto write = [&](const IpAddress& peer) {
    if (!peer.is_unspecified()) spec.destination = peer;
    out_.peer = peer;
    out_.length = static_cast<std::uint16_t>(vrrp::write_frame(spec, out_.frame));
    if (out_.length != 0) push(out_);
  };
  if (config.peers.empty()) write(IpAddress{});
  for (const IpAddress& peer : config.peers) write(peer);
  remember_steps(entry);
}

void Election::log(std::string line) {
  if (log_.size() < kLogMax) log_.push_back(std::move(line));
}

std::vector<std::string> Election::take_log() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(log_, {});
}

void Election::note_role(Entry& entry, Nanos now) {
  const vrrp::GroupStatus& status = entry.group.status();
  if (status.role == Role::active) ++epoch_;
  Change change{.number = ++changes_,
                .at = now,
                .from = entry.role,
                .to = status.role,
                .cause = std::string(status.cause.view()),
                .epoch = epoch_};
  log("group " + entry.group.config().name + ": " + vrrp::name(change.from) + " -> " + vrrp::name(change.to) + ": " +
      change.cause + " (epoch " + std::to_string(epoch_) + ")");
  entry.role = status.role;
  entry.changes.push_back(std::move(change));
  if (entry.changes.size() > kChangesKept) entry.changes.pop_front();
}

std::uint32_t Election::wait_for_change(std::uint32_t seen, std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (told_.load() == seen && !stop_.load()) {
    const auto left = std::chrono::nanoseconds(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) break;
    const timespec span{static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
    futex(told_, FUTEX_WAIT_PRIVATE, seen, &span);
  }
  return told_.load();
}

namespace {

std::uint64_t ms(Nanos span) {
  return span / kMillisecond;
}

const char* form_name(vrrp::ChecksumForm form) {
  switch (form) {
    case vrrp::ChecksumForm::plain:
      return "rfc9568";
    case vrrp::ChecksumForm::pseudo_header:
      return "pseudo_header";
    case vrrp::ChecksumForm::pseudo_header_of_group:
      return "pseudo_header of 224.0.0.18";
  }
  return "";
}

void fill_router(const vrrp::RouterConfig& config, const vrrp::RouterStatus& status, bool virtual_mac, Nanos now,
                 dataplane::v1::RouterState& out) {
  out.set_ipv6(config.v6);
  out.set_vrid(config.vrid);
  out.set_version(config.version);
  out.set_source(to_string(config.source));
  if (virtual_mac) out.set_virtual_mac(to_string(vrrp::virtual_mac(config.vrid, config.v6)));
  out.set_link(status.link);
  out.set_sent(status.sent);
  out.set_accepted(status.accepted);
  out.set_received(status.received);
  out.set_heard(status.last_heard != 0);
  if (status.last_heard != 0) {
    out.set_last_heard_ms_ago(ms(now - std::min(now, status.last_heard)));
    out.set_peer(to_string(status.peer));
    out.set_peer_priority(status.peer_priority);
    out.set_peer_interval_us(static_cast<std::uint32_t>(status.peer_interval / kMicrosecond));
    if (status.peer_form && !config.v6 && config.version == 3) out.set_peer_checksum(form_name(*status.peer_form));
  }
  for (std::size_t i = 1; i < status.oddities.size(); ++i) {
    if (status.oddities[i] == 0) continue;
    const auto oddity = static_cast<vrrp::Oddity>(i);
    auto* count = out.add_oddity();
    count->set_reason(vrrp::name(oddity));
    count->set_adverts(status.oddities[i]);
    count->set_meaning(vrrp::meaning(oddity));
    count->set_dropped(vrrp::counts_for_nothing(oddity));
  }
}

}  // namespace

void Election::fill(const Entry& entry, dataplane::v1::GroupState& out, Nanos now) const {
  app::describe(entry.group, in_force(entry).health, now, out);
  for (unsigned i = 0; i < fleet_.size(); ++i) {
    out.set_dropped_at_send(
        out.dropped_at_send() +
        fleet_.at(i).counters().drops[static_cast<unsigned>(telemetry::DropReason::lease_ended)].read());
  }
  for (std::size_t r = 0; r < entry.routers.size(); ++r) {
    auto* router = out.add_router();
    router->set_interface(entry.routers[r].interface);
    fill_router(entry.group.config().routers[r], entry.group.router(r), entry.virtual_mac, now, *router);
  }
  for (const Change& change : entry.changes) {
    auto* said = out.add_change();
    said->set_number(change.number);
    said->set_ms_ago(ms(now - std::min(now, change.at)));
    said->set_from(role_of(change.from));
    said->set_to(role_of(change.to));
    said->set_cause(change.cause);
    said->set_epoch(change.epoch);
  }
}

void Election::describe(dataplane::v1::FailoverState& state) {
  const std::scoped_lock lock(mutex_);
  const Nanos now = clock_.now();
  state.set_epoch(epoch_);
  state.set_control_lease(control_);
  for (const auto& entry : entries_) fill(*entry, *state.add_group(), now);
}

}  // namespace headgate::app
