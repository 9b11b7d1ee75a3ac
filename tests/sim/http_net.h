// A site for HTTP sessions in one process: clients and backends of which a test says what they do, and between them an
// engine with http::Proxy. All of it on a TcpNet, in virtual time.
#pragma once

#include <deque>
#include <functional>
#include <set>

#include "dataplane/http/proxy.h"
#include "tests/sim/tcp_net.h"

namespace headgate::sim {

// One byte stream of a test: what it has to say, what it heard.
struct HttpEnd {
  tcp::ConnectionId id;
  std::string out;  // still to be sent
  std::string heard;
  bool open = false, fin = false, reset = false, closed = false;
  bool shut_when_said = false, shut = false;
  bool reads = true;                  // false: leaves everything in its window
  std::uint32_t heard_at_once = ~0u;  // bytes read each time it has a turn
  std::uint64_t said = 0;
  bool over() const { return fin || reset || closed; }
};

// What clients and servers have in common: streams of a host.
class HttpPeers : public TcpApp {
 public:
  explicit HttpPeers(TcpNet& net) : net_(net) {}
  void attach(TcpHost& host) { host_ = &host; }

  void say(HttpEnd& end, std::string_view text);
  void shut(HttpEnd& end);
  void abort(HttpEnd& end);
  std::deque<HttpEnd>& ends() { return ends_; }
  const std::deque<HttpEnd>& all() const { return ends_; }

  void act(Nanos now) override;
  void settled() override {}
  Nanos next_action() const override { return eager_ ? net_.now() : kNever; }
  std::string trouble() const override { return trouble_; }
  void accepted(tcp::ConnectionId id, std::uint16_t listener) override;
  void connected(tcp::ConnectionId id) override;
  void data(tcp::ConnectionId id) override;
  void writable(tcp::ConnectionId id) override;
  void fin(tcp::ConnectionId id) override;
  void reset(tcp::ConnectionId id, tcp::CloseReason reason) override;
  void closed(tcp::ConnectionId id, tcp::CloseReason reason) override;

 protected:
  virtual void heard(HttpEnd&) {}
  virtual void ended(HttpEnd&) {}
  HttpEnd& add(tcp::ConnectionId id);
  HttpEnd* find(tcp::ConnectionId id);
  void write(HttpEnd& end);
  void read(HttpEnd& end);

  TcpNet& net_;
  TcpHost* host_ = nullptr;
  bool eager_ = false;  // a test did something since its last turn
  std::deque<HttpEnd> ends_;
  std::string trouble_;
};

class HttpClients : public HttpPeers {
 public:
  using HttpPeers::HttpPeers;
  // A connection to the service; the text is said when it is open.
  HttpEnd& open(const IpAddress& service, std::uint16_t port, std::string_view text = {});

 private:
  std::uint16_t next_port_ = 20'000;
};

struct ServedRequest {
  std::string head, body, trailers;  // head: with its empty line
  std::string method, target;
  unsigned on_connection = 0;  // 0: the first request of its connection
  // The value of a field, empty when absent.
  std::string field(std::string_view name) const;
};

struct ServerReply {
  struct Part {
    Nanos after = 0;  // the part before
    std::string text;
  };
  std::vector<Part> parts;
  enum class Then : std::uint8_t { keep, close, reset } then = Then::keep;

  ServerReply() = default;
  ServerReply(std::string text, Then what = Then::keep) : parts{{0, std::move(text)}}, then(what) {}  // NOLINT
};

class HttpServer : public HttpPeers {
 public:
  using HttpPeers::HttpPeers;
  // For a request that is whole; the usual one is 200 with the server's name.
  std::function<ServerReply(const ServedRequest&)> reply;
  // For a head whose body is still to come; nothing: wait for the body.
  std::function<std::optional<ServerReply>(const ServedRequest&)> reply_early;
  std::string name;
  std::vector<ServedRequest> served;
  std::string malformed;  // what a request that reached it and should not have was like

  void act(Nanos now) override;
  Nanos next_action() const override;

 private:
  struct State {
    std::size_t used = 0;  // of what was heard
    unsigned requests = 0;
    bool early_asked = false, early = false;
    std::deque<ServerReply::Part> parts;
    std::deque<ServerReply::Then> thens;  // one for each part: keep but behind the last one
    Nanos next = kNever;
  };
  void heard(HttpEnd& end) override;
  bool read_request(HttpEnd& end, State& state);
  void queue(State& state, const ServerReply& reply);
  void play(HttpEnd& end, State& state, Nanos now);
  std::deque<State> states_;  // beside ends_
};

// Round robin over what a test says of backends.
class TestDialer : public tcp::Dialer {
 public:
  struct Backend {
    BackendId id;
    PoolId pool;
    IpAddress address;
    std::uint16_t port = 80;
    bool up = true;
    std::uint32_t limit = 0, connections = 0, failures = 0, resets = 0;
    std::uint32_t asks = 0;  // before each connection, as if another worker kept the limit
    std::uint32_t asked = 0;
  };
  std::vector<Backend> backends;
  bool gone = false;
  void attach(TcpHost& host) { host_ = &host; }
  Backend& of(std::uint32_t id);
  std::size_t live() const { return live_.size(); }

  Chosen choose(const tcp::Wish& wish) override;
  Dialed dial(ServiceId service, BackendId backend, std::uint64_t user) override;
  void ended(tcp::ConnectionId connection, BackendId backend, Ending ending) override;
  bool usable(BackendId backend) const override;
  std::string trouble;

 private:
  TcpHost* host_ = nullptr;
  std::size_t turn_ = 0;
  std::set<std::pair<std::uint32_t, std::uint32_t>> live_;
};

class HttpLog : public http::AccessSink {
 public:
  struct Line {
    std::string text, method, target;
    unsigned status;
    http::Termination termination;
    unsigned retries;
    BackendId backend;
    std::uint64_t bytes;
  };
  std::vector<Line> lines;
  void request(const http::AccessRecord& record, ServiceId service, PoolId pool, BackendId backend) override;
};

// What the proxy of a test counted, all of it of one service, as plain numbers.
struct HttpCounts : http::ProxyGauges {
#define X(name, text) std::uint64_t name = 0;
  HEADGATE_HTTP_COUNTERS(X)
#undef X
  std::uint64_t queued = 0, queue_full = 0, queue_timeouts = 0, connect_failures = 0, connect_timeouts = 0,
                unserved = 0, client_resets = 0, backend_resets = 0;
  std::array<std::uint64_t, 6> responses{};
  std::array<std::uint64_t, http::kTerminations> terminations{};
  std::array<std::uint64_t, http::kReasons> refusals{}, backend_failures{};
  std::uint64_t connect_times = 0, first_byte_times = 0, total_times = 0;  // how many were taken
};

class HttpProxyApp : public TcpApp {
 public:
  HttpProxyApp(TcpNet& net, std::shared_ptr<const http::Site> service_site)
      : site(std::move(service_site)), net_(net) {}
  void attach(TcpHost& host, const http::ProxyConfig& config);
  http::Proxy& proxy() { return *proxy_; }
  HttpCounts counts();

  TestDialer dialer;
  HttpLog log;
  std::shared_ptr<const http::Site> site;
  telemetry::SparseCounters<telemetry::SessionConduct> sessions{1};
  telemetry::SparseCounters<telemetry::HttpConduct> conduct{1};
  std::uint64_t memory_max = 0;
  int inside = 0;  // calls of the proxy that have not returned

  void act(Nanos now) override;
  void settled() override;
  Nanos next_action() const override { return proxy_->next_deadline(net_.now()); }
  std::string trouble() const override;
  void accepted(tcp::ConnectionId id, std::uint16_t listener) override;
  void connected(tcp::ConnectionId id) override {
    const Inside count(*this);
    proxy_->connected(id);
  }
  void data(tcp::ConnectionId id) override {
    const Inside count(*this);
    proxy_->data(id);
  }
  void writable(tcp::ConnectionId id) override {
    const Inside count(*this);
    proxy_->writable(id);
  }
  void fin(tcp::ConnectionId id) override {
    const Inside count(*this);
    proxy_->fin(id);
  }
  void reset(tcp::ConnectionId id, tcp::CloseReason reason) override {
    const Inside count(*this);
    proxy_->reset(id, reason);
  }
  void closed(tcp::ConnectionId id, tcp::CloseReason reason) override {
    const Inside count(*this);
    proxy_->closed(id, reason);
  }

 private:
  struct Inside {
    explicit Inside(HttpProxyApp& counted) : app(counted) { ++app.inside; }
    ~Inside() { --app.inside; }
    HttpProxyApp& app;
  };
  TcpNet& net_;
  TcpHost* host_ = nullptr;
  std::unique_ptr<http::Proxy> proxy_;
};

// One service with two pools: backends 1, 2, 3 in pool 1, and 4 in pool 2.
struct HttpBedOptions {
  std::uint64_t seed = 1;
  http::SiteSpec spec = service();
  http::ProxyConfig proxy;
  tcp::Config engine = engine_config();
  std::uint32_t buffers = 1u << 20;  // of the proxy's host
  TcpWeather weather;                // of every host
  tcp::Profile peers{};              // of clients and backends
  IpAddress client = IpAddress::from_v4(0x0a00000a);

  static http::SiteSpec service();
  static tcp::Config engine_config();
};

class HttpBed {
 public:
  static constexpr ServiceId kService{7};
  static constexpr PoolId kPool{1}, kOtherPool{2};
  static constexpr std::uint16_t kPort = 80;

  explicit HttpBed(const HttpBedOptions& options = {});
  ~HttpBed();

  HttpEnd& open(std::string_view text = {}) { return clients.open(service_address, kPort, text); }
  void run(Nanos span) { net.run_until(net.now() + span); }
  HttpCounts counters() { return app->counts(); }
  std::vector<HttpLog::Line>& lines() { return app->log.lines; }
  HttpServer& server(std::uint32_t backend) { return servers[backend - 1]; }
  std::size_t served() const;
  // Empty when everybody gave back everything. Closes clients first and lets time pass.
  std::string leaks();

  TcpNet net;
  HttpClients clients;
  std::deque<HttpServer> servers;
  std::unique_ptr<HttpProxyApp> app;
  IpAddress service_address;
  TcpHost* proxy_host = nullptr;
  TcpHost* client_host = nullptr;
  std::vector<TcpHost*> server_hosts;
};

std::string response(std::string_view body, std::string_view fields = {}, std::string_view status = "200 OK");

}  // namespace headgate::sim
