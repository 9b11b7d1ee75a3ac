// Backends: which one a request goes to, a connection to it that waits or is opened, the queue for those that find all
// of them at their limit, and what becomes of a connection when its request is through.
#include <algorithm>
#include <utility>

#include "dataplane/http/proxy_core.h"

namespace headgate::http {
namespace {

using tcp::DialFailure;
using Ending = tcp::Dialer::Ending;

constexpr Answer kNoBackend{.status = 503, .termination = Termination::no_backend};
constexpr Answer kShutdown{.status = 503, .termination = Termination::shutdown};

// Nothing came that nobody asked for, and the backend has not ended it, as far as segments have arrived.
bool sound(const Core& k, const Link& link) {
  const auto info = k.engine.info(link.id);
  return info && info->state == tcp::State::established && info->received == 0 && !info->fin_received;
}

bool may_be_sent_again(const Transaction& t) {
  switch (t.method) {
    case Method::get:
    case Method::head:
    case Method::put:
    case Method::delete_:
    case Method::options:
    case Method::trace:
      return !t.up.begun();  // RFC 9110 9.2.2: idempotent
    default:
      return false;
  }
}

bool take_idle(Core& k, Session& s, Transaction& t) {
  const ServiceId service = k.site_of(t).service;
  for (;;) {
    const std::uint32_t index = k.links.take_idle(service, t.backend);
    if (index == kNone) return false;
    Link& link = k.links[index];
    if (!sound(k, link) || !k.dialer.usable(t.backend)) {
      k.count(s, HttpCounter::stale);
      close_link(k, index);
      continue;
    }
    link.session = k.index_of(s);
    t.link = index;
    t.reused = true;
    k.count(s, HttpCounter::reuses);
    return true;
  }
}

DialFailure dial(Core& k, Session& s, Transaction& t) {
  std::uint32_t index = k.links.allocate();
  if (index == kNone && k.links.idle().size != 0) {
    const std::uint32_t oldest = k.links.idle().head;
    k.engine.abort(k.links[oldest].id);
    end_link(k, oldest, Ending::closed);
    index = k.links.allocate();
  }
  if (index == kNone) return DialFailure::no_memory;
  const ServiceId service = k.site_of(t).service;
  const auto dialed = k.dialer.dial(service, t.backend, tcp::user_word(tcp::Speaker::http, kLinkBit | index));
  if (dialed.failure != DialFailure::none) {
    k.links.free(index);
    return dialed.failure;
  }
  k.count(s, HttpCounter::dials);
  Link& link = k.links[index];
  link.id = dialed.connection;
  link.service = service;
  link.slot = k.sites.slot(s.service);
  link.backend = t.backend;
  link.session = k.index_of(s);
  t.link = index;
  t.reused = false;
  t.dialed_at = k.now;
  set_phase(k, s, Phase::dialing);
  return DialFailure::none;
}

Step enqueue(Core& k, Session& s) {
  if (s.phase == Phase::queued) return Step::wait;
  Transaction& t = k.transaction_of(s);
  std::uint32_t& of_service = k.sites.queued(s.service);
  if (of_service >= (k.site_of(t).queue_limit + k.config.workers - 1) / k.config.workers ||
      k.queue.size >= k.config.queue) {
    return answer(k, s, {.status = 503, .termination = Termination::queue_full, .retry_after_s = 1});
  }
  set_phase(k, s, Phase::queued);
  t.queued_at = k.now;
  append(k, k.queue, s);
  telemetry::SessionConduct& conduct = k.sessions_of(s);
  conduct.queued.add(1);
  conduct.waiting_now.set(++of_service);
  k.sweep_at = std::min(k.sweep_at, k.now + kQueueSweep);
  return Step::wait;
}

// Another worker answers in a moment. Who waits in the queue keeps its place there.
Step wait_for_answer(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  t.asked = true;
  ++t.asks;
  if (s.phase != Phase::queued) set_phase(k, s, Phase::asking);
  return Step::wait;
}

Step nobody_left(Core& k, Session& s, bool limited) {
  const Transaction& t = k.transaction_of(s);
  if (limited) return enqueue(k, s);
  if (t.tried_count != 0) return answer(k, s, {.status = 502, .termination = Termination::connect_failed});
  return answer(k, s, kNoBackend);
}

bool may_ask(const Session& s, const Transaction& t) {
  return s.phase == Phase::queued || t.asks < kAsksMax;
}

tcp::Wish wish_of(Core& k, const Session& s, const Transaction& t) {
  tcp::Wish wish;
  wish.service = k.site_of(t).service;
  wish.pool = t.pool;
  wish.client = t.client;
  wish.client_port = s.who.port;
  if (t.cookie) wish.preferred = {t.cookie->backend_id};
  return wish;
}

}  // namespace

Step assign(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  std::array<BackendId, kTriedMax> avoid;
  std::size_t avoided = t.tried_count;
  std::copy_n(t.tried.begin(), avoided, avoid.begin());
  bool limited = false;
  if (std::exchange(t.asked, false)) {
    const DialFailure failure = dial(k, s, t);
    if (failure == DialFailure::none) return Step::wait;
    if (failure == DialFailure::asked && may_ask(s, t)) return wait_for_answer(k, s);
    limited = failure == DialFailure::at_limit || failure == DialFailure::asked;
    avoid[avoided++] = t.backend;
  }
  while (avoided < avoid.size()) {
    tcp::Wish wish = wish_of(k, s, t);
    wish.avoid = {avoid.data(), avoided};
    const auto chosen = k.dialer.choose(wish);
    if (chosen.failure == DialFailure::gone) return answer(k, s, kShutdown);
    if (chosen.failure == DialFailure::at_limit) return enqueue(k, s);
    if (chosen.failure == DialFailure::no_backend) return nobody_left(k, s, limited);
    if (chosen.failure != DialFailure::none) return shed(k, s);
    t.backend = chosen.backend;
    if (!t.replayed && take_idle(k, s, t)) return start_relay(k, s);
    switch (dial(k, s, t)) {
      case DialFailure::none:
        return Step::wait;
      case DialFailure::gone:
        return answer(k, s, kShutdown);
      case DialFailure::no_memory:
        return shed(k, s);
      case DialFailure::asked:
        if (may_ask(s, t)) return wait_for_answer(k, s);
        limited = true;
        break;
      case DialFailure::at_limit:
        limited = true;
        break;
      case DialFailure::no_port:
      case DialFailure::no_backend:
        break;
    }
    avoid[avoided++] = t.backend;
  }
  return limited ? enqueue(k, s) : answer(k, s, kNoBackend);
}

Step start_relay(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  k.links[t.link].state = Link::State::busy;
  set_phase(k, s, Phase::relay);
  t.response.start(t.method, t.upgrade_text());
  t.response_bytes = 0;
  bool no_memory = false;
  const Reason reason = send_request(k, s, t, no_memory);
  if (reason != Reason::none) {
    release_link(k, t, true);  // it was told nothing
    return refuse(k, s, reason);
  }
  return no_memory ? shed(k, s) : Step::again;
}

Step dial_failed(Core& k, Session& s, bool timed_out) {
  Transaction& t = k.transaction_of(s);
  telemetry::SessionConduct& conduct = k.sessions_of(s);
  (timed_out ? conduct.connect_timeouts : conduct.connect_failures).add(1);
  if (t.tried_count < t.tried.size()) t.tried[t.tried_count++] = t.backend;
  if (t.tried_count >= k.site_of(t).connect_attempts) {
    return answer(k, s, {.status = timed_out ? 504u : 502u, .termination = Termination::connect_failed});
  }
  ++t.retries;
  k.count(s, HttpCounter::retries);
  return assign(k, s);
}

// RFC 9112 9.3.1: a connection may be closed while a request is on its way. Once, on a fresh connection, and only what
// may be done twice.
Step link_broke(Core& k, Session& s, Ending ending) {
  Transaction& t = k.transaction_of(s);
  abort_link(k, t, ending);
  if (t.reused && !t.heard && !t.replayed && may_be_sent_again(t)) {
    t.replayed = true;
    ++t.retries;
    k.count(s, HttpCounter::retries);
    const DialFailure failure = dial(k, s, t);
    if (failure == DialFailure::none) return Step::wait;
    if (failure == DialFailure::asked) return wait_for_answer(k, s);
    if (failure == DialFailure::at_limit) return enqueue(k, s);
  }
  return answer(k, s, {.status = 502, .termination = Termination::backend_closed});
}

void leave_queue(Core& k, Session& s) {
  remove(k, k.queue, s);
  k.sessions_of(s).waiting_now.set(--k.sites.queued(s.service));
  Transaction& t = k.transaction_of(s);
  t.queued_for = k.now - t.queued_at;
  if (k.queue.size == 0) k.sweep_at = kNever;
}

// In order of arrival; of pools that turn out to be at their limit the others need not be tried.
void sweep_queue(Core& k) {
  std::array<std::uint64_t, kPoolsOfSweepMax> full;
  std::size_t count = 0;
  bool asked = false;
  k.sweep_at = kNever;
  for (std::uint32_t index = k.queue.head; index != kNone && count < full.size();) {
    Session& s = k.sessions[index];
    index = s.next;
    const Transaction& t = k.transaction_of(s);
    const std::uint64_t pool = std::uint64_t{s.service} << 32 | t.pool.value;
    if (std::find(full.begin(), full.begin() + count, pool) != full.begin() + count) continue;
    const Step step = assign(k, s);
    if (step == Step::gone) continue;
    if (s.phase == Phase::queued) {
      full[count++] = pool;
      asked |= t.asked;
    }
    if (step == Step::again) drive(k, s);
  }
  if (k.queue.size != 0) k.sweep_at = k.now + (asked ? tcp::kDialAgain : kQueueSweep);
}

void release_link(Core& k, Transaction& t, bool keep) {
  const std::uint32_t index = t.link;
  t.link = kNone;
  Link& link = k.links[index];
  if (!keep || link.fin || !sound(k, link) || !k.dialer.may_keep(link.backend)) return close_link(k, index);
  if (k.links.count_idle(link.service, link.backend) >= k.config.idle_links_per_backend) return close_link(k, index);
  k.links.make_idle(index, k.now);
  if (k.links.idle().size > k.config.idle_links) close_link(k, k.links.idle().head);
  if (k.queue.size != 0) k.sweep_at = k.now;
}

void abort_link(Core& k, Transaction& t, Ending ending) {
  if (t.link == kNone) return;
  const std::uint32_t index = t.link;
  t.link = kNone;
  k.engine.abort(k.links[index].id);
  end_link(k, index, ending);
}

void close_link(Core& k, std::uint32_t index) {
  k.engine.shutdown(k.links[index].id);
  k.links.make_closing(index, k.now);
}

void end_link(Core& k, std::uint32_t index, Ending ending) {
  const Link& link = k.links[index];
  k.dialer.ended(link.id, link.backend, ending);
  k.links.free(index);
  if (k.queue.size != 0) k.sweep_at = k.now;
}

}  // namespace headgate::http
