// Answers of our own, and the ends: of a request (counters, log), of a session in order (lingering) or at once.
#include "dataplane/http/error_page.h"
#include "dataplane/http/proxy_core.h"

namespace headgate::http {
namespace {

constexpr std::size_t kAnswerMax = 2 * kHeadBuffer;  // a page and a Location
static_assert(kTerminations <= telemetry::kHttpEndsMax && kReasons <= telemetry::kHttpReasonsMax);

bool may_keep(const Core& k, const Session& s, const Site& site, const Transaction& t) {
  if (!t.parsed || s.fin || k.sites.draining(s.service)) return false;
  const RequestHead& head = t.request.head();
  if (head.body != BodyKind::none || !head.keep_alive) return false;
  return site.requests_per_connection == 0 || s.requests < site.requests_per_connection;
}

// Times of requests that had a backend: answers of our own would hide what backends do, tunnels last for hours.
void count_end(Core& k, const Session& s, const Transaction& t, Termination termination) {
  telemetry::HttpConduct& http = k.http_of(s);
  http.ends[static_cast<std::size_t>(termination)].add(1);
  http.responses[t.status / 100].add(1);
  telemetry::SessionConduct& conduct = k.sessions_of(s);
  if (termination == Termination::queue_full) conduct.queue_full.add(1);
  if (termination == Termination::queue_timeout) conduct.queue_timeouts.add(1);
  if (termination == Termination::no_backend || termination == Termination::connect_failed ||
      termination == Termination::queue_full || termination == Termination::queue_timeout)
    conduct.unserved.add(1);
  if (!t.backend || termination == Termination::upgraded) return;
  if (t.first_byte != kNever) conduct.first_byte.add(t.first_byte);
  conduct.total.add(k.now - t.begun);
}

void log_request(Core& k, const Transaction& t, Termination termination, Reason reason) {
  if (k.log == nullptr || !k.site_of(t).access_log) return;
  AccessRecord record;
  record.client = t.client;
  record.unix_s = t.unix_s;
  record.method = t.text.of(LogText::method);
  record.target = t.text.of(LogText::target);
  record.minor_version = t.client_minor_version;
  record.status = t.status;
  record.bytes_sent = t.down.moved() + t.page_bytes;
  record.referer = t.text.of(LogText::referer);
  record.user_agent = t.text.of(LogText::user_agent);
  record.host = t.text.of(LogText::host);
  record.queued = t.queued_for;
  record.connect = t.dialed_for;
  record.first_byte = t.first_byte;
  record.total = k.now - t.begun;
  record.termination = termination;
  record.reason = reason != Reason::none ? to_string(reason) : nullptr;
  record.retries = t.retries;
  record.request_id = {t.id.data(), t.id.size()};
  k.log->request(record, k.site_of(t).service, t.pool, t.backend);
}

}  // namespace

void finish(Core& k, Session& s, Termination termination, Reason reason) {
  if (s.phase == Phase::queued) {
    leave_queue(k, s);
    s.phase = Phase::head;
  }
  Transaction& t = k.transaction_of(s);
  HEADGATE_CHECK(t.link == kNone);
  count_end(k, s, t, termination);
  log_request(k, t, termination, reason);
  if (t.request_head != kNone) k.heads.free(t.request_head);
  if (t.response_head != kNone) k.heads.free(t.response_head);
  k.sites.release(t.version);
  k.transactions.free(s.transaction);
  s.transaction = kNone;
}

Step answer(Core& k, Session& s, const Answer& answer) {
  Transaction& t = k.transaction_of(s);
  HEADGATE_CHECK(!t.answered);
  abort_link(k, t);
  const bool keep = may_keep(k, s, k.site_of(t), t);
  ErrorAnswer page;
  page.status = answer.status;
  page.head_only = t.method == Method::head;
  page.keep = keep;
  page.client_http10 = t.client_minor_version == 0;
  page.retry_after_s = answer.retry_after_s;
  page.location = answer.location;
  page.date = k.date_text();
  const std::size_t length = write_error(page, std::span(k.scratch->out).first(kAnswerMax));
  if (length == 0 || !k.engine.send_copy(s.client, bytes_of({k.scratch->out.data(), length}))) {
    return abort_session(k, s, Termination::shed);
  }
  t.status = static_cast<std::uint16_t>(answer.status);
  const std::string_view written(k.scratch->out.data(), length);
  t.page_bytes = static_cast<std::uint32_t>(length - written.find("\r\n\r\n") - 4);
  if (t.first_byte == kNever) t.first_byte = k.now - t.begun;
  finish(k, s, answer.termination, answer.reason);
  if (!keep) return close_client(k, s);
  set_phase(k, s, Phase::idle);
  return Step::again;
}

Step refuse(Core& k, Session& s, Reason reason) {
  k.http_of(s).refusals[static_cast<std::size_t>(reason)].add(1);
  Transaction& t = k.transaction_of(s);
  t.parsed = false;  // whatever follows is not to be read as a request
  return answer(k, s, {.status = request_status(reason), .termination = Termination::refused, .reason = reason});
}

Step shed(Core& k, Session& s) {
  k.count(s, HttpCounter::shed);
  if (k.transaction_of(s).answered) return abort_session(k, s, Termination::shed);
  return answer(k, s, {.status = 503, .termination = Termination::shed, .retry_after_s = 1});
}

Step shed_unread(Core& k, Session& s) {
  k.count(s, HttpCounter::shed);
  k.http_of(s).responses[5].add(1);
  ErrorAnswer page;
  page.status = 503;
  page.retry_after_s = 1;
  page.date = k.date_text();
  const std::size_t length = write_error(page, k.scratch->out);
  if (!k.engine.send_copy(s.client, bytes_of({k.scratch->out.data(), length}))) {
    return abort_session(k, s, Termination::shed);
  }
  return close_client(k, s);
}

Step abort_session(Core& k, Session& s, Termination termination, Reason reason) {
  if (s.transaction != kNone) {
    abort_link(k, k.transaction_of(s));
    finish(k, s, termination, reason);
  }
  k.engine.abort(s.client);
  free_session(k, s);
  return Step::gone;
}

Step close_client(Core& k, Session& s) {
  k.engine.shutdown(s.client);
  s.lingered = 0;
  s.flushing = false;
  set_phase(k, s, Phase::closing);
  return Step::again;
}

Step linger(Core& k, Session& s) {
  s.lingered += k.engine.discard(s.client, kLingerBytesMax);
  return s.lingered < kLingerBytesMax ? Step::wait : abort_session(k, s, Termination::complete);
}

void free_session(Core& k, Session& s) {
  HEADGATE_CHECK(s.transaction == kNone && s.phase != Phase::queued);
  const std::uint32_t index = k.index_of(s);
  if (s.listed) remove(k, k.idle, s);
  s.listed = false;
  k.wheel.disarm(index);
  k.sites.close(s.service);
  s.client = {};
  if (s.ready) {  // advance() finds it in its list and frees it
    s.phase = Phase::closing;
    return;
  }
  k.sessions.free(index);
}

}  // namespace headgate::http
