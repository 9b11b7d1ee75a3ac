#include "dataplane/http/proxy.h"

#include <algorithm>
#include <cstddef>

#include "dataplane/http/proxy_core.h"

namespace headgate::http {
namespace {

using Ending = tcp::Dialer::Ending;

constexpr std::uint64_t kIndexMask = 0xffffffff;

Session* find_session(Core& k, std::uint64_t user, tcp::ConnectionId id) {
  const auto index = static_cast<std::uint32_t>(user & kIndexMask);
  if ((user & kLinkBit) != 0 || index >= k.sessions.touched()) return nullptr;
  Session& s = k.sessions[index];
  return s.client == id ? &s : nullptr;
}

Link* find_link(Core& k, std::uint64_t user, tcp::ConnectionId id) {
  if ((user & kLinkBit) == 0) return nullptr;
  return k.links.find(static_cast<std::uint32_t>(user & kIndexMask), id);
}

std::uint32_t index_of(std::uint64_t user) {
  return static_cast<std::uint32_t>(user & kIndexMask);
}

// What became of a session without drive() having been asked.
void follow(Core& k, Session& s, Step step) {
  if (step == Step::again) drive(k, s);
}

void link_connected(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  t.dialed_for = k.now - t.dialed_at;
  k.sessions_of(s).connect.add(t.dialed_for);
  follow(k, s, start_relay(k, s));
}

// A connection that nobody uses: idle, or on its way out.
void unused_link_speaks(Core& k, std::uint32_t index) {
  const Link& link = k.links[index];
  if (link.state == Link::State::idle) k.counters.http[link.slot].of(HttpCounter::stale).add(1);
  k.engine.abort(k.links[index].id);
  end_link(k, index, Ending::closed);
}

void link_fin(Core& k, std::uint32_t index) {
  Link& link = k.links[index];
  link.fin = true;
  if (link.state == Link::State::idle) return close_link(k, index);
  if (link.session == kNone) return;
  Session& s = k.sessions[link.session];
  if (s.phase == Phase::tunnel) return tunnel_ended(k, s, false);
  drive(k, s);
}

// In order after both sides had ended, or broken: by a reset of the backend's, or by ours (`reason`), for which the
// backend is not to blame.
void link_over(Core& k, std::uint32_t index, bool broken, tcp::CloseReason reason) {
  const Link& link = k.links[index];
  const bool by_peer = broken && reason == tcp::CloseReason::reset_by_peer;
  if (by_peer && link.state == Link::State::busy) k.counters.sessions[link.slot].backend_resets.add(1);
  const std::uint32_t session = link.session;
  if (session == kNone) {
    if (broken) k.engine.abort(link.id);
    return end_link(k, index, Ending::closed);
  }
  Session& s = k.sessions[session];
  Transaction& t = k.transaction_of(s);
  if (s.phase == Phase::dialing) {
    abort_link(k, t, reason == tcp::CloseReason::terminated ? Ending::closed : Ending::connect_failed);
    return follow(k, s, dial_failed(k, s, false));
  }
  if (s.phase == Phase::tunnel) {
    abort_link(k, t, by_peer ? Ending::reset : Ending::closed);
    return follow(k, s, tunnel_closed(k, s, false, broken));
  }
  if (!t.answered) return follow(k, s, link_broke(k, s, by_peer ? Ending::reset : Ending::closed));
  abort_link(k, t, by_peer ? Ending::reset : Ending::closed);
  abort_session(k, s, Termination::backend_closed);
}

void client_fin(Core& k, Session& s) {
  s.fin = true;
  if (s.phase == Phase::tunnel) return tunnel_ended(k, s, true);
  drive(k, s);
}

void client_over(Core& k, Session& s, bool broken) {
  if (s.phase == Phase::tunnel) {
    tunnel_closed(k, s, true, broken);
    return;
  }
  abort_session(k, s, Termination::client_closed);
}

}  // namespace

const RequestOptions Transaction::kNoOptions;

Core::Core(const ProxyConfig& configuration, tcp::Engine& tcp_engine, tcp::Dialer& tcp_dialer,
           const ProxyCounters& worker_counters, AccessSink* sink, Nanos start)
    : config(configuration),
      engine(tcp_engine),
      dialer(tcp_dialer),
      log(sink),
      now(start),
      sessions(config.sessions),
      wheel(sessions.storage() + offsetof(Session, wheel), sizeof(Session), start),
      links(config.links, config.idle_links),
      transactions(config.transactions),
      heads(config.heads),
      signer(config.cookie_keys),
      scratch(std::make_unique<Scratch>()),
      counters(worker_counters) {}

void append(Core& k, SessionList& list, Session& s) {
  s.previous = list.tail;
  s.next = kNone;
  (list.tail == kNone ? list.head : k.sessions[list.tail].next) = k.index_of(s);
  list.tail = k.index_of(s);
  ++list.size;
}

void remove(Core& k, SessionList& list, Session& s) {
  (s.previous == kNone ? list.head : k.sessions[s.previous].next) = s.next;
  (s.next == kNone ? list.tail : k.sessions[s.next].previous) = s.previous;
  s.previous = s.next = kNone;
  --list.size;
}

void set_phase(Core& k, Session& s, Phase phase) {
  if (s.phase == Phase::queued && phase != Phase::queued) leave_queue(k, s);
  if (s.listed) remove(k, k.idle, s);
  s.listed = phase == Phase::idle && s.requests != 0;
  if (s.listed) append(k, k.idle, s);
  s.phase = phase;
  s.since = k.now;
  s.seen = 0;
  arm(k, s);
}

void drive(Core& k, Session& s) {
  for (Step step = Step::again; step == Step::again;) {
    switch (s.phase) {
      case Phase::idle:
        step = begin_request(k, s);
        break;
      case Phase::head:
        step = read_request(k, s);
        break;
      case Phase::relay:
        step = relay(k, s);
        break;
      case Phase::closing:
        step = linger(k, s);
        break;
      case Phase::queued:
      case Phase::asking:
      case Phase::dialing:
      case Phase::tunnel:
        return;
    }
  }
}

Proxy::Proxy(const ProxyConfig& config, tcp::Engine& engine, tcp::Dialer& dialer, const ProxyCounters& counters,
             AccessSink* log, Nanos now)
    : core_(std::make_unique<Core>(config, engine, dialer, counters, log, now)) {}

Proxy::~Proxy() = default;

void Proxy::tick(Nanos now, std::int64_t unix_s) {
  Core& k = *core_;
  k.now = now;
  ++k.turn;
  if (k.unix_s == unix_s) return;
  k.unix_s = unix_s;
  k.date_length = write_http_date(unix_s, k.date);
}

bool Proxy::accepted(tcp::ConnectionId id, ServiceId service, Slot slot, const std::shared_ptr<const Site>& site,
                     const Client& client) {
  Core& k = *core_;
  std::uint32_t index = k.sessions.allocate();
  // The cheapest work goes first (design section 5): a client between two requests can come again.
  if (index == kNone && k.idle.size != 0) {
    Session& oldest = k.sessions[k.idle.head];
    k.count(oldest, HttpCounter::sessions_shed);
    abort_session(k, oldest, Termination::shed);
    index = k.sessions.allocate();
  }
  if (index == kNone) {
    k.counters.http[slot].of(HttpCounter::sessions_refused).add(1);
    k.engine.abort(id);
    return false;
  }
  Session& s = k.sessions[index];
  s.client = id;
  s.who = client;
  s.service = k.sites.open(service, slot, site);
  k.count(s, HttpCounter::sessions);
  k.engine.set_user(id, tcp::user_word(tcp::Speaker::http, index));
  set_phase(k, s, Phase::idle);
  return true;
}

void Proxy::connected(tcp::ConnectionId id) {
  Core& k = *core_;
  const Link* link = find_link(k, k.engine.user(id), id);
  if (link == nullptr || link->session == kNone) return;
  link_connected(k, k.sessions[link->session]);
}

void Proxy::data(tcp::ConnectionId id) {
  Core& k = *core_;
  const std::uint64_t user = k.engine.user(id);
  if (Session* s = find_session(k, user, id)) return drive(k, *s);
  const Link* link = find_link(k, user, id);
  if (link == nullptr) return;
  if (link->session == kNone) return unused_link_speaks(k, index_of(user));
  drive(k, k.sessions[link->session]);
}

void Proxy::writable(tcp::ConnectionId id) {
  Core& k = *core_;
  const std::uint64_t user = k.engine.user(id);
  if (Session* s = find_session(k, user, id)) return drive(k, *s);
  const Link* link = find_link(k, user, id);
  if (link != nullptr && link->session != kNone) drive(k, k.sessions[link->session]);
}

void Proxy::fin(tcp::ConnectionId id) {
  Core& k = *core_;
  const std::uint64_t user = k.engine.user(id);
  if (Session* s = find_session(k, user, id)) return client_fin(k, *s);
  if (find_link(k, user, id) != nullptr) link_fin(k, index_of(user));
}

void Proxy::reset(tcp::ConnectionId id, tcp::CloseReason reason) {
  Core& k = *core_;
  const std::uint64_t user = k.engine.user(id);
  if (Session* s = find_session(k, user, id)) {
    if (reason == tcp::CloseReason::reset_by_peer) k.sessions_of(*s).client_resets.add(1);
    return client_over(k, *s, true);
  }
  if (find_link(k, user, id) != nullptr) link_over(k, index_of(user), true, reason);
}

void Proxy::closed(tcp::ConnectionId id, tcp::CloseReason reason) {
  Core& k = *core_;
  const std::uint64_t user = k.engine.user(id);
  if (Session* s = find_session(k, user, id)) return client_over(k, *s, false);
  if (find_link(k, user, id) != nullptr) link_over(k, index_of(user), false, reason);
}

void Proxy::advance(Nanos now) {
  core_->now = now;
  http::advance(*core_);
}

Nanos Proxy::next_deadline(Nanos now) const {
  return http::next_deadline(*core_, now);
}

void Proxy::update(ServiceId service, const std::shared_ptr<const Site>& site) {
  core_->sites.update(service, site);
}

void Proxy::set_cookie_keys(std::span<const SipKey> keys) {
  core_->signer = CookieSigner(keys);
}

void Proxy::close_unusable() {
  Core& k = *core_;
  for (std::uint32_t index = k.links.idle().head; index != kNone;) {
    const std::uint32_t next = k.links[index].next;
    if (!k.dialer.usable(k.links[index].backend)) close_link(k, index);
    index = next;
  }
}

ProxyGauges Proxy::gauges() const {
  const Core& k = *core_;
  return {.sessions_now = k.sessions.used(),
          .transactions_now = k.transactions.used(),
          .links_now = k.links.used(),
          .idle_links_now = k.links.idle().size,
          .queued_now = k.queue.size,
          .heads_now = k.heads.used()};
}

std::string Proxy::audit() const {
  Core& k = *core_;
  if (k.sites.sessions() > k.sessions.used()) return "a service has more sessions than there are";
  if (k.sites.holds() != k.transactions.used()) return "sites are held by other than the requests under way";
  if (k.transactions.used() > k.sessions.used()) return "more requests than sessions";
  if (k.heads.used() > 2 * k.transactions.used()) return "head buffers leak";
  if (k.links.used() < k.links.idle().size + k.links.closing().size) return "links leak";
  for (std::uint32_t i = k.links.idle().head; i != kNone; i = k.links[i].next) {
    if (k.links[i].session != kNone || k.links[i].state != Link::State::idle) return "an idle link is in use";
    if (!k.engine.info(k.links[i].id)) return "an idle link has no connection";
  }
  std::uint32_t queued = 0;
  for (std::uint32_t i = k.queue.head; i != kNone; i = k.sessions[i].next, ++queued) {
    if (k.sessions[i].phase != Phase::queued) return "a session that does not wait is in the queue";
  }
  if (queued != k.queue.size) return "the queue has another length";
  std::uint32_t idle = 0;
  for (std::uint32_t i = k.idle.head; i != kNone; i = k.sessions[i].next, ++idle) {
    if (k.sessions[i].phase != Phase::idle || !k.sessions[i].listed)
      return "a session in use is in the list of idle ones";
  }
  return idle == k.idle.size ? "" : "the list of idle sessions has another length";
}

}  // namespace headgate::http
