// Backends for sessions: the turn of the pool's algorithm, a place below the backend's limit, a local port whose
// replies come back to this worker, and a connection.
#include <algorithm>

#include "dataplane/worker/proxies.h"

namespace headgate::worker {

using snapshot::Backend;
using snapshot::Pool;
using snapshot::Service;
using tcp::ConnectionId;
using tcp::DialFailure;

namespace {

constexpr unsigned kPortTries = 16;         // (bucket, local address) pairs, and ports that TIME-WAIT holds
constexpr std::uint8_t kAsksUnderWay = 16;  // for places of one backend
constexpr std::size_t kSparesMax = 1024;
constexpr Nanos kSpareLives = 10 * tcp::kDialAgain;
constexpr Nanos kAnswerLives = 100 * tcp::kDialAgain;  // later it is lost

}  // namespace

// True when some backend is left out because it is at its limit.
bool Proxies::exclude(const tcp::Wish& wish, const Pool& pool) {
  excluded_.clear();
  for (const BackendId id : wish.avoid) {
    if (const std::uint16_t* index = snapshot_->backends_by_id.find(id.value)) excluded_.add(*index);
  }
  bool full = false;
  if (!wish.connect || !pool.any_limit) return full;
  for (const std::uint16_t index : pool.usable) {
    const Backend& backend = snapshot_->backends[index];
    if (backend.max_connections == 0 || parts_.limits.in_use(backend.slot) < backend.max_connections) continue;
    if (std::ranges::any_of(spares_, [&](const Spare& spare) { return spare.backend == backend.slot; })) continue;
    full |= !excluded_.contains(index);
    excluded_.add(index);
  }
  return full;
}

Proxies::Pick Proxies::pick(const tcp::Wish& wish) {
  Pick out;
  out.pool = snapshot_ == nullptr ? nullptr : snapshot_->pool_of(wish.pool);
  if (out.pool == nullptr) return {.failure = DialFailure::gone};
  const Pool& pool = *out.pool;
  const bool full = exclude(wish, pool);
  const auto index_of = [&](const Backend* backend) {
    return static_cast<std::uint16_t>(backend - snapshot_->backends.data());
  };
  const Backend* preferred = wish.preferred ? snapshot_->backend_of(wish.preferred) : nullptr;
  if (preferred != nullptr && preferred->usable() && &snapshot_->pools[preferred->pool] == &pool &&
      !excluded_.contains(index_of(preferred))) {
    out.backend = index_of(preferred);
    out.by = "its cookie";
    return out;
  }
  // The worker that decides for this client's prefix was asked when the handshake completed; its answer is in our
  // table.
  if (pool.persistence_timeout != 0) out.backend = parts_.persistence.find(*snapshot_, pool, wish.client, now_);
  out.by = "persistence";
  if (out.backend != snapshot::kNone && !excluded_.contains(out.backend)) return out;
  out.choice = parts_.balancer.peek(*snapshot_, pool, {wish.client, wish.client_port, kProtocolTcp}, parts_.load.view(),
                                    excluded_);
  out.backend = out.choice.backend;
  out.by = "the pool's algorithm";
  if (!out.choice) out.failure = full ? DialFailure::at_limit : DialFailure::no_backend;
  return out;
}

Proxies::Chosen Proxies::choose(const tcp::Wish& wish) {
  const Pick picked = pick(wish);
  if (picked.failure != DialFailure::none) return {.failure = picked.failure};
  const BackendId id = snapshot_->backends[picked.backend].id;
  if (id == wish.preferred) return {.backend = id};
  if (picked.choice) parts_.balancer.take(*snapshot_, *picked.pool, picked.choice, excluded_);
  if (picked.pool->persistence_timeout != 0)
    parts_.persistence.remember(*snapshot_, *picked.pool, wish.client, picked.backend, now_);
  return {.backend = id};
}

Proxies::WouldChoose Proxies::would_choose(const tcp::Wish& wish) {
  const Pick picked = pick(wish);
  switch (picked.failure) {
    case DialFailure::none:
      return {snapshot_->backends[picked.backend].id, picked.by};
    case DialFailure::at_limit:
      return {{}, "all that could serve are at their limit of connections"};
    case DialFailure::gone:
      return {{}, "the pool is gone"};
    default:
      return {{}, "no backend can serve"};
  }
}

Proxies::Dialed Proxies::dial(ServiceId service_id, BackendId backend_id, std::uint64_t user) {
  const Service* service = snapshot_ == nullptr ? nullptr : snapshot_->service_of(service_id);
  const Backend* backend = snapshot_ == nullptr ? nullptr : snapshot_->backend_of(backend_id);
  if (service == nullptr || backend == nullptr) return {.failure = DialFailure::gone};
  const auto refuse = [&](telemetry::DropReason reason, DialFailure failure) {
    parts_.counters.service_refused[service->slot].add(reason);
    return Dialed{.failure = failure};
  };
  Leg leg{.service = service->slot,
          .backend = backend->slot,
          .began = tcp::tick_of(now_),
          .group = service->group,
          .v4 = backend->address.is_v4()};
  if (backend->max_connections != 0) {
    const Place place = take_place(*backend);
    if (place != Place::given) return {.failure = place == Place::asked ? DialFailure::asked : DialFailure::at_limit};
    leg.limited = true;
  }
  const auto id = connect(*service, *backend, leg);
  if (!id) {
    if (leg.limited) give_place_back(backend->slot);
    const bool full = engine_.connections() == capacity();
    return full ? refuse(telemetry::DropReason::flow_table_full, DialFailure::no_memory)
                : refuse(telemetry::DropReason::local_ports_exhausted, DialFailure::no_port);
  }
  engine_.set_user(*id, user);
  leg.generation = id->generation;
  legs_[id->index] = leg;
  parts_.counters.backend[backend->slot].flows_started.add(1);
  parts_.load.started(backend->slot);
  return {.connection = *id};
}

// Ports are those of flows: unique towards an endpoint, of a class that brings the reply to a bucket of this worker.
std::optional<ConnectionId> Proxies::connect(const Service& service, const Backend& backend, Leg& leg) {
  const auto& locals = leg.v4 ? service.local_v4 : service.local_v6;
  const std::uint16_t port = backend.port != 0 ? backend.port : service.port;
  const std::uint64_t endpoint = parts_.flows.hash({backend.address, IpAddress{}, port, 0, kProtocolTcp});
  leg.endpoint = static_cast<std::uint32_t>(endpoint >> 32);
  for (unsigned i = 0; i < kPortTries && !locals.empty(); ++i) {
    const unsigned bucket = buckets_[next_bucket_++ % buckets_.size()];
    // One address is preferred per (backend, class) until its ports run out, so that port state stays small.
    const std::size_t first = (backend.slot * 31u + bucket) % locals.size();
    const snapshot::LocalAddress& local = snapshot_->local_addresses[locals[(first + i) % locals.size()]];
    Tuple reply{backend.address, local.address, port, 0, kProtocolTcp};
    leg.local = local.slot;
    const auto chosen = parts_.ports.allocate(port_pair(leg), parts_.steering.port_class(reply, bucket), now_);
    if (!chosen) continue;
    reply.dst_port = leg.local_port = *chosen;
    if (parts_.flows.find(reply).flow == nullptr) {
      if (const auto id = engine_.connect(local.address, backend.address, port, tcp::PortSet::range(*chosen, *chosen)))
        return id;
    }
    parts_.ports.free(port_pair(leg), *chosen, now_);
    if (engine_.connections() == capacity()) break;
  }
  return std::nullopt;
}

// What the connection held is given back by released(); here only how the backend behaved is noted.
void Proxies::ended(ConnectionId, BackendId backend_id, Ending ending) {
  const Backend* backend = snapshot_ == nullptr ? nullptr : snapshot_->backend_of(backend_id);
  if (backend == nullptr) return;
  telemetry::BackendConduct& conduct = parts_.counters.conduct[backend->slot];
  if (ending == Ending::connect_failed) conduct.connect_failures.add(1);
  if (ending == Ending::reset) conduct.resets.add(1);
}

bool Proxies::usable(BackendId id) const {
  const Backend* backend = snapshot_ == nullptr ? nullptr : snapshot_->backend_of(id);
  return backend != nullptr && backend->usable();
}

// Idle connections count against the limit, and whoever wants the place may be on another worker or of another service.
bool Proxies::may_keep(BackendId id) const {
  if (!usable(id)) return false;
  const Backend& backend = *snapshot_->backend_of(id);
  return backend.max_connections == 0 || parts_.limits.in_use(backend.slot) <= backend.max_connections / 2;
}

// -- limits: only a backend's home worker grants

Proxies::Place Proxies::take_place(const Backend& backend) {
  const unsigned home = parts_.limits.home_of(backend.slot);
  if (home == parts_.worker) {
    const bool given = parts_.limits.try_grant(home, backend.slot, backend.max_connections);
    return given ? Place::given : Place::full;
  }
  const auto spare = std::ranges::find(spares_, backend.slot, &Spare::backend);
  if (spare != spares_.end()) {
    spares_.erase(spare);
    return Place::given;
  }
  if (parts_.limits.in_use(backend.slot) >= backend.max_connections) return Place::full;
  Asked& asked = asked_[backend.slot];
  if (now_ - asked.last > kAnswerLives) asked.count = 0;
  if (asked.count >= kAsksUnderWay) return Place::asked;
  Message message;
  message.kind = Message::Kind::place_query;
  message.from = static_cast<std::uint8_t>(parts_.worker);
  message.backend = backend.slot;
  if (!parts_.mailboxes.at(parts_.worker, home).push(message)) return Place::full;
  ++asked.count;
  asked.last = now_;
  return Place::asked;
}

void Proxies::give_place_back(Slot backend) {
  parts_.limits.release(parts_.worker, backend);
}

void Proxies::place_given(Slot backend) {
  if (asked_[backend].count != 0) --asked_[backend].count;
  if (spares_.size() == kSparesMax) return give_place_back(backend);
  spares_.push_back({backend, now_ + kSpareLives});
}

void Proxies::place_denied(Slot backend) {
  if (asked_[backend].count != 0) --asked_[backend].count;
}

// Who asked for it is gone, or found another one.
void Proxies::drop_spare_places() {
  while (!spares_.empty() && spares_.front().until <= now_) {
    give_place_back(spares_.front().backend);
    spares_.pop_front();
  }
}

}  // namespace headgate::worker
