#include "controlplane/monitor/proxy_metrics.h"

#include <array>
#include <cctype>

namespace headgate::monitor {
namespace {

namespace dp = dataplane::v1;

// "segments that arrived" as a sentence of HELP.
std::string sentence(std::string text) {
  if (text.empty()) return text;
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text + ".";
}

Labels with(const Labels& labels, const char* name, const std::string& value) {
  Labels out = labels;
  out.emplace_back(name, value);
  return out;
}

void times(Page& page, const char* name, const char* help, const Labels& labels, const dp::StatsReply& stats,
           const dp::TimeHistogram& histogram) {
  if (histogram.count_size() != stats.time_bound_us_size() + 1) return;  // another version's
  std::vector<Page::Bucket> buckets;
  for (int i = 0; i < stats.time_bound_us_size(); ++i)
    buckets.push_back({stats.time_bound_us(i) / 1e6, histogram.count(i)});
  page.histogram(name, help, labels, buckets, histogram.count(stats.time_bound_us_size()),
                 static_cast<double>(histogram.sum_us()) / 1e6);
}

void sessions(Page& page, const Labels& labels, const dp::SessionStats& s) {
  page.gauge("headgate_service_waiting", "Clients in the queue; HTTP: requests.", labels,
             static_cast<double>(s.waiting_now()));
  page.counter("headgate_service_queued_total", "Clients (HTTP: requests) that had to wait for a backend.", labels,
               s.queued());
  page.counter("headgate_service_queue_full_total", "Clients turned away because the queue was full.", labels,
               s.queue_full());
  page.counter("headgate_service_unserved_total",
               "Clients (HTTP: requests) told no: no backend could be reached, or none had room in time.", labels,
               s.unserved());
  const char* failures = "Connections to backends that failed; another one may have served.";
  page.counter("headgate_service_connect_failures_total", failures, with(labels, "reason", "refused"),
               s.connect_failures());
  page.counter("headgate_service_connect_failures_total", failures, with(labels, "reason", "timeout"),
               s.connect_timeouts());
  const char* timeouts = "Sessions ended by a timeout of the service's.";
  page.counter("headgate_service_timeouts_total", timeouts, with(labels, "reason", "queue"), s.queue_timeouts());
  page.counter("headgate_service_timeouts_total", timeouts, with(labels, "reason", "idle"), s.idle_timeouts());
  page.counter("headgate_service_timeouts_total", timeouts, with(labels, "reason", "half_closed"),
               s.half_closed_timeouts());
  const char* resets = "Connections that a reset broke off, by who sent it.";
  page.counter("headgate_service_resets_total", resets, with(labels, "side", "client"), s.client_resets());
  page.counter("headgate_service_resets_total", resets, with(labels, "side", "backend"), s.backend_resets());
  page.counter("headgate_service_bad_headers_total", "Clients without the PROXY protocol header that they must send.",
               labels, s.bad_headers());
}

// Each counter of the dataplane's list has a family of its own; new ones need nothing here.
void http(Page& page, const Labels& labels, const dp::HttpStats& h) {
  for (const auto& counter : h.counter()) {
    // Bytes are counted by direction, as packets are.
    if (counter.name() == "bytes_up" || counter.name() == "bytes_down") {
      page.counter("headgate_http_body_bytes_total", "Bytes of bodies, in: of requests, out: of responses.",
                   with(labels, "direction", counter.name() == "bytes_up" ? "in" : "out"), counter.count());
    } else {
      page.counter("headgate_http_" + counter.name() + "_total", sentence(counter.meaning()), labels, counter.count());
    }
  }
  static constexpr std::array<const char*, 6> kClasses{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 0; i < kClasses.size() && static_cast<int>(i) < h.response_size(); ++i) {
    page.counter("headgate_http_responses_total", "Final responses by class of status; none: requests that got none.",
                 with(labels, "code", kClasses[i]), h.response(static_cast<int>(i)));
  }
  for (const auto& end : h.end())
    page.counter("headgate_http_ended_total", "Requests by how they ended; the access log has the same word.",
                 with(labels, "how", end.name()), end.count());
  for (const auto& reason : h.refused())
    page.counter("headgate_http_refused_total", "Requests refused, by what was wrong with them.",
                 with(labels, "reason", reason.name()), reason.count());
  for (const auto& reason : h.backend_failure())
    page.counter("headgate_http_bad_responses_total", "Responses not passed on, by what was wrong with them.",
                 with(labels, "reason", reason.name()), reason.count());
}

}  // namespace

void proxied_service(Page& page, const dp::StatsReply& stats, const dp::ServiceStats& service) {
  if (!service.has_sessions()) return;
  const Labels labels{{"service", service.name()}};
  sessions(page, labels, service.sessions());
  times(page, "headgate_service_connect_seconds", "Time until a backend took a connection.", labels, stats,
        service.sessions().connect());
  times(page, "headgate_service_duration_seconds",
        "From accepting a client that had a backend to the end; HTTP: of requests, from their first byte.", labels,
        stats, service.sessions().total());
  if (!service.has_http()) return;
  times(page, "headgate_service_first_byte_seconds", "HTTP: from the first byte of a request to that of its response.",
        labels, stats, service.sessions().first_byte());
  http(page, labels, service.http());
}

void tcp_engine(Page& page, const dp::WorkerStats& worker) {
  if (worker.connections_max() == 0) return;  // nothing is proxied there
  const Labels labels{{"worker", std::to_string(worker.worker())}};
  for (const auto& counter : worker.tcp()) {
    if (counter.name().starts_with("drop_")) {
      page.counter("headgate_tcp_unused_segments_total", "Segments that the TCP engine did not use, by reason.",
                   with(labels, "reason", counter.name().substr(5)), counter.count());
    } else {
      page.counter("headgate_tcp_" + counter.name() + "_total", "TCP engine: " + counter.meaning() + ".", labels,
                   counter.count());
    }
  }
  const auto gauge = [&](const char* name, const char* help, std::uint64_t value) {
    page.gauge(name, help, labels, static_cast<double>(value));
  };
  gauge("headgate_tcp_connections", "Connections that end in the box; both sides of a session count.",
        worker.connections_now());
  gauge("headgate_tcp_connections_max", "Connections that there is room for.", worker.connections_max());
  gauge("headgate_tcp_sessions", "Clients' connections with what belongs to them.", worker.sessions_now());
  gauge("headgate_tcp_half_open", "Handshakes under way that hold memory.", worker.half_open_now());
  gauge("headgate_tcp_time_wait", "Connections in TIME-WAIT.", worker.time_wait_now());
  gauge("headgate_tcp_memory_bytes", "Buffers that wait in queues of connections.", worker.tcp_memory());
  gauge("headgate_tcp_memory_max_bytes", "What buffers in queues may come to.", worker.tcp_memory_max());
  gauge("headgate_http_requests", "Requests under way.", worker.http_requests_now());
  gauge("headgate_http_idle_backend_connections", "Connections to backends that wait for a request.",
        worker.http_idle_backend_connections_now());
}

}  // namespace headgate::monitor
