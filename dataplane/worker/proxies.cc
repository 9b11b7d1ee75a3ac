#include "dataplane/worker/proxies.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace headgate::worker {

using snapshot::Ends;
using snapshot::Service;
using tcp::ConnectionId;
using tcp::Speaker;

namespace {

constexpr Nanos kPublishEvery = 100 * kMillisecond;

// The memory of one worker's engine, with 65,536 connections and 32 MB: connections 20 MB, their table 0.5 MB, legs
// 2 MB, sessions 13 MB (all touched as they are first used), half-open 0.9 MB, TIME-WAIT 2.6 MB, pieces 1.2 MB.
tcp::Config engine_config(const ProxyConfig& config) {
  tcp::Config out;
  out.connections = config.connections;
  out.half_open = std::max(1024u, config.connections / 4);
  out.time_waits = std::max(1024u, config.connections);
  out.memory = config.memory;
  // Each holds a part of a buffer of 2 KiB or more; a few small ones share theirs.
  out.pieces = static_cast<std::uint32_t>(config.memory / 1024) + 4096;
  out.troubled = std::max(256u, config.connections / 16);
  out.reassemblies = std::max(256u, config.connections / 16);
  out.secret = config.secret;
  tcp::Profile profile;
  profile.cubic = profile.rack = profile.prr = true;
  out.profiles = {profile};
  return out;
}

// HTTP sessions: 120 B each, 48 B a backend connection, and for each request under way 25 KB, kept once it was needed:
// 100 MB with 65,536 connections of which 4,096 wait for a response. Half of the connections are the backends', so that
// it is the sessions that run out first, where idle ones give way.
http::ProxyConfig http_config(const ProxyConfig& config, unsigned worker, unsigned workers) {
  http::ProxyConfig out;
  out.sessions = out.links = out.queue = std::max(1u, config.connections / 2);
  out.transactions = std::clamp(config.connections / 16, std::min(64u, out.sessions), 4096u);
  out.heads = 2 * out.transactions;  // a request's is held until its response has one, too
  out.idle_links = std::max(1u, config.connections / 8);
  out.workers = workers;
  out.seed = config.secret[1] ^ worker;
  return out;
}

std::uint32_t ms(Nanos span) {
  return static_cast<std::uint32_t>(span / kMillisecond);
}

}  // namespace

Proxies::Proxies(const ProxyConfig& config, const ProxyParts& parts, Nanos now)
    : parts_(parts),
      buffers_(parts.pool, config.own_buffers),
      legs_(config.connections),
      asked_(snapshot::kBackendSlots),
      own_cookie_key_(config.cookie_key),
      now_(now),
      memory_max_(config.memory),
      engine_(engine_config(config), *this, buffers_, now),
      relay_(config.connections, engine_, *this, parts.counters.sessions, now),
      http_(http_config(config, parts.worker, parts.mailboxes.workers()), engine_, *this,
            {parts.counters.sessions, parts.counters.http}, &access_log_, now),
      burst_(buffers_) {
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    if (parts.steering.worker_of(bucket) == parts.worker) buckets_.push_back(static_cast<std::uint8_t>(bucket));
  }
  HEADGATE_CHECK(!legs_.empty() && !buckets_.empty());
}

Proxies::~Proxies() {
  for (const Spare& spare : spares_) parts_.limits.release(parts_.worker, spare.backend);
}

void Proxies::begin(Nanos now, const snapshot::Snapshot* snapshot, bool layout) {
  now_ = now;
  snapshot_ = snapshot;
  access_log_.use(snapshot);
  http_.tick(now, unix_s_);
  if (snapshot == nullptr) return;
  if (layout) {
    sync_listeners();
    sync_sites();
    sync_cookie_keys();
  }
  if (snapshot->generation != generation_) http_.close_unusable();
  generation_ = snapshot->generation;
}

// Requests that begin from here follow the new configuration; sessions of a service that is gone end with their next
// response.
void Proxies::sync_sites() {
  std::vector<ServiceId> before;
  before.swap(http_services_);
  for (const Service& service : snapshot_->services) {
    if (service.ends != Ends::http) continue;
    http_.update(service.id, service.site);
    http_services_.push_back(service.id);
  }
  for (const ServiceId id : before) {
    if (std::ranges::find(http_services_, id) == http_services_.end()) http_.update(id, nullptr);
  }
}

void Proxies::sync_cookie_keys() {
  std::vector<SipKey> keys = snapshot_->cookie_keys;
  if (keys.empty()) keys.push_back(own_cookie_key_);
  if (keys == cookie_keys_) return;
  cookie_keys_ = std::move(keys);
  http_.set_cookie_keys(cookie_keys_);
}

// Listeners of services that are gone close: half-open connections end, established ones stay.
void Proxies::sync_listeners() {
  const auto proxied = [this](const IpAddress& address, std::uint16_t port) -> const Service* {
    const Service* service = snapshot_->find_service(address, port, kProtocolTcp);
    return service != nullptr && service->proxied() ? service : nullptr;
  };
  for (std::size_t i = 0; i < listening_.size(); ++i) {
    if (!listening_[i].open) continue;
    if (const Service* service = proxied(listening_[i].address, listening_[i].port)) {
      listening_[i].service = service->id;
    } else {
      engine_.unlisten(static_cast<std::uint16_t>(i));
      listening_[i].open = false;
    }
  }
  for (const Service& service : snapshot_->services) {
    if (!service.proxied()) continue;
    const auto number = engine_.listen(service.address, service.port);
    if (!number) continue;  // it listens
    if (*number >= listening_.size()) listening_.resize(*number + std::size_t{1});
    listening_[*number] = {service.address, service.port, true, service.id};
  }
  std::uint32_t mtu = snapshot::kMtuMax;
  for (const snapshot::Interface& interface : snapshot_->interfaces) mtu = std::min<std::uint32_t>(mtu, interface.mtu);
  engine_.set_mtu(mtu);
}

// -- the engine's turn

proxy::Added Proxies::take(rte_mbuf* mbuf, const packet::PacketInfo& info) {
  if (burst_.full()) feed();
  return burst_.add(mbuf, info);
}

void Proxies::feed() {
  engine_.input(burst_.segments(), now_);
  burst_.clear();
}

void Proxies::settle(Nanos now) {
  now_ = now;
  if (!burst_.empty()) feed();
  drop_spare_places();
  engine_.advance(now);
  relay_.advance(now);
  http_.advance(now);
  engine_.flush(now);
  if (has_news() && now - published_ >= kPublishEvery) publish_counters();
}

// Since the counters were published; a timer that ends a connection sends something, too.
bool Proxies::has_news() const {
  return engine_.counters().segments_in + engine_.counters().segments_out != published_segments_;
}

void Proxies::publish_counters() {
  published_ = now_;
  published_segments_ = engine_.counters().segments_in + engine_.counters().segments_out;
  telemetry::WorkerCounters& out = parts_.counters;
  const tcp::Counters& in = engine_.counters();
#define X(name, text) out.engine[static_cast<unsigned>(telemetry::EngineCounter::name)].set(in.name);
  HEADGATE_ENGINE_COUNTERS(X)
#undef X
  const http::ProxyGauges http = http_.gauges();
  out.connections_now.set(engine_.connections());
  out.sessions_now.set(relay_.sessions() + http.sessions_now);
  out.http_requests_now.set(http.transactions_now);
  out.http_idle_links_now.set(http.idle_links_now);
  out.half_open_now.set(engine_.half_open());
  out.time_waits_now.set(engine_.time_waits());
  out.tcp_memory_now.set(engine_.memory());
}

void Proxies::sent(std::size_t count) {
  engine_.clear_output(count);
}

Nanos Proxies::next_deadline(Nanos now) const {
  if (!const_cast<tcp::Engine&>(engine_).output().empty()) return now;
  const Nanos spare = spares_.empty() ? kNever : spares_.front().until;
  const Nanos publish = has_news() ? published_ + kPublishEvery : kNever;
  return std::min({engine_.next_deadline(now), relay_.next_deadline(now), http_.next_deadline(now), spare, publish});
}

// -- events, to who speaks on the connection

proxy::Plan Proxies::plan_of(const Service& service, const IpAddress& client) const {
  const snapshot::ProxySpec& spec = *service.proxy;
  // What the configuration allows is shared among the workers, as clients are.
  const unsigned workers = parts_.mailboxes.workers();
  return {.service = service.id,
          .pool = snapshot_->pools[service.pool].id,
          .slot = service.slot,
          .connect_timeout_ms = ms(spec.connect_timeout),
          .queue_timeout_ms = ms(spec.queue_timeout),
          .idle_timeout_ms = ms(spec.idle_timeout),
          .half_closed_timeout_ms = ms(spec.half_closed_timeout),
          .queue_limit = (spec.queue_limit + workers - 1) / workers,
          .attempts = static_cast<std::uint8_t>(std::min(spec.connect_attempts, proxy::kConnectAttemptsMax)),
          .send_header = spec.send_header,
          .expects_header =
              std::ranges::any_of(spec.header_from, [&](const IpPrefix& prefix) { return prefix.contains(client); })};
}

void Proxies::accepted(ConnectionId id, std::uint16_t listener) {
  const Service* service = snapshot_ == nullptr ? nullptr : snapshot_->service_of(listening_[listener].service);
  if (service == nullptr || !service->proxied()) return engine_.abort(id);
  legs_[id.index] = {
      .generation = id.generation, .service = service->slot, .began = tcp::tick_of(now_), .group = service->group};
  parts_.counters.service[service->slot].flows_started.add(1);
  if (service->ends == Ends::tcp_proxy) {
    relay_.start(id, plan_of(*service, engine_.info(id)->tuple.src), now_);
  } else {
    const Tuple tuple = engine_.info(id)->tuple;
    http_.accepted(
        id, service->id, service->slot, service->site,
        {.address = tuple.src, .service_address = tuple.dst, .port = tuple.src_port, .service_port = tuple.dst_port});
  }
}

void Proxies::connected(ConnectionId id) {
  if (const Leg* own = leg(id); own != nullptr && own->backend != kNoSlot)
    parts_.counters.conduct[own->backend].connects.add(1);
  switch (tcp::speaker_of(engine_.user(id))) {
    case Speaker::relay:
      return relay_.connected(id, now_);
    case Speaker::http:
      return http_.connected(id);
    case Speaker::none:
      break;
  }
}

void Proxies::data(ConnectionId id) {
  switch (tcp::speaker_of(engine_.user(id))) {
    case Speaker::relay:
      return relay_.data(id, now_);
    case Speaker::http:
      return http_.data(id);
    case Speaker::none:
      break;
  }
}

void Proxies::writable(ConnectionId id) {
  // What is spliced waits inside the engine.
  if (tcp::speaker_of(engine_.user(id)) == Speaker::http) http_.writable(id);
}

void Proxies::fin(ConnectionId id) {
  switch (tcp::speaker_of(engine_.user(id))) {
    case Speaker::relay:
      return relay_.fin(id, now_);
    case Speaker::http:
      return http_.fin(id);
    case Speaker::none:
      break;
  }
}

void Proxies::reset(ConnectionId id, tcp::CloseReason reason) {
  switch (tcp::speaker_of(engine_.user(id))) {
    case Speaker::relay:
      return relay_.reset(id, reason, now_);
    case Speaker::http:
      return http_.reset(id, reason);
    case Speaker::none:
      break;
  }
}

void Proxies::closed(ConnectionId id, tcp::CloseReason reason) {
  switch (tcp::speaker_of(engine_.user(id))) {
    case Speaker::relay:
      return relay_.closed(id, now_);
    case Speaker::http:
      return http_.closed(id, reason);
    case Speaker::none:
      break;
  }
}

// Everything that the connection held is given back here and nowhere else.
void Proxies::released(ConnectionId id) {
  Leg* own = leg(id);
  if (own == nullptr) return;
  if (own->backend == kNoSlot) {
    parts_.counters.service[own->service].flows_ended.add(1);
  } else {
    parts_.counters.backend[own->backend].flows_ended.add(1);
    parts_.load.ended(own->backend);
    if (own->limited) give_place_back(own->backend);
    parts_.ports.free(port_pair(*own), own->local_port, now_);
  }
  *own = {};
}

}  // namespace headgate::worker
