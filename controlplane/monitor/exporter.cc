#include "controlplane/monitor/exporter.h"

#include <httplib.h>

#include <charconv>
#include <thread>

namespace headgate::monitor {
namespace {

constexpr std::size_t kThreads = 4;        // scrapes at once; more wait
constexpr std::size_t kRequestMax = 8192;  // bytes of a body: nobody has one to send
constexpr time_t kReadSeconds = 5, kWriteSeconds = 10;
constexpr const char* kType = "text/plain; version=0.0.4; charset=utf-8";

bool parse_where(const std::string& where, std::string& address, int& port) {
  const std::size_t colon = where.rfind(':');
  if (colon == std::string::npos) return false;
  address = where.substr(0, colon);
  if (address.size() > 2 && address.front() == '[' && address.back() == ']')
    address = address.substr(1, address.size() - 2);
  const auto [end, error] = std::from_chars(where.data() + colon + 1, where.data() + where.size(), port);
  return error == std::errc{} && end == where.data() + where.size() && port >= 0 && port <= 65535 && !address.empty();
}

}  // namespace

struct Exporter::Inside {
  httplib::Server server;
  std::thread thread;
  int port = 0;
};

Exporter::Exporter() : inside_(std::make_unique<Inside>()) {}

Exporter::~Exporter() {
  inside_->server.stop();
  if (inside_->thread.joinable()) inside_->thread.join();
}

int Exporter::port() const {
  return inside_->port;
}

config::Result<std::unique_ptr<Exporter>> Exporter::start(const std::string& where, const Source& source) {
  std::string address;
  int port = 0;
  if (!parse_where(where, address, port)) return config::fail("'" + where + "' is no ADDRESS:PORT for metrics");
  std::unique_ptr<Exporter> exporter(new Exporter());
  httplib::Server& server = exporter->inside_->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };  // the server deletes it
  server.set_payload_max_length(kRequestMax);
  server.set_read_timeout(kReadSeconds);
  server.set_write_timeout(kWriteSeconds);
  server.Get("/metrics", [source](const httplib::Request&, httplib::Response& response) {
    Sample sample;
    if (source(sample)) {
      response.set_content(render(sample), kType);
    } else {
      response.status = 503;
    }
  });
  server.Get("/healthz",
             [](const httplib::Request&, httplib::Response& response) { response.set_content("ok\n", "text/plain"); });
  server.Get("/readyz", [source](const httplib::Request&, httplib::Response& response) {
    Sample sample;
    const bool answers = source(sample);
    const bool ready = answers && sample.system.dataplane_connected() && sample.system.in_sync();
    response.status = ready ? 200 : 503;
    std::string text = ready ? "ready\n" : "not ready\n";
    for (const std::string& problem : sample.system.problem()) text += problem + "\n";
    response.set_content(text, "text/plain");
  });
  const int bound =
      port != 0 ? (server.bind_to_port(address.c_str(), port) ? port : -1) : server.bind_to_any_port(address.c_str());
  if (bound <= 0) return config::fail("cannot listen on " + where + " for metrics; is another process there?");
  exporter->inside_->port = bound;
  exporter->inside_->thread = std::thread([&server] { server.listen_after_bind(); });
  return exporter;
}

}  // namespace headgate::monitor
