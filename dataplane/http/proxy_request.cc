// Requests: from the first byte to a head that is judged and routed, and that head as it goes to a backend.
#include <algorithm>
#include <cstring>

#include "dataplane/http/proxy_core.h"
#include "dataplane/http/routing.h"
#include "dataplane/http/text_writer.h"

namespace headgate::http {
namespace {

void number_request(Core& k, Transaction& t) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::uint64_t value = k.config.seed << 32 ^ k.requests++;
  for (std::size_t i = kRequestIdBytes; i-- > 0; value >>= 4) t.id[i] = kDigits[value & 15];
}

void note_for_log(const Core& k, Transaction& t, std::string_view text, std::string_view host) {
  if (k.log == nullptr || !k.site_of(t).access_log) return;
  const RequestHead& head = t.request.head();
  const auto field = [&](FieldName name) {
    return head.fields.has(name) ? head.fields.first(name).value_in(text) : std::string_view();
  };
  t.text.add(LogText::method, head.method_text.of(text));
  t.text.add(LogText::target, head.target.of(text));
  t.text.add(LogText::referer, field(FieldName::referer));
  t.text.add(LogText::user_agent, field(FieldName::user_agent));
  t.text.add(LogText::host, host);
}

Step redirect(Core& k, Session& s, const Transaction& t, const Direction& direction) {
  const std::size_t length = write_location_of(direction, t.request.head(), k.request_text(t), k.scratch->location);
  if (length == 0) return refuse(k, s, Reason::missing_host);
  return answer(k, s, {.status = t.route->redirect.status, .location = {k.scratch->location.data(), length}});
}

Step to_pool(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  const Site& site = k.site_of(t);
  const RequestHead& head = t.request.head();
  const std::string_view text = k.request_text(t);
  const std::string_view upgrade = head.upgrade.of(text).substr(0, kUpgradeNameMax);
  t.upgrade_length = static_cast<std::uint8_t>(upgrade.copy(t.upgrade.data(), upgrade.size()));
  t.client = effective_client(site.forwarded, text, head, s.who.address);
  t.cookie = read_cookie(site, k.signer, t.pool, head, text);
  t.up.start(head, head.body, false, site.requests.limits.body_bytes, *site.requests.scanner);
  return assign(k, s);
}

Step route(Core& k, Session& s) {
  using To = Direction::To;
  Transaction& t = k.transaction_of(s);
  const RequestHead& head = t.request.head();
  const std::string_view text = k.request_text(t);
  t.parsed = true;
  t.method = head.method;
  t.client_minor_version = head.minor_version;
  ++s.requests;
  k.count(s, HttpCounter::requests);
  const Direction direction = direct(k.site_of(t), head, text, {k.scratch->path, k.scratch->host});
  note_for_log(k, t, text, direction.host);
  t.route = direction.route;
  t.pool = direction.pool;
  switch (direction.to) {
    case To::refused:
      return refuse(k, s, direction.reason);
    case To::here:
      return answer(k, s, {.status = 200});
    case To::redirect:
      return redirect(k, s, t, direction);
    case To::answer:
      return answer(k, s, {.status = t.route->status});
    case To::nowhere:
      return answer(k, s, {.status = 404, .termination = Termination::no_route});
    case To::pool:
      break;
  }
  return to_pool(k, s);
}

}  // namespace

void LogText::add(Part part, std::string_view text) {
  const std::uint16_t at = part == 0 ? std::uint16_t{0} : ends_[part - 1u];
  constexpr std::array<std::size_t, count> kMax{kMethodMax, kLoggedTextMax, kLoggedTextMax, kLoggedTextMax,
                                                kHostMax + 6};
  const std::size_t length = text.copy(bytes_.data() + at, kMax[part]);
  std::fill(ends_.begin() + part, ends_.end(), static_cast<std::uint16_t>(at + length));
}

std::string_view LogText::of(Part part) const {
  const std::size_t at = part == 0 ? 0 : ends_[part - 1u];
  return {bytes_.data() + at, ends_[part] - at};
}

Step begin_request(Core& k, Session& s) {
  if (k.engine.front(s.client).empty()) return s.fin ? close_client(k, s) : Step::wait;
  if (k.engine.room(s.client) == 0) return Step::wait;  // it does not read the responses it has: writable() comes
  if (s.turn != k.turn) {
    s.turn = k.turn;
    s.in_turn = 0;
  }
  if (s.in_turn == kRequestsPerTurn) {
    defer(k, s);
    return Step::wait;
  }
  ++s.in_turn;
  const std::uint32_t index = k.transactions.allocate();
  const std::uint32_t head = index == kNone ? kNone : k.heads.allocate();
  if (head == kNone) {
    if (index != kNone) k.transactions.free(index);
    return shed_unread(k, s);
  }
  Transaction& t = k.transactions[index];
  static_cast<TransactionState&>(t) = {};
  t.version = k.sites.hold(s.service);
  t.request_head = head;
  t.begun = k.now;
  t.unix_s = k.unix_s;
  t.client = s.who.address;
  number_request(k, t);
  t.text.clear();
  t.up.clear();
  t.down.clear();
  HEADGATE_CHECK(k.site_of(t).requests.limits.head_bytes <= kHeadBuffer);
  t.request.reset(k.site_of(t).requests);
  s.transaction = index;
  // A connection that says nothing for a while has not more time for its first request.
  const Nanos since = s.since;
  set_phase(k, s, Phase::head);
  if (s.requests == 0) {
    s.since = since;
    arm(k, s);
  }
  return Step::again;
}

Step read_request(Core& k, Session& s) {
  Transaction& t = k.transaction_of(s);
  for (;;) {
    const auto front = k.engine.front(s.client);
    if (front.empty()) {
      if (!s.fin) return Step::wait;
      if (t.request.begun()) return refuse(k, s, Reason::truncated);
      return abort_session(k, s, Termination::client_closed);
    }
    const std::uint32_t room = k.site_of(t).requests.limits.head_bytes - t.request_bytes;
    const auto take = static_cast<std::uint32_t>(std::min<std::size_t>(front.size(), room));
    std::memcpy(k.heads[t.request_head].bytes.data() + t.request_bytes, front.data(), take);
    t.request_bytes += take;
    const Progress progress = t.request.parse(k.request_text(t));
    if (progress != Progress::complete) {
      k.engine.discard(s.client, take);
      if (progress == Progress::need_more) continue;
      return refuse(k, s, t.request.reason());
    }
    // What follows stays in the connection's queue.
    const std::uint32_t behind = t.request_bytes - t.request.head().bytes;
    k.engine.discard(s.client, take - behind);
    t.request_bytes -= behind;
    return route(k, s);
  }
}

RequestContext context_of(Core& k, const Session& s, const Transaction& t) {
  const RequestHead& head = t.request.head();
  const std::string_view text = k.request_text(t);
  RequestContext context;
  context.client = s.who.address;
  context.client_port = s.who.port;
  context.service = s.who.service_address;
  context.service_port = s.who.service_port;
  context.host = head.authority.of(text);
  context.method = head.method_text.of(text);
  context.path = head.path.of(text);
  context.request_id = {t.id.data(), t.id.size()};
  return context;
}

Reason send_request(Core& k, const Session& s, Transaction& t, bool& no_memory) {
  const Site& site = k.site_of(t);
  const RequestHead& head = t.request.head();
  NormalPath path;  // once more: it did not last until the link was there
  if (const Reason reason = path_of(site, head, k.request_text(t), k.scratch->path, path); reason != Reason::none)
    return reason;
  const RequestRewrite rewrite = rewrite_of(site, t.route, path.forward);
  HeadWriter writer(k.request_text(t), k.scratch->space);
  write_request(rewrite, context_of(k, s, t), k.request_text(t), head, writer);
  if (writer.reason() != Reason::none) return writer.reason();
  TextWriter out(k.scratch->out);
  for (const std::string_view piece : writer.pieces()) out.text(piece);
  if (!out.fits()) return Reason::head_not_writable;
  no_memory = !k.engine.send_copy(k.links[t.link].id, bytes_of(out.written()));
  return Reason::none;
}

}  // namespace headgate::http
