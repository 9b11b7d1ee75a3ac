// HTTP sessions on random bad days. HEADGATE_SCHEDULES=N runs N schedules (default 150), HEADGATE_SEED=S the one of
// seed S, which a failure prints.
//
// Requests for /good/ go to pool 1, whose backends answer rightly, at various speeds; those for /bad/ to pool 2, which
// breaks off, resets, hangs, answers twice, sends garbage or heads without end. Each client must hear, in order, its
// own responses byte by byte, or an error of ours, or a reset: never somebody else's, never a short one that looks
// whole. Who asks for nothing bad and does nothing bad must be served, whatever the others do.
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>

#include "dataplane/http/chunked.h"
#include "dataplane/http/response_parser.h"
#include "tests/seed.h"
#include "tests/sim/http_net.h"

namespace headgate::sim {
namespace {

std::uint64_t number(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : fallback;
}

std::uint64_t magnitude(Rng& rng, std::uint64_t low, std::uint64_t high) {
  const auto bits = static_cast<unsigned>(std::bit_width(high / low));
  const std::uint64_t top = std::min(high, low << rng.below(bits + 1));
  return low + (top > low ? rng.next() % (top - low + 1) : 0);
}

std::uint64_t fold(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

// A body that nobody else has.
std::string content(std::string_view name, std::size_t size) {
  Rng rng(fold(name));
  std::string text(size, 0);
  for (char& c : text) c = static_cast<char>('a' + rng.below(26));
  return text;
}

// "/good/<number>/<size>/<way>": what a backend does is in the target.
struct Target {
  bool good = false;
  std::size_t size = 0;
  unsigned way = 0;
  explicit Target(const std::string& text) : good(text.starts_with("/good/")) {
    const std::size_t a = text.find('/', good ? 6 : 5), b = text.find('/', a + 1);
    size = std::strtoul(text.c_str() + a + 1, nullptr, 10);
    way = static_cast<unsigned>(std::strtoul(text.c_str() + b + 1, nullptr, 10));
  }
};

std::string echo(const ServedRequest& r) {
  return "X-Id: " + r.target + "\r\nX-Got: " + std::to_string(fold(r.body)) + "\r\n";
}

ServerReply in_parts(Rng& rng, const std::string& text) {
  ServerReply reply;
  reply.parts.push_back({rng.chance(0.3) ? magnitude(rng, kMillisecond, kSecond) : 0, ""});
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = rng.chance(0.7) ? text.size() - at : 1 + rng.next() % (text.size() - at);
    reply.parts.push_back(
        {rng.chance(0.2) ? magnitude(rng, kMillisecond, 500 * kMillisecond) : 0, text.substr(at, length)});
    at += length;
  }
  return reply;
}

std::string chunked(Rng& rng, std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = magnitude(rng, 1, text.size());
    out.append(http::ChunkHeader(length).text()).append(text.substr(0, length)).append("\r\n");
    text.remove_prefix(length);
  }
  return out + "0\r\n\r\n";
}

constexpr unsigned kTunnel = 9;
constexpr std::string_view kSwitching = "HTTP/1.1 101 Switching Protocols\r\n";

// 0: a length. 1: chunks. 2: until close. 3: a length, and Connection: close. 4: interim ones first. 5: 304.
ServerReply good_reply(const ServedRequest& r, const Target& target) {
  Rng rng(fold(r.target));
  const std::string body = content(r.target, target.size);
  if (target.way == kTunnel) {
    return {std::string(kSwitching) + "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" + body};
  }
  const bool head = r.method == "HEAD";
  const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
  std::string text = "HTTP/1.1 200 OK\r\n" + echo(r);
  ServerReply::Then then = ServerReply::Then::keep;
  switch (target.way) {
    case 1:
      text += "Transfer-Encoding: chunked\r\n\r\n" + (head ? "" : chunked(rng, body));
      break;
    case 2:
      text += (head ? length : std::string()) + "\r\n" + (head ? std::string() : body);
      then = head ? ServerReply::Then::keep : ServerReply::Then::close;
      break;
    case 3:
      text += length + "Connection: close\r\n\r\n" + (head ? "" : body);
      then = ServerReply::Then::close;
      break;
    case 4:
      text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + text + length + "\r\n" +
             (head ? "" : body);
      break;
    case 5:
      text = "HTTP/1.1 304 Not Modified\r\n" + echo(r) + "Content-Length: 77\r\n\r\n";
      break;
    default:
      text += length + "\r\n" + (head ? "" : body);
  }
  ServerReply reply = in_parts(rng, text);
  reply.then = then;
  return reply;
}

constexpr unsigned kBadWays = 14, kEarly = 12;  // from kEarly on: before the request's body is whole
ServerReply bad_reply(const ServedRequest& r, const Target& target) {
  using Then = ServerReply::Then;
  Rng rng(fold(r.target));
  const std::string body = content(r.target, target.size);
  const std::string whole =
      "HTTP/1.1 200 OK\r\n" + echo(r) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  const std::size_t cut = rng.next() % whole.size();
  ServerReply reply = in_parts(rng, whole.substr(0, cut));
  switch (target.way) {
    case 0:
      reply.then = Then::close;
      return reply;
    case 1:
      reply.then = Then::reset;
      return reply;
    case 2:  // and nothing more
      return reply;
    case 3:
      return {};
    case 4:
      return {whole + whole, rng.chance(0.5) ? Then::close : Then::keep};
    case 5:
      return {"HTTP/1.1 200 OK\r\n" + echo(r) + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\n"};
    case 6:
      return {"HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'y')};
    case 7:
      return {content(r.target, 200)};
    case 8:
      return {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nabc"};
    case 9:
      return {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", Then::reset};
    case 10: {
      reply.parts.push_back({magnitude(rng, kMillisecond, 2 * kSecond), ""});  // closes what is idle by then
      reply.parts[0].text = whole;
      reply.parts.resize(1);
      reply.parts.push_back({magnitude(rng, kMillisecond, 2 * kSecond), ""});
      reply.then = Then::close;
      return reply;
    }
    case kEarly:
      return {whole, Then::close};
    default:
      return {whole, Then::reset};
  }
}

struct Asked {
  std::string method, target, body, text;
};

// A client's connection.
struct Visit {
  Nanos begin = 0, abort_at = kNever, shut_at = kNever;
  std::vector<Asked> asked;
  std::vector<std::string> said;  // pieces of all requests, in order
  std::vector<Nanos> pauses;      // before each
  bool garbage = false;           // the last request is none
  bool reads = true, impatient = false;
  bool innocent = true;  // it has to be served
  bool tunnel = false;   // one request that becomes one; asked.body is what the client says in it
  HttpEnd* end = nullptr;
  std::size_t next = 0;
  Nanos next_at = 0;
};

Asked ask(Rng& rng, std::uint32_t id, bool good) {
  Asked a;
  const std::size_t size = rng.chance(0.15) ? 0 : magnitude(rng, 1, 60'000);
  a.target = (good ? "/good/" : "/bad/") + std::to_string(id) + "/" + std::to_string(size) + "/" +
             std::to_string(rng.below(good ? 6 : kBadWays));
  const std::array<const char*, 5> methods{"GET", "GET", "POST", "PUT", "HEAD"};
  a.method = methods[rng.below(5)];
  a.text = a.method + " " + a.target + " HTTP/1.1\r\nHost: a.test\r\n";
  if (a.method != "POST" && a.method != "PUT") {
    a.text += "\r\n";
    return a;
  }
  a.body = content(a.target + "?", rng.chance(0.2) ? 0 : magnitude(rng, 1, 60'000));
  if (rng.chance(0.2) && !a.body.empty()) a.text += "Expect: 100-continue\r\n";
  if (rng.chance(0.5)) {
    a.text += "Transfer-Encoding: chunked\r\n\r\n" + chunked(rng, a.body);
  } else {
    a.text += "Content-Length: " + std::to_string(a.body.size()) + "\r\n\r\n" + a.body;
  }
  return a;
}

void say_in_pieces(Rng& rng, Visit& v, std::string all) {
  while (!all.empty()) {
    const std::size_t length = rng.chance(0.7) ? all.size() : magnitude(rng, 1, all.size());
    v.said.push_back(all.substr(0, length));
    v.pauses.push_back(rng.chance(0.3) ? magnitude(rng, kMillisecond, kSecond) : 0);
    all.erase(0, length);
  }
}

Visit plan_tunnel(Rng& rng, std::uint32_t& id) {
  Visit v;
  v.begin = rng.next() % (5 * kSecond);
  v.tunnel = true;
  Asked a;
  a.target = "/good/" + std::to_string(++id) + "/" + std::to_string(magnitude(rng, 1, 100'000)) + "/" +
             std::to_string(kTunnel);
  a.body = content(a.target + "?", magnitude(rng, 1, 100'000));
  a.text = "GET " + a.target + " HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + a.body;
  say_in_pieces(rng, v, a.text);
  v.asked.push_back(a);
  if (rng.chance(0.2)) v.abort_at = v.begin + rng.next() % (3 * kSecond);
  v.innocent = v.abort_at == kNever;
  return v;
}

Visit plan_visit(Rng& rng, std::uint32_t& id) {
  if (rng.chance(0.15)) return plan_tunnel(rng, id);
  Visit v;
  v.begin = rng.next() % (5 * kSecond);
  const bool bad = rng.chance(0.5);
  const unsigned requests = 1 + rng.below(4);
  std::string all;
  for (unsigned i = 0; i < requests; ++i) {
    const bool good = !bad || rng.chance(0.5);
    v.asked.push_back(ask(rng, ++id, good));
    v.innocent &= good;
    all += v.asked.back().text;
  }
  if (rng.chance(0.1)) {
    all += rng.chance(0.5) ? "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" : content(std::to_string(id), 1 + rng.below(40'000));
    v.garbage = true;
    v.innocent = false;  // what it sends behind may cost it the tail of the answer
  }
  if (rng.chance(0.1)) v.abort_at = v.begin + rng.next() % (3 * kSecond);
  if (rng.chance(0.1)) v.shut_at = v.begin + rng.next() % (3 * kSecond);
  if (rng.chance(0.05)) v.reads = false;
  v.innocent &= v.abort_at == kNever && v.reads && v.shut_at == kNever;
  say_in_pieces(rng, v, all);
  return v;
}

TcpWeather random_weather(Rng& rng) {
  TcpWeather w;
  w.loss = rng.chance(0.5) ? rng.below(15) / 100.0 : 0;
  w.duplicate = rng.chance(0.3) ? rng.below(20) / 100.0 : 0;
  w.corrupt = rng.chance(0.2) ? rng.below(5) / 100.0 : 0;
  w.reorder = rng.chance(0.4) ? rng.below(40) / 100.0 : 0;
  w.delay = magnitude(rng, 10 * kMicrosecond, 50 * kMillisecond);
  w.jitter = rng.chance(0.4) ? magnitude(rng, kMicrosecond, w.delay + 1) : 0;
  w.reorder_by = 2 * w.delay;
  return w;
}

tcp::Profile random_profile(Rng& rng) {
  tcp::Profile p;
  p.receive_buffer = static_cast<std::uint32_t>(magnitude(rng, 2000, 300'000));
  p.send_buffer = static_cast<std::uint32_t>(magnitude(rng, 2000, 300'000));
  p.sack = rng.chance(0.8);
  p.timestamps = rng.chance(0.8);
  p.rack = rng.chance(0.5);
  p.cubic = rng.chance(0.5);
  return p;
}

struct Plan {
  HttpBedOptions options;
  std::vector<Visit> visits;
  bool short_of_memory = false;  // then errors of ours may meet anybody
};

Plan plan_of(std::uint64_t seed) {
  Rng rng(seed);
  Plan plan;
  HttpBedOptions& o = plan.options;
  o.seed = rng.next();
  o.spec.http.response_timeout = 30 * kSecond;
  o.spec.http.keepalive_timeout = 20 * kSecond;
  o.spec.http.request_timeout = 60 * kSecond;
  o.spec.http.reuse = !rng.chance(0.1);
  o.spec.proxy.connect_timeout = 30 * kSecond;  // of a handshake over the worst of networks
  o.spec.proxy.queue_limit = rng.chance(0.5) ? 0 : 100;
  o.spec.proxy.queue_timeout = 300 * kSecond;
  o.spec.http.routes.resize(1);
  o.spec.http.routes[0].id = 1;
  o.spec.http.routes[0].path_prefix = "/bad";
  o.spec.http.routes[0].action = HttpBed::kOtherPool;
  if (rng.chance(0.3)) o.spec.http.requests_per_connection = 0;
  o.engine.profiles = {random_profile(rng)};
  o.engine.secret = {rng.next(), rng.next()};
  o.engine.connections = 256;
  o.peers = random_profile(rng);
  o.weather = random_weather(rng);
  o.proxy.idle_link_timeout = magnitude(rng, 100 * kMillisecond, 30 * kSecond);
  o.proxy.idle_links = 1 + rng.below(20);
  plan.short_of_memory = rng.chance(0.25);
  if (plan.short_of_memory) {
    o.proxy.transactions = 1 + rng.below(6);
    o.proxy.heads = 1 + rng.below(10);
    o.proxy.links = 1 + rng.below(8);
    if (rng.chance(0.5)) o.proxy.sessions = 1 + rng.below(10);
    if (rng.chance(0.5)) o.buffers = 20 + rng.below(200);
    if (rng.chance(0.3)) o.engine.pieces = 50 + rng.below(300);
  }
  std::uint32_t id = 0;
  const unsigned visits = 1 + rng.below(16);
  for (unsigned i = 0; i < visits; ++i) plan.visits.push_back(plan_visit(rng, id));
  return plan;
}

class Schedule {
 public:
  explicit Schedule(std::uint64_t seed) : plan_(plan_of(seed)), bed_(plan_.options), rng_(seed ^ 1) {
    for (HttpServer& server : bed_.servers) {
      server.reply = [](const ServedRequest& r) {
        const Target target(r.target);
        return target.good ? good_reply(r, target) : bad_reply(r, target);
      };
      server.reply_early = [](const ServedRequest& r) -> std::optional<ServerReply> {
        const Target target(r.target);
        if (target.good || target.way < kEarly) return std::nullopt;
        return bad_reply(r, target);
      };
    }
    bed_.net.verbose = std::getenv("HEADGATE_VERBOSE") != nullptr;
    const std::uint32_t limit = plan_.options.spec.proxy.queue_limit != 0 ? 1 + rng_.below(4) : 0;
    const std::uint32_t asks = rng_.chance(0.3) ? 1 + rng_.below(4) : 0;
    for (TestDialer::Backend& backend : bed_.app->dialer.backends) {
      backend.limit = limit;
      backend.asks = asks;
    }
  }

  // The first thing that was wrong.
  std::string play() {
    const Nanos start = bed_.net.now(), faults_end = start + 5 * kSecond;
    while (bed_.net.now() < faults_end + 400 * kSecond && bed_.net.trouble().empty()) {
      Nanos next = faults_end + 400 * kSecond;
      if (bed_.net.now() < faults_end) next = faults_end;
      for (Visit& v : plan_.visits) next = std::min(next, act(v, start));
      bed_.net.run_until(std::max(next, bed_.net.now()));
      if (bed_.net.now() >= faults_end) clear_the_weather();
    }
    if (!bed_.net.trouble().empty()) return bed_.net.trouble();
    for (const Visit& v : plan_.visits) {
      if (std::string wrong = judge(v); !wrong.empty()) return wrong;
    }
    for (const HttpServer& server : bed_.servers) {
      if (!server.malformed.empty()) return "a malformed request reached " + server.name + ": " + server.malformed;
    }
    return bed_.leaks();
  }
  std::uint64_t digest() const { return bed_.net.digest(); }
  // What a failure is understood by.
  std::string report() {
    std::string text;
    for (const HttpLog::Line& line : bed_.lines()) text += line.text;
    for (const Visit& v : plan_.visits) {
      if (v.end == nullptr) continue;
      text += v.asked[0].target + (v.innocent ? " innocent" : "") + ": said " + std::to_string(v.end->said) +
              ", heard " + std::to_string(v.end->heard.size()) + (v.end->fin ? " fin" : "") +
              (v.end->reset ? " reset" : "") + (v.end->closed ? " closed" : "") + "\n";
    }
    return text + bed_.net.log;
  }
  struct Tally {
    std::uint64_t whole = 0, errors = 0, cut = 0, nothing = 0, innocent = 0, tunnels = 0;
  };
  Tally tally;

 private:
  Nanos act(Visit& v, Nanos start) {
    const Nanos now = bed_.net.now();
    if (v.end == nullptr) {
      if (start + v.begin > now) return start + v.begin;
      v.end = &bed_.open();
      v.end->reads = v.reads;
      v.next_at = now + v.pauses[0];
    }
    if (v.end->closed) return kNever;
    if (v.abort_at != kNever && start + v.abort_at <= now) {
      bed_.clients.abort(*v.end);
      return kNever;
    }
    while (v.next < v.said.size() && v.next_at <= now) {
      bed_.clients.say(*v.end, v.said[v.next++]);
      if (v.next < v.said.size()) v.next_at = now + v.pauses[v.next];
    }
    if (v.tunnel && v.next == v.said.size()) bed_.clients.shut(*v.end);
    if (v.shut_at != kNever && start + v.shut_at <= now && !v.end->shut_when_said) bed_.clients.shut(*v.end);
    Nanos next = v.next < v.said.size() ? v.next_at : kNever;
    if (v.abort_at != kNever) next = std::min(next, start + v.abort_at);
    if (v.shut_at != kNever && !v.end->shut_when_said) next = std::min(next, start + v.shut_at);
    return next;
  }

  void clear_the_weather() {
    const TcpWeather clear;
    bed_.client_host->weather = bed_.proxy_host->weather = clear;
    for (TcpHost* host : bed_.server_hosts) host->weather = clear;
  }

  std::string judge(const Visit& v) {
    if (v.end == nullptr) return "a visit never began";
    std::string_view text = v.end->heard;
    const std::string who = "client of " + v.asked[0].target + ": ";
    if (v.tunnel) {
      const std::string wrong = judge_tunnel(v);
      return wrong.empty() ? wrong : who + wrong;
    }
    for (std::size_t i = 0; i < v.asked.size(); ++i) {
      std::string what;
      const Heard heard = read(v.asked[i], text, what);
      count(v, heard);
      if (heard == Heard::wrong) return who + what + " for " + v.asked[i].target;
      if (heard == Heard::nothing || heard == Heard::cut) {
        if (v.end->heard.size() > 0 && heard == Heard::cut && v.end->fin && !v.end->reset) {
          return who + "a short response that looks whole, for " + v.asked[i].target;
        }
        if (v.innocent && !plan_.short_of_memory) return who + "no whole answer for " + v.asked[i].target;
        return {};
      }
      if (heard == Heard::error && v.innocent && !plan_.short_of_memory) {
        return who + "an error for " + v.asked[i].target + ": " + what;
      }
      if (heard == Heard::last) return {};
    }
    if (!text.empty() && !v.garbage) return who + "more than it asked for: " + std::string(text.substr(0, 100));
    return {};
  }

  std::string judge_tunnel(const Visit& v) {
    const Asked& asked = v.asked[0];
    const std::string expected = content(asked.target, Target(asked.target).size);
    const bool must = v.innocent && !plan_.short_of_memory;
    if (!v.end->heard.starts_with(kSwitching)) {
      const bool honest = v.end->heard.empty() || v.end->heard.starts_with("HTTP/1.1 5");
      return honest && !must ? "" : "no tunnel, but " + v.end->heard.substr(0, 200);
    }
    const std::string heard = v.end->heard.substr(v.end->heard.find("\r\n\r\n") + 4);
    if (!expected.starts_with(heard)) return "a tunnel with other bytes";
    if (must && heard.size() != expected.size()) return "a tunnel that was cut";
    for (const HttpServer& server : bed_.servers) {
      for (const HttpEnd& end : server.all()) {
        const std::size_t at = end.heard.find("GET " + asked.target + " ");
        if (at == std::string::npos) continue;
        const std::string said = end.heard.substr(end.heard.find("\r\n\r\n", at) + 4);
        if (!asked.body.starts_with(said)) return "a tunnel that says something else";
        if (must && said.size() == asked.body.size()) ++tally.tunnels;
        if (must && said.size() != asked.body.size()) return "a tunnel whose client was cut off";
      }
    }
    return {};
  }

  enum class Heard { nothing, cut, error, last, whole, wrong };

  void count(const Visit& v, Heard heard) {
    if (v.innocent && !plan_.short_of_memory) ++tally.innocent;
    if (heard == Heard::whole || heard == Heard::last) ++tally.whole;
    if (heard == Heard::error) ++tally.errors;
    if (heard == Heard::cut) ++tally.cut;
    if (heard == Heard::nothing) ++tally.nothing;
  }

  // One response off the front. last: it says that no more will come.
  Heard read(const Asked& asked, std::string_view& text, std::string& what) {
    http::ResponseParser parser{http::Limits{}};
    parser.start(asked.method == "HEAD" ? http::Method::head : http::Method::get, "");
    if (text.empty()) return Heard::nothing;
    for (;;) {
      const http::Progress progress = parser.parse(text);
      if (progress == http::Progress::refused) {
        what = "garbage: " + std::string(text.substr(0, 200));
        return Heard::wrong;
      }
      if (progress == http::Progress::need_more) return Heard::cut;
      if (!parser.head().interim()) break;
      text.remove_prefix(parser.head().bytes);
      parser.next_after_interim();
    }
    const http::ResponseHead& head = parser.head();
    ServedRequest fields;
    fields.head = text.substr(0, head.bytes);
    text.remove_prefix(head.bytes);
    std::string body;
    const bool whole = read_body(head, text, body);
    if (fields.field("X-Id").empty()) {
      what = fields.head.substr(0, 40);
      if (head.status < 400) return Heard::wrong;
      return !whole ? Heard::cut : head.keep_alive ? Heard::error : Heard::last;
    }
    if (fields.field("X-Id") != asked.target) {
      what = "the response for " + fields.field("X-Id");
      return Heard::wrong;
    }
    const Target target(asked.target);
    const bool early = !target.good && target.way >= kEarly;
    if (!early && fields.field("X-Got") != std::to_string(fold(asked.body))) {
      what = "the backend saw another body";
      return Heard::wrong;
    }
    const bool none = asked.method == "HEAD" || head.status == 304;
    const std::string expected = none ? "" : content(asked.target, target.size);
    if (whole && body != expected && !(target.way == 5 && !target.good)) {
      what = "another body of " + std::to_string(body.size()) + " bytes";
      return Heard::wrong;
    }
    if (!whole) return expected.starts_with(body) || target.way == 5 ? Heard::cut : Heard::wrong;
    return head.keep_alive ? Heard::whole : Heard::last;
  }

  static bool read_body(const http::ResponseHead& head, std::string_view& text, std::string& body) {
    std::array<char, 4096> trailers;
    http::BodyReader reader;
    reader.start(head, trailers, ~0ull);
    for (;;) {
      const http::Piece piece = reader.next(text);
      text.remove_prefix(piece.used);
      body.append(piece.data);
      if (piece.kind == http::Piece::Kind::end) return true;
      if (piece.kind != http::Piece::Kind::data) return false;
    }
  }

  Plan plan_;
  HttpBed bed_;
  Rng rng_;
};

TEST(HttpSim, EveryClientHearsItsOwnResponsesOrAnHonestError) {
  const bool one = std::getenv("HEADGATE_SEED") != nullptr;
  const std::uint64_t first = test_seed();
  const std::uint64_t count = one ? 1 : number("HEADGATE_SCHEDULES", 150);
  std::printf("seeds %llu and %llu more\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(count - 1));
  Schedule::Tally sum;
  for (std::uint64_t i = 0; i < count; ++i) {
    Schedule run(first + i);
    const std::string wrong = run.play();
    ASSERT_EQ(wrong, "") << "HEADGATE_SEED=" << first + i << "\n" << run.report();
    for (const auto part : {&Schedule::Tally::whole, &Schedule::Tally::errors, &Schedule::Tally::cut,
                            &Schedule::Tally::nothing, &Schedule::Tally::innocent, &Schedule::Tally::tunnels}) {
      sum.*part += run.tally.*part;
    }
  }
  // What was met, so that nobody takes a run in which nothing happened for a good one.
  std::printf("%llu responses whole, %llu errors, %llu cut short, %llu not begun; %llu had to be whole; %llu tunnels\n",
              static_cast<unsigned long long>(sum.whole), static_cast<unsigned long long>(sum.errors),
              static_cast<unsigned long long>(sum.cut), static_cast<unsigned long long>(sum.nothing),
              static_cast<unsigned long long>(sum.innocent), static_cast<unsigned long long>(sum.tunnels));
  if (count >= 100) {
    EXPECT_GT(sum.whole, 5 * count);
  }
}

TEST(HttpSim, TheSameSeedGivesTheSameBytes) {
  const std::uint64_t seed = test_seed();
  Schedule a(seed), b(seed);
  EXPECT_EQ(a.play(), b.play()) << "HEADGATE_SEED=" << seed;
  EXPECT_EQ(a.digest(), b.digest()) << "HEADGATE_SEED=" << seed;
}

}  // namespace
}  // namespace headgate::sim
