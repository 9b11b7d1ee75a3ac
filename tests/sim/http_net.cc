#include "tests/sim/http_net.h"

#include <algorithm>

#include "dataplane/http/chunked.h"
#include "dataplane/http/request_parser.h"

namespace headgate::sim {

namespace {

constexpr std::int64_t kEpoch = 1'764'421'509;  // Sat, 29 Nov 2025 13:05:09 GMT, at time 0

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

IpAddress address(unsigned last) {
  return IpAddress::from_v4(0x0a000000u + last);
}

}  // namespace

std::string response(std::string_view body, std::string_view fields, std::string_view status) {
  return "HTTP/1.1 " + std::string(status) + "\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// -- streams

HttpEnd& HttpPeers::add(tcp::ConnectionId id) {
  HttpEnd& end = ends_.emplace_back();
  end.id = id;
  host_->engine().set_user(id, ends_.size());
  return end;
}

HttpEnd* HttpPeers::find(tcp::ConnectionId id) {
  const std::uint64_t user = host_->engine().user(id);
  if (user == 0 || user > ends_.size() || ends_[user - 1].id != id) return nullptr;
  return &ends_[user - 1];
}

void HttpPeers::say(HttpEnd& end, std::string_view text) {
  end.out.append(text);
  eager_ = true;
}

void HttpPeers::shut(HttpEnd& end) {
  end.shut_when_said = true;
  eager_ = true;
}

void HttpPeers::abort(HttpEnd& end) {
  host_->engine().abort(end.id);
  end.closed = end.reset = true;
  eager_ = true;
}

void HttpPeers::act(Nanos) {
  eager_ = false;
  for (HttpEnd& end : ends_) {
    if (!end.open || end.closed) continue;
    write(end);
    if (end.heard_at_once != ~0u) read(end);
  }
}

void HttpPeers::write(HttpEnd& end) {
  std::size_t at = 0;
  while (at < end.out.size()) {
    const std::size_t room = host_->engine().room(end.id);
    const std::size_t length = std::min({room, end.out.size() - at, std::size_t{16'384}});
    if (length == 0 || !host_->engine().send_copy(end.id, bytes_of(std::string_view(end.out).substr(at, length))))
      break;
    at += length;
  }
  end.said += at;
  end.out.erase(0, at);
  if (end.out.empty() && end.shut_when_said && !end.shut) {
    end.shut = true;
    host_->engine().shutdown(end.id);
  }
}

void HttpPeers::read(HttpEnd& end) {
  if (!end.reads) return;
  tcp::Chain chain = host_->engine().receive(end.id, end.heard_at_once);
  if (chain.empty()) return;
  chain.each([&](std::span<const std::uint8_t> part) {
    end.heard.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  host_->engine().consume(end.id, chain.bytes());
  heard(end);
}

void HttpPeers::accepted(tcp::ConnectionId id, std::uint16_t) {
  add(id).open = true;
}
void HttpPeers::connected(tcp::ConnectionId id) {
  HttpEnd* end = find(id);
  if (end == nullptr) return;
  end->open = true;
  write(*end);
}
void HttpPeers::data(tcp::ConnectionId id) {
  if (HttpEnd* end = find(id)) read(*end);
}
void HttpPeers::writable(tcp::ConnectionId id) {
  if (HttpEnd* end = find(id)) write(*end);
}
void HttpPeers::fin(tcp::ConnectionId id) {
  HttpEnd* end = find(id);
  if (end == nullptr) return;
  end->fin = true;
  shut(*end);
  write(*end);
  ended(*end);
}
void HttpPeers::reset(tcp::ConnectionId id, tcp::CloseReason) {
  if (HttpEnd* end = find(id)) end->reset = true;
}
void HttpPeers::closed(tcp::ConnectionId id, tcp::CloseReason) {
  if (HttpEnd* end = find(id)) end->closed = true;
}

HttpEnd& HttpClients::open(const IpAddress& service, std::uint16_t port, std::string_view text) {
  const std::uint16_t local = next_port_++;
  const auto id = host_->engine().connect(host_->address(), service, port, tcp::PortSet::range(local, local));
  HttpEnd& end = id ? add(*id) : ends_.emplace_back();
  if (!id) end.closed = end.reset = true;
  end.out = text;
  eager_ = true;
  return end;
}

// -- servers

std::string ServedRequest::field(std::string_view name) const {
  std::size_t at = head.find("\r\n" + std::string(name) + ": ");
  if (at == std::string::npos) return {};
  at += name.size() + 4;
  return head.substr(at, head.find("\r\n", at) - at);
}

void HttpServer::heard(HttpEnd& end) {
  const auto index = static_cast<std::size_t>(host_->engine().user(end.id)) - 1;
  while (states_.size() <= index) states_.emplace_back();
  while (read_request(end, states_[index])) {
  }
  play(end, states_[index], net_.now());
}

bool HttpServer::read_request(HttpEnd& end, State& state) {
  const std::string_view text = std::string_view(end.heard).substr(state.used);
  static const http::RequestOptions kOptions{
      .limits = {.head_bytes = http::kHeadBytesMax, .line_bytes = 60'000, .target_bytes = 60'000, .fields = 128},
      .underscores = http::Underscores::keep,
      .upgrades = http::Upgrades::any};
  if (text.empty() || state.early) return false;
  http::RequestParser parser(kOptions);
  const http::Progress progress = parser.parse(text);
  if (progress == http::Progress::refused) malformed = std::string(text);
  if (progress != http::Progress::complete) return false;
  const http::RequestHead& head = parser.head();
  ServedRequest request;
  request.head = text.substr(0, head.bytes);
  request.method = head.method_text.of(text);
  request.target = head.target.of(text);
  request.on_connection = state.requests;
  std::array<char, 4096> trailers;
  http::BodyReader body;
  body.start(head, trailers, ~0ull);
  std::size_t used = head.bytes;
  for (;;) {
    const http::Piece piece = body.next(text.substr(used));
    used += piece.used;
    if (piece.kind == http::Piece::Kind::data) {
      request.body.append(piece.data);
      continue;
    }
    if (piece.kind == http::Piece::Kind::refused) malformed = std::string(text);
    if (piece.kind == http::Piece::Kind::end) break;
    if (piece.kind == http::Piece::Kind::need_more && reply_early && !state.early_asked) {
      state.early_asked = true;
      if (const auto early = reply_early(request)) {
        state.early = early->then != ServerReply::Then::keep;
        queue(state, *early);
      }
    }
    return false;
  }
  if (body.kind() == http::BodyKind::chunked) request.trailers = body.chunked().trailer_text();
  state.used += used;
  state.early_asked = false;
  ++state.requests;
  served.push_back(request);
  const ServerReply answer = reply ? reply(request) : ServerReply(response(name));
  state.early = !answer.parts.empty() && answer.parts[0].text.starts_with("HTTP/1.1 101 ");  // no requests behind it
  queue(state, answer);
  return true;
}

void HttpServer::queue(State& state, const ServerReply& what) {
  for (std::size_t i = 0; i < what.parts.size(); ++i) {
    state.parts.push_back(what.parts[i]);
    state.thens.push_back(i + 1 == what.parts.size() ? what.then : ServerReply::Then::keep);
  }
  if (!state.parts.empty() && state.next == kNever) state.next = net_.now() + state.parts.front().after;
}

void HttpServer::play(HttpEnd& end, State& state, Nanos now) {
  while (!state.parts.empty() && state.next <= now) {
    if (end.closed) break;
    say(end, state.parts.front().text);
    write(end);
    const ServerReply::Then then = state.thens.front();
    state.parts.pop_front();
    state.thens.pop_front();
    state.next = state.parts.empty() ? kNever : now + state.parts.front().after;
    if (then == ServerReply::Then::close) shut(end);
    if (then == ServerReply::Then::reset) abort(end);
    if (!end.closed) write(end);
  }
  if (end.closed) {
    state.parts.clear();
    state.thens.clear();
    state.next = kNever;
  }
}

void HttpServer::act(Nanos now) {
  HttpPeers::act(now);
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].next <= now) play(ends_[i], states_[i], now);
  }
}

Nanos HttpServer::next_action() const {
  Nanos next = HttpPeers::next_action();
  for (const State& state : states_) next = std::min(next, state.next);
  return next;
}

// -- the dialer

TestDialer::Backend& TestDialer::of(std::uint32_t id) {
  return *std::ranges::find(backends, BackendId{id}, &Backend::id);
}

tcp::Dialer::Chosen TestDialer::choose(const tcp::Wish& wish) {
  if (gone) return {{}, tcp::DialFailure::gone};
  const auto fits = [&](const Backend& b) {
    return b.up && b.pool == wish.pool && std::ranges::find(wish.avoid, b.id) == wish.avoid.end();
  };
  for (const Backend& b : backends) {
    if (b.id == wish.preferred && fits(b)) return {b.id, tcp::DialFailure::none};
  }
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const Backend& b = backends[turn_++ % backends.size()];
    if (fits(b)) return {b.id, tcp::DialFailure::none};
  }
  return {{}, tcp::DialFailure::no_backend};
}

tcp::Dialer::Dialed TestDialer::dial(ServiceId, BackendId backend, std::uint64_t user) {
  Backend& b = of(backend.value);
  if (b.asked++ < b.asks) return {{}, tcp::DialFailure::asked};
  b.asked = 0;
  if (b.limit != 0 && b.connections >= b.limit) return {{}, tcp::DialFailure::at_limit};
  const auto id = host_->engine().connect(host_->address(), b.address, b.port, tcp::PortSet::range(10'000, 60'000));
  if (!id) return {{}, tcp::DialFailure::no_memory};
  host_->engine().set_user(*id, user);
  ++b.connections;
  live_.emplace(id->index, id->generation);
  return {*id, tcp::DialFailure::none};
}

void TestDialer::ended(tcp::ConnectionId connection, BackendId backend, Ending ending) {
  Backend& b = of(backend.value);
  if (live_.erase({connection.index, connection.generation}) != 1) trouble = "a connection ended twice";
  --b.connections;
  b.failures += ending == Ending::connect_failed ? 1 : 0;
  b.resets += ending == Ending::reset ? 1 : 0;
}

bool TestDialer::usable(BackendId backend) const {
  const auto found = std::ranges::find(backends, backend, &Backend::id);
  return found != backends.end() && found->up;
}

// -- the proxy

void HttpLog::request(const http::AccessRecord& record, ServiceId, PoolId, BackendId backend) {
  std::array<char, http::kAccessLineMax> line;
  const std::size_t length = http::write_access_line(record, line);
  lines.push_back({std::string(line.data(), length), std::string(record.method), std::string(record.target),
                   record.status, record.termination, record.retries, backend, record.bytes_sent});
}

void HttpProxyApp::attach(TcpHost& host, const http::ProxyConfig& config) {
  host_ = &host;
  dialer.attach(host);
  proxy_ = std::make_unique<http::Proxy>(config, host.engine(), dialer, http::ProxyCounters{sessions, conduct}, &log,
                                         net_.now());
}

HttpCounts HttpProxyApp::counts() {
  HttpCounts out;
  static_cast<http::ProxyGauges&>(out) = proxy_->gauges();
  telemetry::HttpConduct& http = conduct[0];
#define X(name, text) out.name = http.of(telemetry::HttpCounter::name).read();
  HEADGATE_HTTP_COUNTERS(X)
#undef X
  const auto copy = [](const auto& from, auto& to) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i].read();
  };
  copy(http.responses, out.responses);
  copy(http.ends, out.terminations);
  copy(http.refusals, out.refusals);
  copy(http.backend_failures, out.backend_failures);
  const telemetry::SessionConduct& s = sessions[0];
  out.queued = s.queued.read();
  out.queue_full = s.queue_full.read();
  out.queue_timeouts = s.queue_timeouts.read();
  out.connect_failures = s.connect_failures.read();
  out.connect_timeouts = s.connect_timeouts.read();
  out.unserved = s.unserved.read();
  out.client_resets = s.client_resets.read();
  out.backend_resets = s.backend_resets.read();
  const auto times = [](const telemetry::Histogram& histogram) {
    std::uint64_t sum = 0;
    for (const telemetry::Counter& one : histogram.classes) sum += one.read();
    return sum;
  };
  out.connect_times = times(s.connect);
  out.first_byte_times = times(s.first_byte);
  out.total_times = times(s.total);
  return out;
}

void HttpProxyApp::act(Nanos now) {
  const Inside count(*this);
  proxy_->tick(now, kEpoch + static_cast<std::int64_t>(now / kSecond));
  proxy_->advance(now);
}

void HttpProxyApp::settled() {
  memory_max = std::max(memory_max, host_->engine().memory());
}

std::string HttpProxyApp::trouble() const {
  if (!dialer.trouble.empty()) return dialer.trouble;
  return proxy_->audit();
}

void HttpProxyApp::accepted(tcp::ConnectionId id, std::uint16_t) {
  const Tuple tuple = host_->engine().info(id)->tuple;
  const Inside count(*this);
  proxy_->accepted(
      id, HttpBed::kService, 0, site,
      {.address = tuple.src, .service_address = tuple.dst, .port = tuple.src_port, .service_port = tuple.dst_port});
}

// -- all of it

http::SiteSpec HttpBedOptions::service() {
  http::SiteSpec spec;
  spec.service = HttpBed::kService;
  spec.pool = HttpBed::kPool;
  spec.http.access_log = true;
  return spec;
}

tcp::Config HttpBedOptions::engine_config() {
  tcp::Config config;
  config.time_wait = kSecond;
  config.secret = {1, 2};
  return config;
}

HttpBed::HttpBed(const HttpBedOptions& options) : net(options.seed, 1000 * kSecond), clients(net) {
  auto site = http::compile_site(options.spec);
  HEADGATE_CHECK(site.has_value());
  tcp::Config peers = options.engine;
  peers.profiles = {options.peers};
  service_address = address(100);
  client_host = &net.add(options.client, peers, clients);
  clients.attach(*client_host);
  app = std::make_unique<HttpProxyApp>(net, *site);
  proxy_host = &net.add(service_address, options.engine, *app, options.buffers);
  app->attach(*proxy_host, options.proxy);
  HEADGATE_CHECK(proxy_host->engine().listen(service_address, kPort).has_value());
  for (unsigned i = 0; i < 4; ++i) {
    HttpServer& backend = servers.emplace_back(net);
    backend.name = "backend-" + std::to_string(i + 1);
    TcpHost& host = net.add(address(21 + i), peers, backend);
    backend.attach(host);
    HEADGATE_CHECK(host.engine().listen(host.address(), 80).has_value());
    server_hosts.push_back(&host);
    app->dialer.backends.push_back({.id = {i + 1}, .pool = i < 3 ? kPool : kOtherPool, .address = host.address()});
  }
  client_host->weather = proxy_host->weather = options.weather;
  for (TcpHost* host : server_hosts) host->weather = options.weather;
}

HttpBed::~HttpBed() {
  net.take_down();
}

std::size_t HttpBed::served() const {
  std::size_t sum = 0;
  for (const HttpServer& server : servers) sum += server.served.size();
  return sum;
}

std::string HttpBed::leaks() {
  for (HttpEnd& end : clients.ends()) {
    if (!end.closed) clients.abort(end);
  }
  run(400 * kSecond);
  if (!net.trouble().empty()) return net.trouble();
  const HttpCounts c = counters();
  if (c.sessions_now != 0) return std::to_string(c.sessions_now) + " sessions are left";
  if (c.transactions_now != 0) return std::to_string(c.transactions_now) + " transactions are left";
  if (c.heads_now != 0) return std::to_string(c.heads_now) + " head buffers are left";
  if (c.queued_now != 0) return std::to_string(c.queued_now) + " requests wait";
  if (c.links_now != 0) return std::to_string(c.links_now) + " links are left";
  if (app->dialer.live() != 0) return "connections were not ended()";
  if (proxy_host->engine().connections() != 0) {
    return std::to_string(proxy_host->engine().connections()) + " connections are left";
  }
  if (proxy_host->engine().pieces() != 0) return std::to_string(proxy_host->engine().pieces()) + " pieces are left";
  if (proxy_host->pool().in_use() != 0) return std::to_string(proxy_host->pool().in_use()) + " buffers are left";
  return {};
}

}  // namespace headgate::sim
