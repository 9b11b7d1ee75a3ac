#include "dataplane/worker/runner.h"

#include <poll.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "drivers/port/port.h"

namespace headgate::worker {

namespace {

constexpr Nanos kUnixTimeEvery = 100 * kMillisecond;  // how late a second may be told

}  // namespace

TscClock::TscClock() : start_(rte_rdtsc()), nanos_per_cycle_(1e9 / static_cast<double>(rte_get_tsc_hz())) {}

Nanos TscClock::now() const {
  // One second in, so that "long ago" is a positive number; 2^53 ns are 104 days of exact doubles, then steps of 2 ns.
  return kSecond + static_cast<Nanos>(static_cast<double>(rte_rdtsc() - start_) * nanos_per_cycle_);
}

Waker::Waker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  HEADGATE_CHECK(fd_ >= 0);
}
Waker::~Waker() {
  close(fd_);
}

void Waker::signal() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);  // full means: already awake
}

void Waker::awake() {
  asleep_.store(false, std::memory_order_relaxed);
  std::uint64_t count;
  [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof count);
}

Runner::Runner(Worker& worker, snapshot::Publisher::Reader& reader, std::vector<port::Port*> ports,
               std::vector<Waker*> wakers, Idle idle, const Clock& clock, FailoverLink* failover, Waker* election)
    : worker_(worker),
      reader_(reader),
      ports_(std::move(ports)),
      wakers_(std::move(wakers)),
      idle_(idle),
      clock_(clock),
      failover_(failover),
      election_(election) {
  for (port::Port* port : ports_) {
    if (worker_.index() >= port->queues()) continue;
    if (const auto fd = port->rx_fd(static_cast<std::uint16_t>(worker_.index()))) {
      fds_.push_back(*fd);
    } else {
      all_have_fds_ = false;
    }
  }
}

void Runner::stop() {
  stop_.store(true);
  wakers_[worker_.index()]->wake();
}

std::size_t Runner::receive(std::vector<Frame>& frames) {
  frames.clear();
  rte_mbuf* burst[kBurst];
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    if (worker_.index() >= ports_[i]->queues()) continue;
    const std::uint16_t n = ports_[i]->rx_burst(static_cast<std::uint16_t>(worker_.index()), burst, kBurst);
    for (std::uint16_t k = 0; k < n; ++k) frames.push_back({burst[k], static_cast<std::uint16_t>(i)});
  }
  return frames.size();
}

// What a group's lease no longer covers is not sent: it may have ended since the step began, while the process was
// stopped for one. Nothing that is given to the driver can be taken back.
std::span<rte_mbuf*> Runner::within_lease(TxBatch& tx, std::uint16_t port) {
  const std::span<rte_mbuf*> frames = tx.of(port);
  if (failover_ == nullptr) return frames;
  const std::span<const snapshot::GroupSlot> groups = tx.groups_of(port);
  const std::uint64_t active = failover_->leases.active(clock_.now());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (((active >> groups[i]) & 1) != 0) [[likely]] {
      frames[kept++] = frames[i];
      continue;
    }
    rte_pktmbuf_free(frames[i]);
    worker_.counters().drops[static_cast<unsigned>(telemetry::DropReason::lease_ended)].add(1);
  }
  return frames.first(kept);
}

// Adverts by themselves and first: what the driver took renews the lease, and the moment counts.
void Runner::transmit_adverts(TxBatch& tx) {
  for (const AdvertMark& mark : tx.adverts()) {
    rte_mbuf*& mbuf = tx.of(mark.port)[mark.position];
    const auto queue = static_cast<std::uint16_t>(worker_.index());
    const Nanos now = clock_.now();  // before: the lease must not be later than the truth
    const bool ready = now < mark.valid_until && ports_[mark.port]->prepare_tx(mbuf, queue) == port::TxVerdict::ready;
    if (ready && ports_[mark.port]->tx_burst(queue, &mbuf, 1) == 1) {
      AdvertIn& taken = advert_accepted_;
      taken.kind = AdvertIn::Kind::accepted;
      taken.router = mark.router;
      taken.interval = mark.interval;
      taken.at = now;
      failover_->accepted.push(taken);
    } else {
      rte_pktmbuf_free(mbuf);
      worker_.counters().drops[static_cast<unsigned>(telemetry::DropReason::tx_full)].add(1);
    }
  }
  // They are the first of their ports.
  for (const AdvertMark& mark : tx.adverts()) tx.drop_first(mark.port);
  tx.clear_adverts();
}

bool Runner::transmit(TxBatch& tx) {
  bool any = !tx.adverts().empty();
  if (any) transmit_adverts(tx);
  const auto ports = static_cast<std::uint16_t>(tx.ports());
  for (std::uint16_t port = 0; port < ports; ++port) {
    if (tx.of(port).empty()) continue;
    any = true;
    std::span<rte_mbuf*> frames = within_lease(tx, port);
    // Frames of several segments and the like are made fit for the device; none of ours asks for an offload.
    std::size_t ready = 0;
    for (rte_mbuf* mbuf : frames) {
      if (ports_[port]->prepare_tx(mbuf, static_cast<std::uint16_t>(worker_.index())) == port::TxVerdict::ready) {
        frames[ready++] = mbuf;
      } else {
        rte_pktmbuf_free(mbuf);
        worker_.counters().drops[static_cast<unsigned>(telemetry::DropReason::no_buffer)].add(1);
      }
    }
    frames = frames.first(ready);
    const auto queue = static_cast<std::uint16_t>(worker_.index());
    // A full ring empties within microseconds when somebody reads it; wait a little, then shed rather than delay the
    // rest.
    for (unsigned tries = 0; !frames.empty() && tries < 8; ++tries) {
      frames = frames.subspan(ports_[port]->tx_burst(queue, frames.data(), static_cast<std::uint16_t>(frames.size())));
    }
    for (rte_mbuf* mbuf : frames) rte_pktmbuf_free(mbuf);
    if (!frames.empty()) {
      worker_.counters().tx_dropped.add(frames.size());
      worker_.counters().drops[static_cast<unsigned>(telemetry::DropReason::tx_full)].add(frames.size());
    }
    tx.clear(port);
  }
  return any;
}

void Runner::wake_others() {
  for (unsigned i = 0; i < wakers_.size(); ++i) {
    if (i != worker_.index() && worker_.has_mail_for(i)) wakers_[i]->wake();
  }
}

void Runner::run() {
  TxBatch tx(ports_.size());
  std::vector<Frame> frames;
  frames.reserve(kBurst * ports_.size());
  Nanos last_work = clock_.now();
  Nanos since = last_work;  // what counts as this round: an empty look at an AF_XDP queue fetches for the next one
  bool armed = false;
  reader_.online();
  while (!stop_.load(std::memory_order_relaxed)) {
    const Nanos begin = clock_.now();
    const std::size_t received = receive(frames);
    const bool mail = !worker_.mailbox_empty() || adverts_wait();
    const Nanos start = clock_.now();
    if (start >= next_unix_time_) {
      next_unix_time_ = start + kUnixTimeEvery;
      worker_.set_unix_time(std::time(nullptr));
    }
    worker_.step(start, frames, tx);
    const bool sent = transmit(tx);
    if (wakers_.size() > 1) wake_others();
    if (election_ != nullptr && (!failover_->in.empty() || !failover_->accepted.empty())) election_->wake();
    if (received != 0 || mail || sent) {
      const Nanos end = clock_.now();
      worker_.counters().busy_ns.add(end - since);
      since = end;
    } else {
      since = begin;
    }
    if (received != 0 || mail) {
      last_work = since;
      nap_ = kNapMin;
      woken_by_ = muted_ = 0;
      if (armed) disarm();
      armed = false;
    } else if (idle_ == Idle::adaptive && start - last_work >= kSpin) {
      // The round after arming looks at the queues once more: what came before the interrupt was on would not wake us.
      if (armed) {
        sleep();
        disarm();
        since = clock_.now();
      } else {
        arm();
      }
      armed = !armed;
    }
  }
  if (armed) disarm();
  reader_.offline();
}

void Runner::arm() {
  wakers_[worker_.index()]->prepare();
  const auto queue = static_cast<std::uint16_t>(worker_.index());
  for (port::Port* port : ports_) {
    if (queue < port->queues()) port->arm_rx(queue);
  }
}

void Runner::disarm() {
  wakers_[worker_.index()]->awake();
  const auto queue = static_cast<std::uint16_t>(worker_.index());
  for (port::Port* port : ports_) {
    if (queue < port->queues()) port->disarm_rx(queue);
  }
}

void Runner::sleep() {
  // Whatever was sent before arm() is seen here; whatever comes after wakes us.
  const Nanos now = clock_.now();
  const Nanos deadline = worker_.next_deadline();
  if (stop_.load() || !worker_.mailbox_empty() || adverts_wait() || deadline <= now) return;
  Nanos span = std::min<Nanos>(deadline - now, kSleepMax);
  // net_tap gives nothing until a signal was handled, by any thread, though its descriptor says that frames wait. Asked
  // again at once we would spin with real-time priority on a core that this thread may need.
  muted_ |= woken_by_;
  if (!all_have_fds_ || muted_ != 0) {
    span = std::min(span, nap_);
    nap_ = std::min(nap_ * 2, kNapMax);
  }
  pollfd entries[kPortsMax + 1];
  nfds_t count = 0;
  entries[count++] = {wakers_[worker_.index()]->fd(), POLLIN, 0};
  for (std::size_t i = 0; i < fds_.size(); ++i)
    entries[count++] = {((muted_ >> i) & 1) != 0 ? -1 : fds_[i], POLLIN, 0};  // poll(2) skips negative ones
  reader_.offline();
  worker_.counters().sleeps.add(1);
  const timespec wait{static_cast<time_t>(span / kSecond), static_cast<long>(span % kSecond)};
  const int ready = ppoll(entries, count, &wait, nullptr);
  reader_.online();
  woken_by_ = 0;
  for (std::size_t i = 0; ready > 0 && i < fds_.size(); ++i)
    woken_by_ |= std::uint64_t{entries[i + 1].revents != 0} << i;
  if (ready == 0) muted_ = 0;  // the nap is over: they are asked again
}

}  // namespace headgate::worker
