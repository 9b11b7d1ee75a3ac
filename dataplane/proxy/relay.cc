#include "dataplane/proxy/relay.h"

#include <algorithm>
#include <cstddef>

#include "dataplane/proxy/header.h"

namespace headgate::proxy {

using tcp::ConnectionId;
using tcp::DialFailure;
using Ending = tcp::Dialer::Ending;

namespace {

constexpr std::uint32_t kAskAgainMs = tcp::kDialAgain / kMillisecond;

bool live(ConnectionId id) {
  return id.generation != 0;
}

}  // namespace

const char* to_string(Stage stage) {
  static constexpr std::array<const char*, 6> kNames{"free",   "reading header", "asking",
                                                     "queued", "connecting",     "relaying"};
  return kNames[static_cast<std::size_t>(stage)];
}

Relay::Relay(std::uint32_t sessions, tcp::Engine& engine, tcp::Dialer& dialer,
             telemetry::SparseCounters<telemetry::SessionConduct>& counters, Nanos now)
    : engine_(engine),
      dialer_(dialer),
      counters_(counters),
      sessions_(sessions),
      wheel_(sessions_.storage() + offsetof(Session, wheel), sizeof(Session), now),
      queues_(counters.size()),
      now_(now) {
  queueing_.reserve(counters.size());
}

const Session* Relay::at(std::uint32_t position) const {
  const Session& s = sessions_[position];
  return s.stage == Stage::free ? nullptr : &s;
}

std::uint32_t Relay::expires_in_ms(const Session& s, Nanos now) const {
  const tcp::Tick at = s.stage != Stage::relaying         ? s.deadline
                       : s.client_ended || s.server_ended ? s.moved + s.plan.half_closed_timeout_ms
                                                          : s.moved + s.plan.idle_timeout_ms;
  const tcp::Tick tick = tcp::tick_of(now);
  return tcp::serial_before(tick, at) ? at - tick : 0;
}

// Events of a connection that is not ours any more, or never was: nothing.
Relay::Found Relay::find(ConnectionId id) {
  const std::uint64_t user = engine_.user(id);
  const auto index = static_cast<std::uint32_t>((user & 0xff'ffff'ffff'ffff) >> 1);
  if (tcp::speaker_of(user) != tcp::Speaker::relay || index >= sessions_.touched()) return {};
  Session& s = sessions_[index];
  const bool is_client = (user & 1) == 0;
  if (s.stage == Stage::free || (is_client ? s.client : s.server) != id) return {};
  return {&s, is_client};
}

void Relay::start(ConnectionId client, const Plan& plan, Nanos now) {
  now_ = now;
  const auto info = engine_.info(client);
  const std::uint32_t index = info ? sessions_.allocate() : tcp::kNone;
  if (index == tcp::kNone) {
    counters_[plan.slot].unserved.add(1);
    engine_.abort(client);
    return;
  }
  Session& s = sessions_[index];
  s.client = client;
  s.plan = plan;
  s.client_address = info->tuple.src;
  s.client_port = info->tuple.src_port;
  s.called_address = info->tuple.dst;
  s.called_port = info->tuple.dst_port;
  s.started = now;
  s.moved = tcp::tick_of(now);
  engine_.set_user(client, tcp::user_word(tcp::Speaker::relay, std::uint64_t{index} << 1));
  if (!plan.expects_header) return begin(s);
  s.stage = Stage::reading_header;
  set_deadline(s, kHeaderTimeout / kMillisecond);
}

// Each time from the start: at most kHeaderV2Max bytes, however small they are cut.
void Relay::read_header(Session& s) {
  std::array<std::uint8_t, kHeaderV2Max> bytes;
  const ParsedHeader header = parse_header(std::span(bytes).first(engine_.peek(s.client, bytes)));
  if (header.verdict == HeaderVerdict::need_more) return;
  if (header.verdict == HeaderVerdict::refused) {
    counters(s).bad_headers.add(1);
    return end(s);
  }
  engine_.discard(s.client, static_cast<std::uint32_t>(header.length));
  if (header.from) {
    s.client_address = header.from->src;
    s.client_port = header.from->src_port;
    s.called_address = header.from->dst;
    s.called_port = header.from->dst_port;
  }
  begin(s);
}

void Relay::begin(Session& s) {
  // Who came first is served first.
  if (queues_[s.plan.slot].count != 0) return enqueue(s);
  seek(s);
}

// The next backend that may have this client.
void Relay::seek(Session& s) {
  for (unsigned turn = 0; turn < 2 * kConnectAttemptsMax; ++turn) {
    if (s.tried_count >= s.plan.attempts) return give_up(s);
    const tcp::Dialer::Chosen chosen = dialer_.choose({.service = s.plan.service,
                                                       .pool = s.plan.pool,
                                                       .client = s.client_address,
                                                       .client_port = s.client_port,
                                                       .avoid = std::span(s.tried).first(s.tried_count),
                                                       .connect = true});
    if (chosen.failure == DialFailure::at_limit) return enqueue(s);
    if (chosen.failure != DialFailure::none) return give_up(s);
    s.backend = chosen.backend;
    s.asks = 0;
    if (dial(s)) return;
  }
  enqueue(s);
}

// False: not this one, choose again.
bool Relay::dial(Session& s) {
  const std::uint64_t user = tcp::user_word(tcp::Speaker::relay, std::uint64_t{index_of(s)} << 1 | 1);
  const tcp::Dialer::Dialed dialed = dialer_.dial(s.plan.service, s.backend, user);
  switch (dialed.failure) {
    case DialFailure::none:
      dequeue(s);
      s.server = dialed.connection;
      s.dialed = now_;
      s.stage = Stage::connecting;
      set_deadline(s, s.plan.connect_timeout_ms);
      return true;
    case DialFailure::asked:
      if (++s.asks > kAsksMax) return false;
      dequeue(s);
      s.stage = Stage::asking;
      set_deadline(s, kAskAgainMs);
      return true;
    case DialFailure::at_limit:
      return false;
    default:
      give_up(s);
      return true;
  }
}

// The backend at hand did not answer, or said no.
void Relay::failed(Session& s) {
  s.tried[s.tried_count++] = s.backend;
  seek(s);
}

void Relay::give_up(Session& s) {
  counters(s).unserved.add(1);
  end(s);
}

void Relay::connected(ConnectionId id, Nanos now) {
  now_ = now;
  const Found found = find(id);
  if (found.session != nullptr && !found.is_client) established(*found.session);
}

void Relay::established(Session& s) {
  s.stage = Stage::relaying;
  counters(s).connect.add(now_ - s.dialed);
  if (s.plan.send_header != snapshot::ProxyHeader::none) {
    HeaderBytes bytes;
    const std::size_t length = write_header(
        bytes, s.plan.send_header, {s.client_address, s.called_address, s.client_port, s.called_port, kProtocolTcp});
    if (!engine_.send_copy(s.server, std::span(bytes).first(length))) return give_up(s);
  }
  engine_.splice(s.client, s.server);
  engine_.splice(s.server, s.client);
  if (s.client_ended) engine_.shutdown(s.server);
  s.moved = tcp::tick_of(now_);
  look_at_progress(s);
}

// Bytes wait in the engine until there is a backend; then they are spliced.
void Relay::data(ConnectionId id, Nanos now) {
  now_ = now;
  const Found found = find(id);
  if (found.session != nullptr && found.session->stage == Stage::reading_header) read_header(*found.session);
}

void Relay::fin(ConnectionId id, Nanos now) {
  now_ = now;
  const Found found = find(id);
  if (found.session == nullptr) return;
  Session& s = *found.session;
  (found.is_client ? s.client_ended : s.server_ended) = true;
  if (s.stage == Stage::reading_header) {
    counters(s).bad_headers.add(1);
    return end(s);
  }
  if (s.stage != Stage::relaying) return;
  const ConnectionId other = found.is_client ? s.server : s.client;
  engine_.shutdown(other);
  s.moved = tcp::tick_of(now_);
  look_at_progress(s);
}

void Relay::reset(ConnectionId id, tcp::CloseReason reason, Nanos now) {
  now_ = now;
  const Found found = find(id);
  if (found.session == nullptr) return;
  Session& s = *found.session;
  const bool by_peer = reason == tcp::CloseReason::reset_by_peer;
  engine_.abort(id);  // it is over already; nothing more is told of it
  if (found.is_client) {
    if (by_peer) counters(s).client_resets.add(1);
    s.client = {};
    return end(s);
  }
  if (s.stage == Stage::connecting) {
    if (reason == tcp::CloseReason::terminated) {  // another one will do, and this one is not to blame
      drop_server(s, Ending::closed);
      return failed(s);
    }
    const bool silent = reason == tcp::CloseReason::timed_out;
    (silent ? counters(s).connect_timeouts : counters(s).connect_failures).add(1);
    drop_server(s, Ending::connect_failed);
    return failed(s);
  }
  if (by_peer) counters(s).backend_resets.add(1);
  drop_server(s, by_peer ? Ending::reset : Ending::closed);
  end(s);
}

void Relay::closed(ConnectionId id, Nanos now) {
  now_ = now;
  const Found found = find(id);
  if (found.session == nullptr) return;
  Session& s = *found.session;
  if (found.is_client) {
    s.client = {};
  } else {
    drop_server(s, Ending::closed);
  }
  end_if_over(s);
}

// -- waiting for a backend below its limit

void Relay::enqueue(Session& s) {
  if (s.stage == Stage::queued) return;
  Queue& queue = queues_[s.plan.slot];
  if (queue.count >= s.plan.queue_limit) {
    counters(s).queue_full.add(1);
    return give_up(s);
  }
  const std::uint32_t index = index_of(s);
  s.stage = Stage::queued;
  s.queue_previous = queue.last;
  s.queue_next = tcp::kNone;
  (queue.last == tcp::kNone ? queue.first : sessions_[queue.last].queue_next) = index;
  queue.last = index;
  if (queue.count++ == 0) queueing_.push_back(s.plan.slot);
  if (waiting_++ == 0) pump_at_ = now_ + kQueuePoll;
  counters(s).waiting_now.set(queue.count);
  const tcp::Tick now = tcp::tick_of(now_);
  if (s.queued == 0) {
    s.queued = now == 0 ? 1 : now;
    counters(s).queued.add(1);
  }
  const std::uint32_t waited = now - s.queued;
  set_deadline(s, waited < s.plan.queue_timeout_ms ? s.plan.queue_timeout_ms - waited : 1);
}

void Relay::dequeue(Session& s) {
  if (s.stage != Stage::queued) return;
  Queue& queue = queues_[s.plan.slot];
  (s.queue_previous == tcp::kNone ? queue.first : sessions_[s.queue_previous].queue_next) = s.queue_next;
  (s.queue_next == tcp::kNone ? queue.last : sessions_[s.queue_next].queue_previous) = s.queue_previous;
  --waiting_;
  if (--queue.count == 0) std::erase(queueing_, s.plan.slot);
  counters(s).waiting_now.set(queue.count);
  s.stage = Stage::asking;
}

// The first of each service, until one of them has to go on waiting.
void Relay::pump_queues() {
  unsigned tries = 0;
  for (std::size_t i = queueing_.size(); i-- > 0 && tries < kQueueTriesMax;) {
    const Slot slot = queueing_[i];
    while (queues_[slot].count != 0 && tries++ < kQueueTriesMax) {
      const std::uint32_t first = queues_[slot].first;
      seek(sessions_[first]);
      if (queues_[slot].first == first) break;
    }
  }
  pump_at_ = now_ + kQueuePoll;
}

// -- time

void Relay::set_deadline(Session& s, std::uint32_t after_ms) {
  s.deadline = tcp::tick_after(now_, Nanos{after_ms} * kMillisecond);
  wheel_.arm(index_of(s), s.deadline);
}

void Relay::advance(Nanos now) {
  now_ = now;
  wheel_.advance(now, kTimersPerTurn, [this](std::uint32_t index) { on_deadline(sessions_[index]); }, [](auto) {});
  if (waiting_ != 0 && now >= pump_at_) pump_queues();
}

Nanos Relay::next_deadline(Nanos now) const {
  const Nanos timers = wheel_.next_deadline(now);
  return waiting_ == 0 ? timers : std::min(timers, pump_at_);
}

void Relay::on_deadline(Session& s) {
  if (tcp::serial_before(tcp::tick_of(now_), s.deadline)) return wheel_.arm(index_of(s), s.deadline);
  switch (s.stage) {
    case Stage::asking:
      if (!dial(s)) seek(s);
      return;
    case Stage::queued:
      counters(s).queue_timeouts.add(1);
      return give_up(s);
    case Stage::connecting:
      counters(s).connect_timeouts.add(1);
      engine_.abort(s.server);
      drop_server(s, Ending::connect_failed);
      return failed(s);
    case Stage::relaying:
      return look_at_progress(s);
    case Stage::reading_header:
      counters(s).bad_headers.add(1);
      return end(s);
    case Stage::free:
      return;
  }
}

// Bytes that move cost nothing here: the session looks at the counters a few times within its timeout, so a timeout may
// come late by the time between two looks.
void Relay::look_at_progress(Session& s) {
  const bool ending = s.client_ended || s.server_ended;
  const std::uint32_t timeout = ending ? s.plan.half_closed_timeout_ms : s.plan.idle_timeout_ms;
  const std::uint64_t progress = engine_.progress(s.client) + engine_.progress(s.server);
  const tcp::Tick now = tcp::tick_of(now_);
  if (progress != s.progress) {
    s.progress = progress;
    s.moved = now;
  }
  const std::uint32_t quiet = now - s.moved;
  if (quiet >= timeout) {
    (ending ? counters(s).half_closed_timeouts : counters(s).idle_timeouts).add(1);
    return end(s);
  }
  set_deadline(s, std::min(timeout - quiet, std::max(timeout / kIdleLooks, 1u)));
}

// -- the end

// Its connection is over or has been aborted.
void Relay::drop_server(Session& s, Ending ending) {
  if (!live(s.server)) return;
  dialer_.ended(s.server, s.backend, ending);
  s.server = {};
}

// Whatever still lives is reset.
void Relay::end(Session& s) {
  dequeue(s);
  if (live(s.client)) engine_.abort(s.client);
  if (live(s.server)) engine_.abort(s.server);
  s.client = {};
  drop_server(s, Ending::closed);
  end_if_over(s);
}

void Relay::end_if_over(Session& s) {
  if (live(s.client) || live(s.server)) return;
  const std::uint32_t index = index_of(s);
  wheel_.disarm(index);
  if (s.stage == Stage::relaying) counters(s).total.add(now_ - s.started);
  s.stage = Stage::free;
  sessions_.free(index);
}

}  // namespace headgate::proxy
