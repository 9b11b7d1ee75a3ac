// Time: one deadline a session, which follows from its phase and from when that began or something last moved; looked
// at when an earlier one comes, so that progress costs nothing.
#include <algorithm>

#include "dataplane/http/proxy_core.h"

namespace headgate::http {
namespace {

using Ending = tcp::Dialer::Ending;

// Whether `bytes`, a count that grows as the peer takes what is queued, went on well enough to wait once more.
bool goes_on(Core& k, Session& s, std::uint64_t bytes) {
  if (bytes < s.seen + kProgressMin) return false;
  s.seen = bytes;
  s.since = k.now;
  return true;
}

bool takes_what_is_queued(Core& k, Session& s, tcp::ConnectionId id) {
  const auto info = k.engine.info(id);
  return info && info->unacknowledged + info->unsent != 0 && goes_on(k, s, info->bytes_acked);
}

Step idle_timeout(Core& k, Session& s) {
  if (takes_what_is_queued(k, s, s.client)) return Step::wait;
  k.count(s, s.requests == 0 ? HttpCounter::head_timeouts : HttpCounter::keepalive_timeouts);
  return close_client(k, s);
}

Step head_timeout(Core& k, Session& s) {
  const Transaction& t = k.transaction_of(s);
  if (!t.request.begun()) return abort_session(k, s, Termination::client_timeout);
  k.count(s, HttpCounter::head_timeouts);
  return answer(k, s, {.status = 408, .termination = Termination::client_timeout});
}

Step dial_timeout(Core& k, Session& s) {
  abort_link(k, k.transaction_of(s), Ending::connect_failed);
  return dial_failed(k, s, true);
}

// Nothing moved for the whole time: whose turn was it?
Step relay_timeout(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  const tcp::ConnectionId link = k.links[t.link].id;
  if (t.down_blocked) {
    if (takes_what_is_queued(k, s, s.client)) return Step::wait;
    k.count(s, HttpCounter::client_stalls);
    return abort_session(k, s, Termination::client_stalled);
  }
  if (!t.up.done()) {
    if (t.up_blocked && takes_what_is_queued(k, s, link)) return Step::wait;
    // Who waits for "100 Continue" waits for the backend.
    const bool client_waits = t.request_head != kNone && t.request.head().expect_continue && !t.up.begun();
    if (!t.up_blocked && !client_waits && !t.answered) {
      k.count(s, HttpCounter::head_timeouts);
      abort_link(k, t);
      return answer(k, s, {.status = 408, .termination = Termination::client_timeout});
    }
  }
  k.count(s, HttpCounter::response_timeouts);
  if (t.answered) return abort_session(k, s, Termination::backend_timeout);
  return answer(k, s, {.status = 504, .termination = Termination::backend_timeout});
}

Step tunnel_timeout(Core& k, Session& s) {
  const auto client = k.engine.info(s.client), link = k.engine.info(k.links[k.transaction_of(s).link].id);
  const std::uint64_t received = (client ? client->bytes_received : 0) + (link ? link->bytes_received : 0);
  if (received != s.seen) {
    s.seen = received;
    s.since = k.now;
    return Step::wait;
  }
  k.count(s, HttpCounter::tunnel_timeouts);
  return abort_session(k, s, Termination::upgraded);
}

// A client that has everything, but for our FIN's acknowledgment, had its time to close.
Step closing_timeout(Core& k, Session& s) {
  const auto info = k.engine.info(s.client);
  const bool queued = info && info->unacknowledged + info->unsent != 0;
  if (queued && (!s.flushing || goes_on(k, s, info->bytes_acked))) {
    s.flushing = true;
    return Step::wait;
  }
  return abort_session(k, s, Termination::complete);
}

Step on_timeout(Core& k, Session& s) {
  switch (s.phase) {
    case Phase::idle:
      return idle_timeout(k, s);
    case Phase::head:
      return head_timeout(k, s);
    case Phase::queued:
      return answer(k, s, {.status = 503, .termination = Termination::queue_timeout, .retry_after_s = 1});
    case Phase::asking:
      return assign(k, s);
    case Phase::dialing:
      return dial_timeout(k, s);
    case Phase::relay:
      return relay_timeout(k, s);
    case Phase::tunnel:
      return tunnel_timeout(k, s);
    case Phase::closing:
      return closing_timeout(k, s);
  }
  return Step::wait;
}

void on_timer(Core& k, std::uint32_t index) {
  Session& s = k.sessions[index];
  if (k.now - s.since < timeout_of(k, s)) return arm(k, s);
  const Step step = on_timeout(k, s);
  if (step == Step::gone) return;
  arm(k, s);
  if (step == Step::again) drive(k, s);
}

void run_ready(Core& k) {
  std::uint32_t index = k.ready_head;
  k.ready_head = k.ready_tail = kNone;
  while (index != kNone) {
    Session& s = k.sessions[index];
    index = s.next_ready;
    s.ready = false;
    if (s.client == tcp::ConnectionId{}) {
      k.sessions.free(k.index_of(s));
    } else {
      drive(k, s);
    }
  }
}

void expire_links(Core& k) {
  while (k.links.idle().size != 0 && k.now - k.links[k.links.idle().head].since >= k.config.idle_link_timeout) {
    close_link(k, k.links.idle().head);
  }
  while (k.links.closing().size != 0 && k.now - k.links[k.links.closing().head].since >= kLinkCloseTime) {
    const std::uint32_t index = k.links.closing().head;
    k.engine.abort(k.links[index].id);
    end_link(k, index, Ending::closed);
  }
}

}  // namespace

Nanos timeout_of(Core& k, const Session& s) {
  switch (s.phase) {
    case Phase::idle:
      return s.requests == 0 ? k.sites.current(s.service).request_timeout
                             : k.sites.current(s.service).keepalive_timeout;
    case Phase::closing:
      return s.flushing ? kFlushTime : kLingerTime;
    default:
      break;
  }
  const Transaction& t = k.transaction_of(s);
  const Site& site = k.site_of(t);
  switch (s.phase) {
    case Phase::head:
      return site.request_timeout;
    case Phase::queued:
      return site.queue_timeout;
    case Phase::asking:
      return tcp::kDialAgain;
    case Phase::dialing:
      return site.connect_timeout;
    case Phase::tunnel:
      return s.fin || k.links[t.link].fin ? site.half_closed_timeout : site.idle_timeout;
    default:
      return site.response_timeout;
  }
}

void arm(Core& k, Session& s) {
  k.wheel.arm(k.index_of(s), tcp::tick_after(s.since, timeout_of(k, s)));
}

void defer(Core& k, Session& s) {
  if (s.ready) return;
  s.ready = true;
  s.next_ready = kNone;
  (k.ready_head == kNone ? k.ready_head : k.sessions[k.ready_tail].next_ready) = k.index_of(s);
  k.ready_tail = k.index_of(s);
}

void advance(Core& k) {
  k.wheel.advance(k.now, kTimersPerTurn, [&k](std::uint32_t index) { on_timer(k, index); }, [](auto) {});
  expire_links(k);
  run_ready(k);
  if (k.queue.size != 0 && k.sweep_at <= k.now) sweep_queue(k);
}

Nanos next_deadline(const Core& k, Nanos now) {
  if (k.ready_head != kNone) return now;
  Nanos next = std::min(k.wheel.next_deadline(now), k.queue.size != 0 ? k.sweep_at : kNever);
  if (k.links.idle().size != 0) {
    next = std::min(next, k.links[k.links.idle().head].since + k.config.idle_link_timeout);
  }
  if (k.links.closing().size != 0) next = std::min(next, k.links[k.links.closing().head].since + kLinkCloseTime);
  return next;
}

}  // namespace headgate::http
