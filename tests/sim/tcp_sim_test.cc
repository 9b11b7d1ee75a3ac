// Two TCP engines over a bad network. HEADGATE_SCHEDULES=N runs N random schedules (default 300), HEADGATE_SEED=S the
// one of seed S, which a failure prints; HEADGATE_VERBOSE=1 with a seed prints every segment.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "dataplane/tcp/isn.h"
#include "tests/seed.h"
#include "tests/sim/tcp_net.h"
#include "tests/sim/tcp_relay.h"
#include "tests/sim/tcp_talk.h"

namespace headgate::sim {
namespace {

constexpr std::uint16_t kService = 80;

std::uint64_t number(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : fallback;
}

// Everything that a schedule draws from its seed.
struct Plan {
  tcp::Config config[2];
  TcpWeather weather[2];
  std::vector<Conversation> conversations;
  IpAddress client, server;
  Nanos start = 1000 * kSecond;
  Nanos faults_end = 5 * kSecond;
  std::uint32_t buffers[2] = {1u << 20, 1u << 20};
  bool aborts = false;  // some streams may end early
};

// A value of which each magnitude is as likely.
std::uint64_t magnitude(Rng& rng, std::uint64_t low, std::uint64_t high) {
  const unsigned bits = static_cast<unsigned>(std::bit_width(high / low));
  const std::uint64_t top = std::min(high, low << rng.below(bits + 1));
  return low + (top > low ? rng.next() % (top - low + 1) : 0);
}

tcp::Profile random_profile(Rng& rng) {
  tcp::Profile p;
  p.receive_buffer = static_cast<std::uint32_t>(magnitude(rng, 600, 400'000));
  p.send_buffer = static_cast<std::uint32_t>(magnitude(rng, 600, 200'000));
  p.window_scaling = rng.chance(0.8);
  p.timestamps = rng.chance(0.7);
  p.sack = rng.chance(0.7);
  p.nodelay = rng.chance(0.7);
  p.spurious_undo = rng.chance(0.8);
  p.cubic = rng.chance(0.4);
  p.rack = rng.chance(0.4);
  p.prr = rng.chance(0.4);
  p.ecn = rng.chance(0.4);
  p.keepalive_idle = rng.chance(0.2) ? 3 * kSecond : 0;
  return p;
}

tcp::Config random_config(Rng& rng) {
  tcp::Config c;
  c.connections = 64;
  c.half_open = 16;
  c.time_waits = 64;
  c.pieces = 4096;
  c.troubled = rng.chance(0.1) ? 1 : 32;
  c.reassemblies = rng.chance(0.1) ? 1 : 32;
  c.mtu = rng.chance(0.6) ? 1500 : 576 + rng.below(8425);
  c.cookies_above_percent = rng.chance(0.15) ? 0 : 75;
  c.secret = {rng.next(), rng.next()};
  c.profiles = {random_profile(rng)};
  return c;
}

TcpWeather random_weather(Rng& rng) {
  TcpWeather w;
  w.loss = rng.chance(0.6) ? rng.below(25) / 100.0 : 0;
  w.duplicate = rng.chance(0.3) ? rng.below(20) / 100.0 : 0;
  w.corrupt = rng.chance(0.2) ? rng.below(10) / 100.0 : 0;
  w.reorder = rng.chance(0.4) ? rng.below(40) / 100.0 : 0;
  w.delay = magnitude(rng, 10 * kMicrosecond, 300 * kMillisecond);
  w.jitter = rng.chance(0.4) ? magnitude(rng, kMicrosecond, w.delay + 1) : 0;
  w.reorder_by = 2 * w.delay;
  w.mtu = rng.chance(0.7) ? 9216 : 576 + rng.below(8000);
  w.icmp = rng.chance(0.7);
  if (rng.chance(0.3)) {
    w.bytes_per_second = magnitude(rng, 20'000, 100'000'000);
    w.queue = magnitude(rng, kMillisecond, kSecond);
    w.marks = rng.chance(0.5);
  }
  return w;
}

Speech random_speech(Rng& rng) {
  Speech s;
  s.seed = rng.next();
  s.bytes = rng.chance(0.15) ? 0 : magnitude(rng, 1, 150'000);
  s.chunk = static_cast<std::uint32_t>(rng.chance(0.6) ? 16384 : magnitude(rng, 1, 4000));
  if (s.bytes / s.chunk > 300) s.chunk = static_cast<std::uint32_t>(s.bytes / 300);
  s.pause = rng.chance(0.3) ? magnitude(rng, 10 * kMicrosecond, 100 * kMillisecond) : 0;
  s.close_when_said = rng.chance(0.8);
  if (rng.chance(0.3)) {
    s.read_pause = magnitude(rng, kMillisecond, 500 * kMillisecond);
    s.read_at_once = static_cast<std::uint32_t>(std::max<std::uint64_t>(magnitude(rng, 1, 50'000), s.bytes / 200));
  }
  return s;
}

// ISNs follow from secret, addresses and time: a start from which the first connection soon passes 2^32.
Nanos start_before_wrap(Rng& rng, const Plan& plan) {
  const tcp::Secrets secrets(plan.config[0].secret);
  const Tuple tuple{plan.client, plan.server, plan.conversations[0].port, kService, kProtocolTcp};
  const Nanos base = 1000 * kSecond;
  const std::uint32_t isn = secrets.initial_sequence(tuple, base).value;
  return base + static_cast<std::uint32_t>(0 - isn - rng.below(60'000)) * 4 * kMicrosecond;
}

Plan random_plan(Rng& rng) {
  Plan plan;
  for (unsigned side : {0u, 1u}) {
    plan.config[side] = random_config(rng);
    plan.weather[side] = random_weather(rng);
    if (rng.chance(0.1)) {
      plan.buffers[side] = 40 + rng.below(200);
      // The engine's memory is what the pool has, or data out of order could hold every buffer that the gap needs.
      plan.config[side].memory = std::uint64_t{plan.buffers[side]} * 9600;
    } else if (rng.chance(0.1))
      plan.config[side].memory = 200'000 + rng.below(2'000'000);
  }
  const bool v6 = rng.chance(0.3);
  for (unsigned side : {0u, 1u}) {
    if (!v6) continue;  // RFC 8200 5: every link carries that much
    plan.config[side].mtu = std::max(plan.config[side].mtu, 1280u);
    plan.weather[side].mtu = std::max(plan.weather[side].mtu, 1280u);
  }
  plan.client = parse_ip(v6 ? "2001:db8::1" : "192.0.2.1").value();
  plan.server = parse_ip(v6 ? "2001:db8::2" : "192.0.2.2").value();
  const unsigned count = rng.chance(0.7) ? 1 : 2 + rng.below(4);
  for (unsigned i = 0; i < count; ++i) {
    Conversation c;
    c.port = static_cast<std::uint16_t>(40'000 + i);
    c.speech[0] = random_speech(rng);
    c.speech[1] = random_speech(rng);
    // Somebody has to begin to close.
    if (!c.speech[0].close_when_said && !c.speech[1].close_when_said) c.speech[rng.below(2)].close_when_said = true;
    if (rng.chance(0.05)) {
      c.abort_at = plan.start + rng.next() % (5 * kSecond);
      plan.aborts = true;
    }
    // A client that never speaks and whose last ACKs were all lost has a connection that the server does not know of;
    // with cookies one lost ACK is enough (RFC 4987 3.6).
    if (c.speech[0].bytes == 0) c.speech[0].close_when_said = true;
    plan.conversations.push_back(c);
  }
  if (rng.chance(0.2)) {
    plan.start = start_before_wrap(rng, plan);
  } else if (rng.chance(0.1)) {  // milliseconds pass 2^32 soon
    plan.start = (Nanos{1} << 32) * kMillisecond - rng.below(5000) * kMillisecond;
  }
  for (Conversation& c : plan.conversations) {
    if (c.abort_at == kNever) continue;
    // The reset may be lost: without a word from the other side only time tells.
    for (tcp::Config& config : plan.config) {
      config.profiles[0].half_closed = 30 * kSecond;
      config.profiles[0].keepalive_idle = config.profiles[0].keepalive_interval = 3 * kSecond;
    }
    c.abort_at = plan.start + rng.next() % (5 * kSecond);
  }
  for (Conversation& c : plan.conversations) {
    c.begin = plan.start + rng.next() % kSecond;
  }
  std::sort(plan.conversations.begin(), plan.conversations.end(), [](auto& a, auto& b) { return a.begin < b.begin; });
  plan.faults_end = plan.start + magnitude(rng, 10 * kMillisecond, 60 * kSecond);
  return plan;
}

class Transfer {
 public:
  Transfer(const Plan& plan, std::uint64_t seed)
      : plan_(plan),
        net_(seed, plan.start),
        client_app_(TcpTalker::Role::connects, plan_.conversations, net_),
        server_app_(TcpTalker::Role::accepts, plan_.conversations, net_),
        client_(net_.add(plan.client, plan.config[0], client_app_, plan.buffers[0])),
        server_(net_.add(plan.server, plan.config[1], server_app_, plan.buffers[1])) {
    client_app_.attach(client_, plan.server, kService, 0);
    server_app_.attach(server_, plan.client, 0, 0);
    client_.weather = plan.weather[0];
    server_.weather = plan.weather[1];
    server_.engine().listen(plan.server, kService);
  }

  // What went wrong, or nothing.
  std::string go() {
    while (net_.trouble().empty() && net_.step(plan_.faults_end)) {
      if (finished_at_ == 0 && done()) finished_at_ = net_.now();
    }
    for (TcpHost* host : {&client_, &server_}) {
      const TcpWeather bad = host->weather;
      host->weather = {};
      host->weather.delay = std::min(bad.delay, 50 * kMillisecond);
      host->weather.mtu = bad.mtu;  // paths stay as narrow as they are
      host->weather.icmp = bad.icmp;
    }
    // Backed off timers are at most a minute apart; a black hole takes several of them to find.
    const Nanos bound = net_.now() + 900 * kSecond;
    while (net_.trouble().empty() && net_.now() < bound && !done()) net_.step(bound);
    if (finished_at_ == 0) finished_at_ = net_.now();
    if (net_.trouble().empty() && !done()) net_.fail("the transfer does not end");
    if (net_.trouble().empty()) net_.run_until(net_.now() + 130 * kSecond);  // TIME-WAIT
    if (net_.trouble().empty()) check_nothing_left();
    return net_.trouble();
  }
  TcpNet& net() { return net_; }
  std::string report() const { return client_app_.report() + server_app_.report() + net_.log; }
  Nanos finished_after() const { return finished_at_ - plan_.start; }
  const tcp::Counters& client_counters() { return client_.engine().counters(); }

 private:
  bool done() const { return client_app_.finished() && server_app_.finished(); }

  void check_nothing_left() {
    for (TcpHost* host : {&client_, &server_}) {
      tcp::Engine& e = host->engine();
      const std::string what = host == &client_ ? "client: " : "server: ";
      if (e.connections() != 0) net_.fail(what + "connections leak");
      if (e.half_open() != 0) net_.fail(what + "half-open entries leak");
      if (e.time_waits() != 0) net_.fail(what + "TIME-WAIT entries leak");
      if (e.pieces() != 0 || e.memory() != 0) net_.fail(what + "pieces leak");
      if (host->pool().in_use() != 0) net_.fail(what + "buffers leak");
      if (e.next_deadline(net_.now()) != kNever) net_.fail(what + "timers leak");
    }
    if (plan_.aborts) return;
    // A connection may fail to come about, in the worst weather; one that both sides know may not break.
    for (TcpTalker* app : {&client_app_, &server_app_}) {
      for (const auto& s : app->streams()) {
        if (s.was_reset && client_app_.began(s.conversation) && server_app_.began(s.conversation)) {
          net_.fail(std::string("a connection broke without cause: ") + tcp::name_of(s.reason));
        }
      }
    }
  }

  Plan plan_;
  TcpNet net_;
  TcpTalker client_app_, server_app_;
  TcpHost& client_;
  TcpHost& server_;
  Nanos finished_at_ = 0;
};

std::string run_schedule(std::uint64_t seed) {
  Rng rng(seed);
  const Plan plan = random_plan(rng);
  Transfer run(plan, rng.next());
  run.net().verbose = number("HEADGATE_VERBOSE", 0) != 0;
  const std::string trouble = run.go();
  return trouble.empty() ? "" : trouble + "\n" + run.report();
}

TEST(TcpSchedules, EveryTransferEndsAndNoInvariantBreaks) {
  if (const std::uint64_t seed = number("HEADGATE_SEED", 0); seed != 0) {
    EXPECT_EQ(run_schedule(seed), "");
    return;
  }
  const std::uint64_t base = base_seed() << 32, count = number("HEADGATE_SCHEDULES", 300);
  for (std::uint64_t i = 1; i <= count; ++i) {
    ASSERT_EQ(run_schedule(base + i), "") << "HEADGATE_SEED=" << base + i;
  }
  std::printf("seeds %llu to %llu\n", static_cast<unsigned long long>(base + 1),
              static_cast<unsigned long long>(base + count));
}

// Client, relay and server in a row, a speech both ways.
struct Row {
  explicit Row(const std::vector<Conversation>& talks, const tcp::Config& config, std::uint64_t seed)
      : conversations(talks),
        net(seed, 1000 * kSecond),
        client_app(TcpTalker::Role::connects, conversations, net),
        server_app(TcpTalker::Role::accepts, conversations, net),
        client(net.add(IpAddress::from_v4(1), config, client_app)),
        relay(net.add(IpAddress::from_v4(2), config, relay_app)),
        server(net.add(IpAddress::from_v4(3), config, server_app)) {
    client_app.attach(client, relay.address(), kService, 0);
    relay_app.attach(relay, server.address(), kService);
    server_app.attach(server, relay.address(), 0, 0);
    relay.engine().listen(relay.address(), kService);
    server.engine().listen(server.address(), kService);
  }
  std::string run(Nanos bound) {
    const Nanos end = net.now() + bound;
    while (net.trouble().empty() && net.now() < end && !(client_app.finished() && server_app.finished())) net.step(end);
    if (net.trouble().empty() && !client_app.finished()) net.fail("the transfer does not end");
    if (net.trouble().empty()) net.run_until(net.now() + 200 * kSecond);
    if (net.trouble().empty() && relay.engine().connections() != 0) net.fail("the relay keeps connections");
    if (net.trouble().empty() && relay.pool().in_use() != 0) net.fail("the relay keeps buffers");
    return net.trouble().empty() ? "" : net.trouble() + "\n" + client_app.report() + server_app.report() + net.log;
  }
  std::vector<Conversation> conversations;
  TcpNet net;
  TcpTalker client_app, server_app;
  TcpRelay relay_app;
  TcpHost &client, &relay, &server;
};

TEST(TcpRelaySchedules, WhatIsSplicedArrivesWholeOverBadNetworks) {
  const auto run = [](std::uint64_t seed) {
    Rng rng(seed);
    tcp::Config config = random_config(rng);
    config.troubled = config.reassemblies = 32;
    config.cookies_above_percent = 75;
    // When the relay gives up its way to the server, its reset to the client may be lost.
    config.profiles[0].half_closed = config.profiles[0].keepalive_idle = 300 * kSecond;
    config.profiles[0].keepalive_interval = 20 * kSecond;
    std::vector<Conversation> talks;
    for (unsigned i = 0; i < 1 + rng.below(3); ++i) {
      Conversation c;
      c.port = static_cast<std::uint16_t>(40'000 + i);
      c.begin = 1000 * kSecond;
      c.speech[0] = random_speech(rng);
      c.speech[1] = random_speech(rng);
      c.speech[0].close_when_said = true;
      talks.push_back(c);
    }
    Row row(talks, config, rng.next());
    row.net.verbose = number("HEADGATE_VERBOSE", 0) != 0;
    for (TcpHost* host : {&row.client, &row.relay, &row.server}) {
      host->weather = random_weather(rng);
      host->weather.loss = std::min(host->weather.loss, 0.05);
      host->weather.corrupt = std::min(host->weather.corrupt, 0.03);
    }
    return row.run(1500 * kSecond);
  };
  if (const std::uint64_t seed = number("HEADGATE_SEED", 0); seed != 0) {
    EXPECT_EQ(run(seed), "");
    return;
  }
  const std::uint64_t base = base_seed() << 32;
  for (std::uint64_t i = 1; i <= number("HEADGATE_SCHEDULES", 300) / 3; ++i) {
    ASSERT_EQ(run(base + i), "") << "HEADGATE_SEED=" << base + i;
  }
}

TEST(TcpRelay, ASlowReaderSlowsTheWriterBehindTheRelay) {
  Conversation c;
  c.port = 40'000;
  c.begin = 1000 * kSecond;
  c.speech[1] = {
      .seed = 1, .bytes = 3'000'000, .chunk = 16384, .read_at_once = 20'000, .read_pause = 20 * kMillisecond};
  tcp::Config config;
  config.profiles[0].receive_buffer = 64 * 1024;
  config.profiles[0].send_buffer = 64 * 1024;
  Row row({c}, config, 1);
  EXPECT_EQ(row.run(60 * kSecond), "");
  // Both queues of one direction in true size; jumbo test buffers cost 9.5 KiB for 1460 bytes.
  EXPECT_LT(row.relay_app.memory_max(), 2 * (2 * 64 * 1024 + 65536) + 9600u * 64);
}

// Time to say 1 MB over 20 ms of distance, without loss: slow start and then the window, no stalls.
TEST(TcpSpeed, AMegabyteTakesTheRoundTripsThatItMust) {
  for (const bool cubic : {false, true}) {
    Conversation c;
    c.port = 40'000;
    c.begin = 1000 * kSecond;
    c.speech[0] = {.seed = 1, .bytes = 1'000'000, .chunk = 16384};
    tcp::Config config;
    config.profiles[0].cubic = cubic;
    config.profiles[0].receive_buffer = config.profiles[0].send_buffer = 1 << 20;
    Plan plan;
    plan.config[0] = plan.config[1] = config;
    plan.client = IpAddress::from_v4(1);
    plan.server = IpAddress::from_v4(2);
    plan.conversations = {c};
    plan.start = 1000 * kSecond;
    plan.faults_end = plan.start;
    plan.weather[0].delay = plan.weather[1].delay = 10 * kMillisecond;
    Transfer run(plan, 1);
    EXPECT_EQ(run.go(), "") << run.report();
    // IW10 doubles: 14.6, 43.8, ... 1 MB in 7 windows; handshake and FIN are two more. What ends is TIME-WAIT.
    EXPECT_LT(run.finished_after(), 12 * 20 * kMillisecond);
  }
}

TEST(TcpSpeed, LossCostsRoundTripsAndNotTimeouts) {
  Conversation c;
  c.port = 40'000;
  c.begin = 1000 * kSecond;
  c.speech[0] = {.seed = 1, .bytes = 2'000'000, .chunk = 16384};
  tcp::Config config;
  config.profiles[0].receive_buffer = config.profiles[0].send_buffer = 1 << 20;
  config.profiles[0].cubic = config.profiles[0].rack = config.profiles[0].prr = true;
  Plan plan;
  plan.config[0] = plan.config[1] = config;
  plan.client = IpAddress::from_v4(1);
  plan.server = IpAddress::from_v4(2);
  plan.conversations = {c};
  plan.faults_end = plan.start + 60 * kSecond;
  plan.weather[0] = {.loss = 0.01, .delay = 10 * kMillisecond};
  plan.weather[1] = {.delay = 10 * kMillisecond};
  Transfer run(plan, 1);
  EXPECT_EQ(run.go(), "") << run.report();
  EXPECT_LT(run.finished_after(), 5 * kSecond);
  EXPECT_LE(run.client_counters().timeouts, 2u);
}

TEST(TcpSchedules, TheSameSeedIsTheSameRun) {
  const auto digest = [] {
    Rng rng(42);
    const Plan plan = random_plan(rng);
    Transfer run(plan, rng.next());
    run.go();
    return run.net().digest();
  };
  EXPECT_EQ(digest(), digest());
}

}  // namespace
}  // namespace headgate::sim
