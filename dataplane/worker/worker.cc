#include "dataplane/worker/worker.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace headgate::worker {

using packet::ParseError;
using telemetry::DropReason;
using telemetry::Exit;
using telemetry::Handover;

DropReason reason_of(ParseError error) {
  switch (error) {
    case ParseError::none:
      break;
    case ParseError::truncated:
      return DropReason::truncated;
    case ParseError::bad_ethernet:
      return DropReason::bad_ethernet;
    case ParseError::bad_arp:
      return DropReason::bad_arp;
    case ParseError::bad_ip_version:
      return DropReason::bad_ip_version;
    case ParseError::bad_ip_header_length:
      return DropReason::bad_ip_header_length;
    case ParseError::bad_ip_checksum:
      return DropReason::bad_ip_checksum;
    case ParseError::bad_ip_source:
      return DropReason::bad_ip_source;
    case ParseError::bad_ip_destination:
      return DropReason::bad_ip_destination;
    case ParseError::bad_ip_options:
      return DropReason::bad_ip_options;
    case ParseError::bad_extension_header:
      return DropReason::bad_extension_header;
    case ParseError::bad_fragment:
      return DropReason::bad_fragment;
    case ParseError::bad_tcp_header:
      return DropReason::bad_tcp_header;
    case ParseError::bad_udp_header:
      return DropReason::bad_udp_header;
    case ParseError::bad_icmp_header:
      return DropReason::bad_icmp_header;
  }
  return DropReason::truncated;
}

Worker::Worker(const WorkerConfig& config, const Shared& shared, snapshot::Publisher::Reader& reader)
    : config_(config),
      shared_(shared),
      steering_(shared.steering),
      reader_(reader),
      flows_(config.flows, config.seed * 0x9e3779b97f4a7c15ull + 1),
      ports_(steering_.classes(true), steering_.classes(false),
             flow::PortAllocator::Limits::for_flows(config.flows + config.proxy.connections), config.seed + 2),
      fragments_(config.seed + 3),
      neighbors_(config.seed + 4),
      balancer_(config.index, config.seed + 5),
      persistence_(std::min<std::uint32_t>(config.flows, 1 << 18), config.seed + 6),
      load_(shared.loads, config.index),
      answers_(kAnswersPerSecond, kAnswersBurst),
      too_big_(kAnswersPerSecond, kAnswersBurst),
      time_exceeded_(kAnswersPerSecond, kAnswersBurst),
      rng_(config.seed + 7),
      counters_(snapshot::kServiceSlots, snapshot::kBackendSlots),
      hop_interface_(neighbor::kNeighborsMax, snapshot::kNone) {
  HEADGATE_CHECK(config.ports.size() <= kPortsMax);
  learn_macs();
  if (config.proxy.connections != 0) {
    proxies_ = std::make_unique<Proxies>(config.proxy,
                                         ProxyParts{.worker = config.index,
                                                    .steering = steering_,
                                                    .mailboxes = shared.mailboxes,
                                                    .limits = shared.limits,
                                                    .flows = flows_,
                                                    .ports = ports_,
                                                    .balancer = balancer_,
                                                    .persistence = persistence_,
                                                    .load = load_,
                                                    .counters = counters_,
                                                    .pool = config.pool},
                                         0);
  }
  // Where this life's ports start is nobody's to guess, and mostly not where the last one's did.
  for (std::uint16_t& cursor : local_cursor_) cursor = static_cast<std::uint16_t>(rng_.next());
  if (config.index == 0) {
    resolver_ = std::make_unique<neighbor::Resolver>(config.seed + 8);
    for (std::size_t i = 0; i < config.ports.size(); ++i) {
      resolver_->set_port_mac(static_cast<std::uint16_t>(i), config.ports[i].mac);
    }
  }
}

Worker::~Worker() {
  // Buffers that still wait go back to their pool.
  std::vector<neighbor::NeighborUpdate> waiting;
  neighbors_.for_each([&](const neighbor::Neighbor& neighbor) {
    if (neighbor.held != 0) {
      neighbor::NeighborUpdate& update = waiting.emplace_back();
      update.address = neighbor.address;
      update.interface = neighbor.interface;
      update.state = neighbor::NeighborState::failed;
    }
  });
  for (const auto& update : waiting) {
    neighbors_.update(update, now_, [](const neighbor::Held& held, const neighbor::Neighbor&) {
      rte_pktmbuf_free(static_cast<rte_mbuf*>(held.packet));
    });
  }
  fragments_.advance(kNever - 1, [this](const flow::HeldFragment& held, const Tuple*) { give_up(held); });
  Message message;
  for (unsigned from = 0; from < shared_.mailboxes.workers(); ++from) {
    while (shared_.mailboxes.at(from, config_.index).pop(message)) {
      if (message.kind == Message::Kind::place_given) shared_.limits.release(config_.index, message.backend);
      rte_pktmbuf_free(message.mbuf);
    }
  }
}

void Worker::step(Nanos now, std::span<const Frame> frames, TxBatch& tx) {
  now_ = now;
  now_ms_ = static_cast<std::uint32_t>(now / kMillisecond);
  tx_ = &tx;
  switch_snapshot();
  switch_leases();
  send_adverts();
  resets_left_ = std::min(kResetsPerStep, room_to_send() / 2);
  run_task();
  take_messages();
  counters_.steps.add(1);
  counters_.batches[telemetry::WorkerCounters::batch_class(frames.size())].add(1);
  if (!frames.empty()) counters_.busy_steps.add(1);

  while (!frames.empty()) {
    const std::size_t n = std::min(frames.size(), kBurst);
    for (std::size_t i = 0; i < n; ++i) rte_prefetch0(rte_pktmbuf_mtod(frames[i].mbuf, void*));
    for (std::size_t i = 0; i < n; ++i) pass1(batch_[i], frames[i]);
    // In a loop of its own: a prefetch waits for its page walk, and only a short loop has several of them under way.
    for (std::size_t i = 0; i < n; ++i) flows_.prefetch_bucket(batch_[i].hash);
    for (std::size_t i = 0; i < n; ++i) flows_.prefetch_flow(batch_[i].hash);
    for (std::size_t i = 0; i < n; ++i) finish(batch_[i], process(batch_[i], Visit{}));
    frames = frames.subspan(n);
  }
  timers();
  proxy_turn();
}

void Worker::switch_snapshot() {
  snapshot_ = reader_.quiescent();
  bool layout = false;
  // The one before is gone by now: announcing the new one allowed the control thread to free it, and so did a sleep.
  if (reader_.sequence() != snapshot_sequence_) {
    snapshot_sequence_ = reader_.sequence();
    const bool states_only = snapshot_ != nullptr && snapshot_->layout == layout_;
    if (!states_only) {
      layout = true;
      switch_layout();
    } else if (resolver_) {
      resolver_->states_changed(*snapshot_);
    }
  }
  doubt_hops();
  if (proxies_) proxies_->begin(now_, snapshot_, layout);
}

void Worker::switch_layout() {
  layout_ = 0;
  if (snapshot_ != nullptr) {
    layout_ = snapshot_->layout;
    flows_.set_timeouts(snapshot_->timeouts);
    load_.use(*snapshot_);
    if (resolver_) resolver_->snapshot_changed(*snapshot_, now_);
    plan_removals(*snapshot_);
  }
  ++hop_epoch_;
  learn_macs();
  learn_virtual_macs();
}

// An entry of the neighbor table was freed to make room: any cached ref may be the one.
void Worker::doubt_hops() {
  if (neighbors_.epoch() == neighbor_epoch_) return;
  neighbor_epoch_ = neighbors_.epoch();
  ++hop_epoch_;
}

// The kernel's side of an exception or probe device is not a link with other hosts on it.
void Worker::learn_macs() {
  for (std::size_t port = 0; port < config_.ports.size(); ++port) {
    macs_[port] = PortMac{};
    if (config_.ports[port].physical != snapshot::kNone || (snapshot_ != nullptr && port == snapshot_->probe_port))
      continue;
    std::memcpy(&macs_[port].mac, config_.ports[port].mac.bytes.data(), 6);
    macs_[port].mask = 0x0000'ffff'ffff'ffff;
  }
}

// Ports are promiscuous (virtual MACs come and go): what a switch floods, and the other box's frames, are not ours.
bool Worker::addressed_to_us(const Packet& p) const {
  std::uint64_t start;
  std::memcpy(&start, p.data, sizeof start);  // 14 bytes were parsed
  const PortMac& own = macs_[p.port];
  if (((start ^ own.mac) & own.mask) == 0 || p.info.dst_mac_group) return true;
  const snapshot::GroupSlot group = group_of_mac(p.port, p.data);
  return group != snapshot::kNoGroup && is_active(group);
}

bool Worker::l4_checksum_ok(const Packet& p) const {
  if (p.mbuf->nb_segs == 1) [[likely]]
    return packet::l4_checksum_ok({p.data, p.mbuf->data_len}, p.info);
  packet::ChainSum chain(p.info);
  for (const rte_mbuf* segment = p.mbuf; segment != nullptr; segment = segment->next) {
    chain.add({rte_pktmbuf_mtod(segment, const std::uint8_t*), segment->data_len});
  }
  return chain.ok();
}

bool Worker::post(Task task, void* argument) {
  if (control_pending()) return false;
  task_ = task;
  task_argument_ = argument;
  task_state_.store(TaskState::waiting, std::memory_order_release);
  return true;
}

bool Worker::withdraw() {
  TaskState expected = TaskState::waiting;
  return task_state_.compare_exchange_strong(expected, TaskState::none, std::memory_order_acq_rel);
}

void Worker::run_task() {
  if (task_state_.load(std::memory_order_relaxed) != TaskState::waiting) [[likely]]
    return;
  TaskState expected = TaskState::waiting;
  if (!task_state_.compare_exchange_strong(expected, TaskState::running, std::memory_order_acq_rel)) return;
  task_(*this, task_argument_);
  task_state_.store(TaskState::none, std::memory_order_release);
}

bool Worker::parse(Packet& p, rte_mbuf* mbuf, std::uint16_t port) {
  p.mbuf = mbuf;
  p.port = port;
  p.data = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
  p.hash = 0;
  p.interface = nullptr;
  p.error = packet::parse({p.data, mbuf->data_len}, mbuf->pkt_len, p.info);
  return p.error == ParseError::none;
}

void Worker::pass1(Packet& p, const Frame& frame) {
  if (!parse(p, frame.mbuf, frame.port)) return;
  if (p.info.is_ip()) {
    p.hash = flows_.hash(p.info.tuple);
    if (config_.ports[p.port].nic_steers) prove_steering(p);
  }
}

// The NIC hashes the packet as it came, four values of the tuple; the map says which queue that bucket has.
void Worker::prove_steering(const Packet& p) {
  const std::uint32_t seen = steering_seen_[p.port]++;
  if (seen >= 1000 && seen % 4096 != 0) return;
  if (p.info.fragment || (p.info.tuple.protocol != kProtocolTcp && p.info.tuple.protocol != kProtocolUdp)) return;
  const unsigned queue =
      steering_.worker_of(steering_.toeplitz().bucket(p.info.tuple)) % config_.ports[p.port].tx_queues;
  auto& counters = counters_.steering[p.port];
  (queue == config_.index ? counters.matched : counters.missed).add(1);
}

const char* steering_state(bool nic_steers, std::uint64_t matched, std::uint64_t missed) {
  if (!nic_steers || missed != 0) return "software";
  return matched >= 1000 ? "nic" : "unproven";
}

Fate Worker::process(Packet& p, const Visit& visit) {
  if (capture_ != nullptr) [[unlikely]] {
    capture_copied_ = std::min<std::size_t>(p.mbuf->data_len, capture_->filter().snap_length);
    std::memcpy(capture_copy_.data(), p.data, capture_copied_);
  }
  if (p.error != ParseError::none) [[unlikely]]
    return drop(reason_of(p.error));
  if (snapshot_ == nullptr) [[unlikely]]
    return drop(DropReason::not_ours);
  sending_for_ = snapshot::kNoGroup;
  if (!addressed_to_us(p)) [[unlikely]]
    return drop(group_of_mac(p.port, p.data) == snapshot::kNoGroup ? DropReason::other_mac
                                                                   : DropReason::group_inactive);
  if (p.info.fragment) [[unlikely]] {
    const bool advert = p.info.tuple.protocol == vrrp::kProtocol && advert_for(p);
    return advert ? take_advert(p) : fragment(p, false);
  }
  return resume(p, visit);
}

// A packet whose ports are known. The flow lookup comes first: it needs no knowledge of addresses, services or owners.
Fate Worker::resume(Packet& p, const Visit& visit) {
  if (p.info.is_ip()) {
    const flow::Found found = flows_.find(p.info.tuple, p.hash);
    if (found.flow != nullptr && !flows_.is_expired(*found.flow, now_ms_) && !being_removed(*found.flow)) [[likely]] {
      return forward(p, *found.flow, found.direction);
    }
    if (const tcp::ConnectionId id = connection_of(p); id.generation != 0) {
      const Decision decision = decide_connection(p, id);
      return decision.action == Decision::Action::proxy ? take_segment(p, decision, visit) : drop(decision.reason);
    }
  }
  p.interface = snapshot_->interface_at(p.port, p.info.vlan);
  return execute(p, decide(p, visit), visit);
}

void Worker::finish(Packet& p, Fate fate) {
  counters_.exits[static_cast<unsigned>(fate.exit)].add(1);
  if (fate.reason != DropReason::count) [[unlikely]] {
    auto& counters = fate.exit == Exit::dropped ? counters_.drops : counters_.answers;
    counters[static_cast<unsigned>(fate.reason)].add(1);
  }
  if (capture_ != nullptr) [[unlikely]] {
    capture_->offer(now_, p.port, p.info, {capture_copy_.data(), capture_copied_}, p.info.frame_length, fate.exit,
                    fate.reason);
  }
  const bool kept = fate.exit == Exit::forwarded || fate.exit == Exit::held || fate.exit == Exit::handed_over ||
                    fate.exit == Exit::exception || fate.exit == Exit::proxied;
  if (!kept) rte_pktmbuf_free(p.mbuf);
}

void Worker::count_drop(DropReason reason, std::uint64_t n) {
  counters_.drops[static_cast<unsigned>(reason)].add(n);
}

Fate Worker::give(Packet& p, unsigned worker, Message::Kind kind, Handover why, const Visit& visit) {
  Message message;
  message.kind = kind;
  message.from = static_cast<std::uint8_t>(config_.index);
  message.port = p.port;
  message.mbuf = p.mbuf;
  message.persisted = visit.persisted;
  message.persistence_done = visit.persistence_done;
  message.denied = visit.denied;
  message.backend = visit.granted;
  message.src_port = p.info.tuple.src_port;
  message.dst_port = p.info.tuple.dst_port;
  message.protocol = p.info.tuple.protocol;
  if (!shared_.mailboxes.at(config_.index, worker).push(message)) return drop(DropReason::handover_full);
  counters_.handovers[static_cast<unsigned>(why)].add(1);
  return {Exit::handed_over, DropReason::count};
}

// Fragments (shallow virtual reassembly): the owner of (addresses, id) learns the ports from the first fragment and
// lends them to the others, which then go their flow's way like whole packets.
Fate Worker::fragment(Packet& p, bool owner_known) {
  if (!owner_known && shared_.mailboxes.workers() > 1) {
    const unsigned owner = steering_.worker_of(steering_.fragment_bucket(p.info));
    if (owner != config_.index) return give(p, owner, Message::Kind::fragment, Handover::fragment);
  }
  const bool later = p.info.later_fragment();
  // For other than our own addresses nothing is matched: the kernel reassembles its own.
  if (snapshot_->own_addresses.find(p.info.tuple.dst) == nullptr && p.port != snapshot_->probe_port) {
    p.interface = snapshot_->interface_at(p.port, p.info.vlan);
    if (p.interface != nullptr && !p.interface->gateway) return resume(p, Visit{.owner_known = true});
  }
  // IPv6 names fragments by (addresses, id) alone: a later one's protocol may be an extension header's (RFC 8200 4.5).
  const bool v4 = p.info.network == packet::Network::ipv4;
  const flow::FragmentKey key{p.info.tuple.src, p.info.tuple.dst, p.info.fragment_id,
                              v4 ? p.info.tuple.protocol : std::uint8_t{0}};
  // Those that waited for this one, and those whose wait is over.
  std::array<flow::HeldFragment, flow::kFragmentsHeldPerDatagram> waiting;
  std::size_t count = 0;
  const auto release = [&](const flow::HeldFragment& held, const Tuple* tuple) {
    if (tuple != nullptr && count < waiting.size()) {
      waiting[count++] = held;
    } else {
      give_up(held);
    }
  };
  Tuple tuple = p.info.tuple;
  if (later) {
    switch (fragments_.later(key, {p.mbuf, p.port}, now_, tuple, release)) {
      case flow::FragmentTable::Later::matched:
        break;
      case flow::FragmentTable::Later::held:
        return {Exit::held, DropReason::count};
      case flow::FragmentTable::Later::refused:
        return drop(DropReason::fragment_limit);
    }
    p.info.tuple = tuple;
    p.hash = flows_.hash(tuple);
    return resume(p, Visit{});
  }
  if (!fragments_.first(key, tuple, now_, release)) return drop(DropReason::bad_fragment);
  const Fate fate = resume(p, Visit{});
  for (std::size_t i = 0; i < count; ++i) {
    Packet other;
    if (parse(other, static_cast<rte_mbuf*>(waiting[i].packet), static_cast<std::uint16_t>(waiting[i].word))) {
      other.info.tuple = tuple;
      other.hash = flows_.hash(tuple);
      finish(other, resume(other, Visit{}));
    } else {
      finish(other, drop(reason_of(other.error)));
    }
  }
  return fate;
}

void Worker::give_up(const flow::HeldFragment& held) {
  rte_pktmbuf_free(static_cast<rte_mbuf*>(held.packet));
  count_drop(DropReason::fragment_unmatched);
}

void Worker::take_messages() {
  Message message;
  for (unsigned from = 0; from < shared_.mailboxes.workers(); ++from) {
    if (from == config_.index) continue;
    SpscRing<Message>& ring = shared_.mailboxes.at(from, config_.index);
    // Most messages are a frame to send: what the batch has no room for waits in the mailbox.
    const unsigned budget = std::min(kMessagesPerStep, room_to_send());
    for (unsigned i = 0; i < budget && ring.pop(message); ++i) take_message(message);
  }
}

void Worker::take_message(Message& message) {
  using Kind = Message::Kind;
  if (message.kind == Kind::neighbor_update) return apply_update(message.update);
  if (message.kind == Kind::neighbor_wanted) {
    if (resolver_) resolver_->want(message.update.interface, message.update.address, now_, *this);
    return;
  }
  if (message.kind == Kind::place_query) {
    const snapshot::Backend* backend = snapshot_ == nullptr ? nullptr : snapshot_->backend_of_slot(message.backend);
    const bool given = backend != nullptr && backend->max_connections != 0 &&
                       shared_.limits.try_grant(config_.index, message.backend, backend->max_connections);
    const unsigned asker = message.from;
    message.from = static_cast<std::uint8_t>(config_.index);
    message.kind = given ? Kind::place_given : Kind::place_denied;
    if (!shared_.mailboxes.at(config_.index, asker).push(message) && given)
      shared_.limits.release(config_.index, message.backend);
    return;
  }
  if (message.kind == Kind::place_given) return proxies_->place_given(message.backend);
  if (message.kind == Kind::place_denied) return proxies_->place_denied(message.backend);
  sending_for_ = snapshot::kNoGroup;
  if (message.kind == Kind::transmit) {
    if (!tx_->push(message.port, message.mbuf, message.group)) {
      rte_pktmbuf_free(message.mbuf);
      counters_.tx_dropped.add(1);
    }
    return;
  }
  Packet p;
  if (!parse(p, message.mbuf, message.port))
    return finish(p, drop(reason_of(p.error)));  // cannot be: it was parsed before
  if (snapshot_ == nullptr) return finish(p, drop(DropReason::not_ours));
  if (capture_ != nullptr) [[unlikely]] {
    capture_copied_ = std::min<std::size_t>(p.mbuf->data_len, capture_->filter().snap_length);
    std::memcpy(capture_copy_.data(), p.data, capture_copied_);
  }
  p.interface = snapshot_->interface_at(p.port, p.info.vlan);
  if (p.info.later_fragment() && message.kind != Kind::fragment) {  // what its sender learnt from the first one
    p.info.tuple.src_port = message.src_port;
    p.info.tuple.dst_port = message.dst_port;
    p.info.tuple.protocol = message.protocol;
  }
  if (p.info.is_ip()) p.hash = flows_.hash(p.info.tuple);
  Visit visit{.owner_known = true,
              .persistence_done = message.persistence_done,
              .persisted = message.persisted,
              .granted = kNoSlot,
              .denied = message.denied};
  switch (message.kind) {
    case Kind::fragment:
      return finish(p, fragment(p, true));
    case Kind::neighbor:
      return finish(p, handle_neighbor(p));
    case Kind::persistence_query: {
      visit.persistence_done = true;
      if (const auto* service =
              snapshot_->find_service(p.info.tuple.dst, p.info.tuple.dst_port, p.info.tuple.protocol)) {
        // The one who asked may have an older snapshot, in which the pool persisted.
        const snapshot::Pool& pool = snapshot_->pools[service->pool];
        if (pool.persistence_timeout != 0) visit.persisted = persistent_backend(pool, p);
      }
      return finish(p, give(p, message.from, Kind::persistence_answer, Handover::persistence, visit));
    }
    case Kind::grant_query: {
      const snapshot::Backend* backend = snapshot_->backend_of_slot(message.backend);
      // The asker may still run a snapshot with a limit that is gone here: it gets a real token all the same, because
      // whatever is given out comes back.
      const std::uint32_t limit = backend == nullptr || backend->max_connections == 0
                                      ? std::numeric_limits<std::uint32_t>::max()
                                      : backend->max_connections;
      const bool given = shared_.limits.try_grant(config_.index, message.backend, limit);
      visit.granted = message.backend;
      const Fate fate =
          give(p, message.from, given ? Kind::grant_given : Kind::grant_denied, Handover::connection_limit, visit);
      if (given && fate.exit == Exit::dropped) shared_.limits.release(config_.index, message.backend);
      return finish(p, fate);
    }
    case Kind::grant_given:
      visit.granted = message.backend;
      break;
    case Kind::grant_denied: {
      auto free = std::find(visit.denied.begin(), visit.denied.end(), kNoSlot);
      if (free == visit.denied.end()) {
        return finish(p, reject(p, DropReason::backend_limit));
      }
      *free = message.backend;
      break;
    }
    default:
      break;  // packet, persistence_answer
  }
  const Fate fate = resume(p, visit);
  // A token that came back for a packet that did not start a flow (a twin did meanwhile) is returned by
  // start_service_flow or here.
  if (visit.granted != kNoSlot && !grant_used_) shared_.limits.release(config_.index, visit.granted);
  grant_used_ = false;
  finish(p, fate);
}

void Worker::timers() {
  resets_left_ = std::min(resets_left_, room_to_send() / 2);  // what the traffic left
  // At least one: flows end even where a port takes nothing more.
  flows_.expire(now_ms_, std::clamp(resets_left_, 1u, kExpiryPerStep), [this](flow::Flow& flow) {
    note_expiry(flow);
    // Its connection may live on the other box.
    if (flow.state == flow::State::tcp_established && flow.reset_on_expiry && is_active(flow.group)) reset_both(flow);
    end_flow(flow);
  });
  if (sweeping_) sweep();
  fragments_.advance(now_, [this](const flow::HeldFragment& held, const Tuple*) { give_up(held); });
  if (resolver_ && snapshot_ != nullptr) resolver_->advance(now_, *this);
  neighbors_.advance(now_,
                     [this](const neighbor::Held& held, const neighbor::Neighbor& to) { release_held(held, to); });
  send_wanted();
  if (shared_.mailboxes.workers() > 1 && now_ - load_gathered_ >= kMillisecond) {
    load_.gather();
    load_gathered_ = now_;
  }
  counters_.flows_now.set(flows_.size());
  counters_.neighbors_now.set(neighbors_.size());
  counters_.fragments_now.set(fragments_.entries());
}

Nanos Worker::next_deadline() const {
  if (sweeping_ || control_pending()) return now_;
  const Nanos flows = now_ + flows_.ms_until_expiry(now_ms_) * kMillisecond;
  Nanos at = std::min({flows, fragments_.next_deadline(), neighbors_.next_deadline()});
  if (resolver_) at = std::min(at, resolver_->next_deadline());
  if (proxies_) at = std::min(at, proxies_->next_deadline(now_));
  if (groups_left_) at = std::min(at, group_sweep_mask_ != 0 ? now_ : now_ + kGroupLook);
  return at;
}

void Worker::end_flow(flow::Flow& flow) {
  if (flow.kind == flow::Kind::service) {
    counters_.service[flow.service_slot].flows_ended.add(1);
    counters_.backend[flow.backend_slot].flows_ended.add(1);
    load_.ended(flow.backend_slot);
    if (flow.limited) shared_.limits.release(config_.index, flow.backend_slot);
  }
  if (flow.local_slot != kNoSlot) ports_.free(port_pair(flow), flow.local_port, now_);
  flows_.erase(flow);
}

std::size_t Worker::held() const {
  return neighbors_.held() + fragments_.held();
}

}  // namespace headgate::worker
