#include "dataplane/app/session_stats.h"

#include "dataplane/http/access_log.h"
#include "dataplane/http/reason.h"

namespace headgate::app {

namespace pb = dataplane::v1;

namespace {

template <class Conduct>
void add_all(const Conduct* conduct, std::vector<std::uint64_t>& total) {
  if (conduct == nullptr) return;
  std::size_t i = 0;
  conduct->each([&](std::uint64_t value) {
    if (i == total.size()) total.push_back(0);
    total[i++] += value;
  });
}

// One total after another, less what it stood at.
class Reader {
 public:
  Reader(const std::vector<std::uint64_t>& total, const std::vector<std::uint64_t>& base)
      : total_(total), base_(base) {}
  std::uint64_t next() {
    const std::uint64_t total = at_ < total_.size() ? total_[at_] : 0, base = at_ < base_.size() ? base_[at_] : 0;
    ++at_;
    return total - base;
  }
  void skip(std::size_t count) { at_ += count; }

 private:
  const std::vector<std::uint64_t>&total_, &base_;
  std::size_t at_ = 0;
};

void fill(pb::TimeHistogram* out, Reader& reader) {
  for (std::size_t i = 0; i <= telemetry::kTimeBoundsUs.size(); ++i) out->add_count(reader.next());
  out->set_sum_us(reader.next());
}

void fill(pb::SessionStats* out, Reader reader) {
  out->set_queued(reader.next());
  out->set_queue_full(reader.next());
  out->set_queue_timeouts(reader.next());
  out->set_connect_failures(reader.next());
  out->set_connect_timeouts(reader.next());
  out->set_unserved(reader.next());
  out->set_idle_timeouts(reader.next());
  out->set_half_closed_timeouts(reader.next());
  out->set_client_resets(reader.next());
  out->set_backend_resets(reader.next());
  out->set_bad_headers(reader.next());
  fill(out->mutable_connect(), reader);
  fill(out->mutable_first_byte(), reader);
  fill(out->mutable_total(), reader);
}

// Those that occurred.
void fill_reasons(google::protobuf::RepeatedPtrField<pb::Count>* out, Reader& reader) {
  for (unsigned i = 0; i < telemetry::kHttpReasonsMax; ++i) {
    const std::uint64_t count = reader.next();
    const auto reason = static_cast<http::Reason>(i);
    if (count != 0) add_count(out, http::to_string(reason), count, http::describe(reason));
  }
}

void fill(pb::HttpStats* out, Reader reader) {
  for (const telemetry::CounterText& text : telemetry::kHttpCounterTexts)
    add_count(out->mutable_counter(), text.name, reader.next(), text.meaning);
  for (std::size_t i = 0; i < std::tuple_size_v<decltype(telemetry::HttpConduct::responses)>; ++i)
    out->add_response(reader.next());
  for (unsigned i = 0; i < http::kTerminations; ++i) {
    const auto end = static_cast<http::Termination>(i);
    add_count(out->mutable_end(), http::to_string(end), reader.next(), http::describe(end));
  }
  reader.skip(telemetry::kHttpEndsMax - http::kTerminations);
  fill_reasons(out->mutable_refused(), reader);
  fill_reasons(out->mutable_backend_failure(), reader);
}

}  // namespace

void add_count(google::protobuf::RepeatedPtrField<pb::Count>* out, const std::string& name, std::uint64_t count,
               const char* meaning) {
  pb::Count* added = out->Add();
  added->set_name(name);
  added->set_count(count);
  added->set_meaning(meaning);
}

SessionTotals session_totals(const Fleet& fleet, Slot service) {
  SessionTotals total;
  for (unsigned i = 0; i < fleet.size(); ++i) {
    const telemetry::WorkerCounters& counters = fleet.at(i).counters();
    add_all(counters.sessions.find(service), total.sessions);
    add_all(counters.http.find(service), total.http);
  }
  return total;
}

void fill_sessions(const Fleet& fleet, const snapshot::Service& service, const SessionTotals& base,
                   pb::ServiceStats* out) {
  const SessionTotals now = session_totals(fleet, service.slot);
  fill(out->mutable_sessions(), Reader(now.sessions, base.sessions));
  std::uint64_t waiting = 0;
  for (unsigned i = 0; i < fleet.size(); ++i) {
    if (const auto* conduct = fleet.at(i).counters().sessions.find(service.slot))
      waiting += conduct->waiting_now.read();
  }
  out->mutable_sessions()->set_waiting_now(waiting);
  if (service.ends == snapshot::Ends::http) fill(out->mutable_http(), Reader(now.http, base.http));
}

}  // namespace headgate::app
