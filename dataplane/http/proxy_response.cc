// The exchange itself: a request's body towards the backend, the response's head and body towards the client, each
// direction as far as it gets; and tunnels, which both become after 101.
#include <algorithm>
#include <cstring>

#include "dataplane/http/proxy_core.h"
#include "dataplane/http/text_writer.h"

namespace headgate::http {
namespace {

using Ending = tcp::Dialer::Ending;
using Status = BodyRelay::Status;

bool last_of_session(const Core& k, const Session& s, const Site& site) {
  return s.fin || k.sites.draining(s.service) ||
         (site.requests_per_connection != 0 && s.requests >= site.requests_per_connection);
}

// The cookie that brings the client back to this backend; nothing when it has one that will do.
std::string_view write_cookie(Core& k, const Transaction& t) {
  const Site& site = k.site_of(t);
  if (site.cookie.empty()) return {};
  const auto now = static_cast<std::uint32_t>(std::max<std::int64_t>(k.unix_s, 0));
  if (t.cookie && t.cookie->backend_id == t.backend.value &&
      (site.cookie_max_age_s == 0 || now - t.cookie->given_s < site.cookie_max_age_s / 2)) {
    return {};
  }
  const auto value = k.signer.make(t.pool.value, {t.backend.value, now});
  const std::size_t length = write_set_cookie({.name = site.cookie, .max_age_s = site.cookie_max_age_s},
                                              {value.data(), value.size()}, k.scratch->cookie);
  return {k.scratch->cookie.data(), length};
}

void free_heads(Core& k, Transaction& t) {
  for (std::uint32_t* head : {&t.request_head, &t.response_head}) {
    if (*head != kNone) k.heads.free(*head);
    *head = kNone;
  }
}

bool send_head(Core& k, tcp::ConnectionId to, const HeadWriter& writer) {
  TextWriter out(k.scratch->out);
  for (const std::string_view piece : writer.pieces()) out.text(piece);
  return out.fits() && k.engine.send_copy(to, bytes_of(out.written()));
}

Step bad_response(Core& k, Session& s, Reason reason) {
  k.http_of(s).backend_failures[static_cast<std::size_t>(reason)].add(1);
  return answer(k, s, {.status = kResponseStatus, .termination = Termination::backend_malformed, .reason = reason});
}

Step begin_tunnel(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  const Link& link = k.links[t.link];
  free_heads(k, t);
  k.count(s, HttpCounter::tunnels);
  set_phase(k, s, Phase::tunnel);
  k.engine.splice(s.client, link.id);
  k.engine.splice(link.id, s.client);
  if (s.fin) k.engine.shutdown(link.id);
  if (link.fin) k.engine.shutdown(s.client);
  return Step::wait;
}

// wait: the body is to be moved.
Step begin_response(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  const Site& site = k.site_of(t);
  const ResponseHead& head = t.response.head();
  Exchange exchange;
  exchange.method = t.method;
  exchange.client_minor_version = t.client_minor_version;
  exchange.client_keep_alive = t.request.head().keep_alive && !last_of_session(k, s, site);
  exchange.request_body_done = t.up.done();
  exchange.trailers_welcome = t.request.head().trailers_welcome;
  exchange.upgrade = t.upgrade_text();
  ResponseRewrite rewrite;
  rewrite.plan = plan_response(head, exchange);
  rewrite.rules = &site.response_rules_of(t.route);
  rewrite.set_cookie = write_cookie(k, t);
  rewrite.date = k.date_text();
  rewrite.client_http10 = t.client_minor_version == 0;
  HeadWriter writer(k.response_text(t), k.scratch->space);
  write_response(rewrite, context_of(k, s, t), k.response_text(t), head, writer);
  if (writer.reason() != Reason::none) return bad_response(k, s, writer.reason());
  t.status = head.status;
  t.first_byte = k.now - t.begun;
  if (!send_head(k, s.client, writer)) return shed(k, s);
  t.answered = true;
  s.since = k.now;
  if (rewrite.plan.tunnel) return begin_tunnel(k, s);
  t.keep_client = rewrite.plan.keep_client;
  t.keep_link = rewrite.plan.keep_backend;
  t.down.start(head, rewrite.plan.body, rewrite.plan.trailers, ~std::uint64_t{0}, *site.requests.scanner);
  free_heads(k, t);
  return Step::wait;
}

// RFC 9110 15.2: as many as come, to clients that know them.
bool forward_interim(Core& k, const Session& s, Transaction& t) {
  k.count(s, HttpCounter::interim);
  if (t.client_minor_version == 0) return true;
  HeadWriter writer(k.response_text(t), k.scratch->space);
  write_interim(k.response_text(t), t.response.head(), writer);
  return writer.reason() == Reason::none && send_head(k, s.client, writer);
}

// wait: more has to come, or the head is through and t.answered.
Step read_response(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  while (!t.answered) {
    const Link& link = k.links[t.link];
    const auto front = k.engine.front(link.id);
    if (front.empty()) return link.fin ? link_broke(k, s, Ending::closed) : Step::wait;
    t.heard = true;
    if (t.response_head == kNone) t.response_head = k.heads.allocate();
    if (t.response_head == kNone) return shed(k, s);
    const auto take = static_cast<std::uint32_t>(std::min<std::size_t>(front.size(), kHeadBuffer - t.response_bytes));
    std::memcpy(k.heads[t.response_head].bytes.data() + t.response_bytes, front.data(), take);
    t.response_bytes += take;
    const Progress progress = t.response.parse(k.response_text(t));
    if (progress == Progress::refused) return bad_response(k, s, t.response.reason());
    if (progress == Progress::need_more) {
      k.engine.discard(link.id, take);
      continue;
    }
    const std::uint32_t behind = t.response_bytes - t.response.head().bytes;
    k.engine.discard(link.id, take - behind);
    t.response_bytes -= behind;
    s.since = k.now;
    if (!t.response.head().interim()) return begin_response(k, s);
    if (!forward_interim(k, s, t)) return shed(k, s);
    t.response.next_after_interim();
    t.response_bytes = 0;
  }
  return Step::wait;
}

Step complete(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  // An early response: what is left of the request is nobody's business any more.
  if (t.up.done()) {
    release_link(k, t, t.keep_link && k.site_of(t).reuse);
  } else {
    abort_link(k, t);
  }
  const bool keep = t.keep_client && !s.fin;
  finish(k, s, Termination::complete);
  if (!keep) return close_client(k, s);
  set_phase(k, s, Phase::idle);
  return Step::again;
}

// The body towards the backend. again: go on with the response.
Step move_request(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  const std::uint64_t before = t.up.moved();
  const Status status = t.up.move(k.engine, s.client, k.links[t.link].id, s.fin);
  t.up_blocked = status == Status::blocked;
  if (t.up.moved() != before) s.since = k.now;
  k.count(s, HttpCounter::bytes_up, t.up.moved() - before);
  switch (status) {
    case Status::done:
    case Status::blocked:
      return Step::again;
    case Status::busy:
      defer(k, s);
      return Step::again;
    case Status::starved:
      return s.fin ? abort_session(k, s, Termination::client_closed) : Step::again;
    case Status::no_memory:
      return shed(k, s);
    case Status::refused:
      break;
  }
  if (t.answered) return abort_session(k, s, Termination::refused, t.up.reason());
  return refuse(k, s, t.up.reason());
}

Step move_response(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  const Link& link = k.links[t.link];
  const std::uint64_t before = t.down.moved();
  const Status status = t.down.move(k.engine, link.id, s.client, link.fin);
  t.down_blocked = status == Status::blocked;
  if (t.down.moved() != before) s.since = k.now;
  k.count(s, HttpCounter::bytes_down, t.down.moved() - before);
  switch (status) {
    case Status::done:
      return complete(k, s);
    case Status::blocked:
      return Step::wait;
    case Status::busy:
      defer(k, s);
      return Step::wait;
    case Status::starved:
      // Cut short: the client must not take it for whole.
      return link.fin ? abort_session(k, s, Termination::backend_closed) : Step::wait;
    case Status::no_memory:
      return shed(k, s);
    case Status::refused:
      break;
  }
  k.http_of(s).backend_failures[static_cast<std::size_t>(t.down.reason())].add(1);
  return abort_session(k, s, Termination::backend_malformed, t.down.reason());
}

}  // namespace

Step relay(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  if (!t.up.done()) {
    const Step step = move_request(k, s);
    if (step == Step::gone || s.phase != Phase::relay) return step;
  }
  if (!t.answered) {
    const Step step = read_response(k, s);
    if (step == Step::gone || s.phase != Phase::relay) return step;
    if (!t.answered) return step;
  }
  return move_response(k, s);
}

void tunnel_ended(Core& k, Session& s, bool client) {
  k.engine.shutdown(client ? k.links[k.transaction_of(s).link].id : s.client);
  s.since = k.now;
  arm(k, s);
}

// `broken`: by a reset, which goes on to the other side. Otherwise what is queued for the other side is still sent.
Step tunnel_closed(Core& k, Session& s, bool client, bool broken) {
  Transaction& t = k.transaction_of(s);
  if (broken) return abort_session(k, s, client ? Termination::client_closed : Termination::backend_closed);
  if (client) {
    release_link(k, t, false);
    finish(k, s, Termination::upgraded);
    free_session(k, s);
    return Step::gone;
  }
  finish(k, s, Termination::upgraded);
  return close_client(k, s);
}

}  // namespace headgate::http
