// TCP_PROXY services through whole workers: frames in, frames out, a client and servers with TCP engines of their own.
#include <gtest/gtest.h>

#include <set>

#include "dataplane/packet/build.h"
#include "dataplane/worker/worker.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"
#include "tests/sim/tcp_peer.h"

namespace headgate::worker {
namespace {

using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::TcpPeer;
using telemetry::DropReason;
using telemetry::Exit;

constexpr const char* kService = "192.0.2.200";

// The usual site and TCP_PROXY services at 192.0.2.200 and 2001:db8:1::200, port 80, with backends .21-.23.
std::string site(const std::string& proxy = "", const std::string& pool = "", const std::string& backend = "") {
  std::string extra;
  for (const bool v4 : {true, false}) {
    const std::string id = v4 ? "900" : "901";
    extra += "pool { id: " + id + " name: \"proxied" + id + "\" " + (pool.empty() ? "algorithm: ROUND_ROBIN" : pool);
    for (int i = 1; i <= 3; ++i) {
      extra += " backend { id: " + id + "0" + std::to_string(i) + " name: \"p" + id + std::to_string(i) +
               "\" address: \"" + (v4 ? "10.10.0.2" : "2001:db8:2::2") + std::to_string(i) + "\" weight: 1 " + backend +
               " }";
    }
    extra += " }\nservice { id: " + id + " name: \"proxy" + id + "\" address: \"" +
             (v4 ? "192.0.2.200" : "2001:db8:1::200") +
             "\" port: 80 protocol: TCP_PROXY mode: FULL_NAT pool_id: " + id + " proxy { " + proxy + " } }\n";
  }
  return sim::text_of({.extra = extra});
}

Slot slot_of(const Box& box) {
  return box.snapshot().service_of(ServiceId{900})->slot;
}

struct Site {
  explicit Site(const Box::Options& options, const std::string& snapshot = site(),
                const TcpPeer::Options& client_options = {}, const TcpPeer::Options& server_options = {})
      : box(options), client("192.0.2.10", kOutside, box.now(), client_options) {
    for (const char* address : {"10.10.0.21", "10.10.0.22", "10.10.0.23"}) {
      servers.push_back(std::make_unique<TcpPeer>(address, kInside, box.now(), server_options));
      servers.back()->listen(80);
    }
    box.apply(snapshot);
    all = {&client};
    for (auto& server : servers) all.push_back(server.get());
  }
  void talk(Nanos time = 100 * kMillisecond) { sim::talk(box, all, time); }
  // The server that has sessions; the only one.
  TcpPeer& server() {
    for (auto& one : servers) {
      if (!one->stories().empty()) return *one;
    }
    ADD_FAILURE() << "no server was asked";
    return *servers[0];
  }
  std::uint64_t started() {
    return sum([&](auto& c) { return c.service[slot_of(box)].flows_started.read(); });
  }
  std::uint64_t ended() {
    return sum([&](auto& c) { return c.service[slot_of(box)].flows_ended.read(); });
  }
  template <class Read>
  std::uint64_t sum(Read&& read) {
    std::uint64_t total = 0;
    for (unsigned i = 0; i < box.workers(); ++i) total += read(box.worker(i).counters());
    return total;
  }
  std::uint64_t conduct(telemetry::Counter telemetry::SessionConduct::* counter) {
    return sum([&](auto& c) { return (c.sessions[slot_of(box)].*counter).read(); });
  }
  // Nothing is left of any session.
  void expect_quiet() {
    for (unsigned i = 0; i < box.workers(); ++i) {
      Proxies& proxies = *box.worker(i).proxies();
      EXPECT_EQ(proxies.engine().connections(), 0u);
      EXPECT_EQ(proxies.relay().sessions(), 0u);
      EXPECT_EQ(proxies.relay().waiting(), 0u);
      EXPECT_EQ(proxies.engine().pieces(), 0u);
      EXPECT_EQ(proxies.engine().audit(), "");
    }
    EXPECT_EQ(box.local_ports(), 0u);
    EXPECT_EQ(started(), ended());
  }

  Box box;
  TcpPeer client;
  std::vector<std::unique_ptr<TcpPeer>> servers;
  std::vector<TcpPeer*> all;
};

std::string text(std::size_t length, unsigned seed = 1) {
  Rng rng(seed);
  std::string out(length, ' ');
  for (char& c : out) c = static_cast<char>('a' + rng.below(26));
  return out;
}

TEST(Proxied, BytesEndsAndAddressesBothWays) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    for (const bool chains : {true, false}) {
      SCOPED_TRACE(std::to_string(workers) + " workers");
      Site s({.workers = workers, .connections = 256, .chains = chains});
      const auto c = s.client.connect(kService, 80);
      s.talk();
      ASSERT_TRUE(s.client.story(c).open);
      TcpPeer& server = s.server();
      EXPECT_EQ(to_string(server.engine().info(server.story().id)->tuple.src).substr(0, 9), "10.10.0.6");
      s.client.send(c, "what the client says");
      s.talk();
      EXPECT_EQ(server.story().received, "what the client says");
      server.send(0, "and the server");
      s.client.shutdown(c);
      s.talk();
      EXPECT_EQ(s.client.story(c).received, "and the server");
      EXPECT_TRUE(server.story().fin);
      EXPECT_FALSE(s.client.story(c).fin) << "half-closed, and the server goes on";
      server.send(0, ", more of it");
      server.shutdown(0);
      s.talk();
      EXPECT_EQ(s.client.story(c).received, "and the server, more of it");
      EXPECT_TRUE(s.client.story(c).fin);
      s.talk(61 * kSecond);
      s.expect_quiet();
      EXPECT_EQ(s.box.dropped(), 0u);
    }
  }
}

TEST(Proxied, MegabytesAreEqualOnBothSides) {
  for (const bool chains : {true, false}) {
    Site s({.workers = 2, .buffers = 8191, .connections = 256, .chains = chains});
    const auto c = s.client.connect(kService, 80);
    s.talk();
    const std::string up = text(3'000'000, 1), down = text(3'000'000, 2);
    TcpPeer& server = s.server();
    for (std::size_t at = 0; at < up.size(); at += 100'000) {
      s.client.send(c, std::string_view(up).substr(at, 100'000));
      server.send(0, std::string_view(down).substr(at, 100'000));
      s.talk(50 * kMillisecond);
    }
    s.client.shutdown(c);
    server.shutdown(0);
    s.talk(2 * kSecond);
    EXPECT_TRUE(server.story().received == up);
    EXPECT_TRUE(s.client.story(c).received == down);
    s.talk(61 * kSecond);
    s.expect_quiet();
  }
}

TEST(Proxied, Ipv6) {
  Site s({.connections = 256});
  TcpPeer client("2001:db8:1::10", kOutside, s.box.now()), server("2001:db8:2::21", kInside, s.box.now());
  server.listen(80);
  s.all = {&client, &server};
  const auto c = client.connect("2001:db8:1::200", 80);
  s.talk();
  ASSERT_EQ(server.stories().size(), 1u);
  client.send(c, text(5000));
  s.talk();
  EXPECT_EQ(server.story().received, text(5000));
}

TEST(Proxied, AResetIsCarriedOverBothWays) {
  for (const bool by_client : {true, false}) {
    Site s({.connections = 256});
    const auto c = s.client.connect(kService, 80);
    s.talk();
    TcpPeer& server = s.server();
    if (by_client) {
      s.client.abort(c);
    } else {
      server.abort(0);
    }
    s.talk();
    EXPECT_EQ(s.client.story(c).reset, !by_client);
    EXPECT_EQ(server.story().reset, by_client);
    EXPECT_EQ(s.conduct(&telemetry::SessionConduct::client_resets), by_client ? 1u : 0u);
    EXPECT_EQ(s.conduct(&telemetry::SessionConduct::backend_resets), by_client ? 0u : 1u);
    s.expect_quiet();
  }
}

TEST(Proxied, ASlowReaderSlowsTheWriter) {
  Site s({.buffers = 8191, .connections = 256}, site(), {.receive_buffer = 64 * 1024, .reads = false});
  const auto c = s.client.connect(kService, 80);
  s.talk();
  TcpPeer& server = s.server();
  server.send(0, text(4'000'000));
  s.talk(kSecond);
  const auto waiting = server.engine().info(server.story().id);
  EXPECT_GT(waiting->unsent + waiting->unacknowledged, 3'000'000u);
  EXPECT_LT(s.box.worker().proxies()->engine().memory(), 4'000'000u);
  while (s.client.story(c).received.size() < 4'000'000) {
    const std::size_t before = s.client.story(c).received.size();
    s.client.read(c);
    s.talk(300 * kMillisecond);
    ASSERT_GT(s.client.story(c).received.size() + 1, before);
    if (s.box.now() > 1000 * kSecond) break;
  }
  EXPECT_TRUE(s.client.story(c).received == text(4'000'000));
}

TEST(Proxied, ARefusalOrSilenceOfOneBackendIsTriedAtAnother) {
  for (const bool silent : {false, true}) {
    Site s({.connections = 256}, site("connect_timeout_ms: 300"));
    for (std::size_t i : {0u, 1u}) {
      if (silent) {
        s.servers[i]->set_silent(true);
      } else {
        s.servers[i]->engine().unlisten(0);
      }
    }
    std::vector<std::size_t> all;
    for (int i = 0; i < 3; ++i) all.push_back(s.client.connect(kService, 80));
    for (const std::size_t c : all) s.client.send(c, "hello");
    s.talk(kSecond);
    ASSERT_EQ(s.servers[2]->stories().size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(s.servers[2]->story(i).received, "hello");
    EXPECT_EQ(
        s.conduct(silent ? &telemetry::SessionConduct::connect_timeouts : &telemetry::SessionConduct::connect_failures),
        3u);
  }
}

TEST(Proxied, AClientIsResetWhenNoBackendAnswers) {
  Site s({.connections = 256}, site("connect_attempts: 2"));
  for (auto& server : s.servers) server->engine().unlisten(0);
  const auto c = s.client.connect(kService, 80);
  s.talk(kSecond);
  EXPECT_TRUE(s.client.story(c).open);
  EXPECT_TRUE(s.client.story(c).reset);
  EXPECT_EQ(s.conduct(&telemetry::SessionConduct::unserved), 1u);
  EXPECT_EQ(s.conduct(&telemetry::SessionConduct::connect_failures), 2u);
  s.expect_quiet();
}

TEST(Proxied, IdleAndHalfClosedSessionsEnd) {
  for (const bool half : {false, true}) {
    Site s({.connections = 256}, site("idle_timeout_s: 20 half_closed_timeout_s: 4"));
    const auto c = s.client.connect(kService, 80);
    s.talk();
    if (half) s.client.shutdown(c);
    s.talk((half ? 3 : 19) * kSecond);
    EXPECT_FALSE(s.client.story(c).reset);
    s.talk((half ? 3 : 7) * kSecond);
    EXPECT_TRUE(s.client.story(c).reset);
    EXPECT_EQ(
        s.conduct(half ? &telemetry::SessionConduct::half_closed_timeouts : &telemetry::SessionConduct::idle_timeouts),
        1u);
    s.talk(kSecond);
    s.expect_quiet();
  }
}

TEST(Proxied, ClientsWaitForABackendBelowItsLimit) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    Site s({.workers = workers, .connections = 256},
           site("queue_limit: 40 queue_timeout_ms: 3000", "", "max_connections: 2"));
    std::vector<std::size_t> all;
    for (int i = 0; i < 10; ++i) all.push_back(s.client.connect(kService, 80));
    s.talk(200 * kMillisecond);
    std::size_t connections = 0;
    for (auto& server : s.servers) {
      EXPECT_EQ(server->stories().size(), 2u);
      connections += server->stories().size();
    }
    EXPECT_EQ(connections, 6u);
    s.servers[0]->shutdown(0);
    s.servers[0]->shutdown(1);
    s.talk(100 * kMillisecond);
    for (const std::size_t c : all) {
      if (s.client.story(c).fin) s.client.shutdown(c);
    }
    s.talk(500 * kMillisecond);
    EXPECT_EQ(s.servers[0]->stories().size(), 4u);
    s.talk(4 * kSecond);
    EXPECT_EQ(s.conduct(&telemetry::SessionConduct::queue_timeouts), 2u);
    for (const std::size_t c : all) s.client.abort(c);
    s.talk();
    s.expect_quiet();
    for (const char* id : {"90001", "90002", "90003"}) {
      const auto* backend = s.box.snapshot().backend_of(BackendId{static_cast<std::uint32_t>(std::stoul(id))});
      EXPECT_EQ(s.box.limits().in_use(backend->slot), 0u);
    }
  }
}

TEST(Proxied, PersistenceHoldsAcrossWorkers) {
  Site s({.workers = 4, .connections = 256}, site("", "algorithm: ROUND_ROBIN persistence { timeout_s: 100 }"));
  for (int i = 0; i < 12; ++i) s.client.connect(kService, 80);
  s.talk(300 * kMillisecond);
  EXPECT_EQ(s.server().stories().size(), 12u);
}

TEST(Proxied, SessionsOutliveTheirServiceAndEndWithARemovedBackend) {
  Site s({.connections = 256}, site("", "algorithm: ROUND_ROBIN on_removal: RESET"));
  const auto c = s.client.connect(kService, 80);
  s.talk();
  TcpPeer& server = s.server();
  s.client.send(c, "before");
  s.talk();
  s.box.publish(sim::text_of({}));  // neither service nor pool: its last word was reset
  s.talk();
  EXPECT_TRUE(s.client.story(c).reset);
  EXPECT_TRUE(server.story().reset);

  Site kept({.connections = 256}, site("", "algorithm: ROUND_ROBIN on_removal: KEEP"));
  const auto k = kept.client.connect(kService, 80);
  kept.talk();
  kept.box.apply(sim::text_of({}));
  kept.client.send(k, "after");
  kept.talk();
  EXPECT_EQ(kept.server().story().received, "after");
  const auto again = kept.client.connect(kService, 80);
  kept.talk();
  EXPECT_FALSE(kept.client.story(again).open);
}

TEST(Proxied, AServiceWithoutBackendsRefusesAndStrangersAreReset) {
  Site s({.connections = 256}, site("", "", "health: DOWN"));
  const auto c = s.client.connect(kService, 80);
  s.talk();
  EXPECT_FALSE(s.client.story(c).open);
  EXPECT_TRUE(s.client.story(c).reset);
  EXPECT_EQ(s.box.worker().counters().service_refused[slot_of(s.box)].by_reason[0].read(), 1u);
  // A segment of no connection.
  const auto out = s.box.exchange(kOutside, packet::testing::tcp_frame({.dst = kService, .flags = packet::kAck}));
  ASSERT_EQ(out.size(), 1u);
}

TEST(Proxied, AGroupThatLeavesFreezesItsSessionsAndThenEndsThemInSilence) {
  std::string text_of_group = site();
  const std::string plain = "pool_id: 900 proxy";
  text_of_group.replace(text_of_group.find(plain), plain.size(), "pool_id: 900 group_id: 7 proxy");
  text_of_group +=
      "local_address { id: 20 address: \"10.10.0.70\" interface_id: 2 group_id: 7 }\n"
      "failover { group { id: 7 name: \"site\" priority: 200 interval_ms: 100"
      " router { interface_id: 1 vrid: 51 source: \"192.0.2.11\" address: \"192.0.2.200\" } } }";
  Site s({.connections = 256}, text_of_group);
  const auto lease = [&](Nanos span) {
    s.box.failover().leases.set(s.box.snapshot().groups.at(0).slot, span == 0 ? 0 : s.box.now() + span);
  };
  lease(3600 * kSecond);
  const auto c = s.client.connect(kService, 80);
  s.talk();
  TcpPeer& server = s.server();
  lease(0);
  s.client.send(c, "said meanwhile");
  s.talk(2 * kSecond);
  EXPECT_EQ(server.story().received, "");
  EXPECT_GT(s.box.drops(DropReason::group_inactive), 0u);
  lease(3600 * kSecond);
  s.talk(3 * kSecond);
  EXPECT_EQ(server.story().received, "said meanwhile");
  lease(0);
  s.talk(6 * kSecond);
  s.expect_quiet();
  EXPECT_FALSE(s.client.story(c).reset);
  EXPECT_FALSE(server.story().reset);
}

TEST(Proxied, APathThatIsNarrowerThanThoughtIsLearnt) {
  Site s({.connections = 256});
  const auto c = s.client.connect(kService, 80);
  s.talk();
  TcpPeer& server = s.server();
  server.send(0, text(20'000));
  // One segment on its way to the client, and the router's word on it.
  std::vector<sim::Out> out;
  for (const sim::Frame& frame : server.turn(s.box.now())) s.box.inject(kInside, frame);
  for (const sim::Out& one : s.box.run()) {
    if (one.port == kOutside) out.push_back(one);
  }
  ASSERT_FALSE(out.empty());
  std::vector<std::uint8_t> error(packet::kMaxControlFrame + 64);
  const packet::testing::FrameSpec spec;
  std::size_t length = packet::write_ethernet(error.data(), spec.eth_dst, spec.eth_src, 0, packet::kEtherIpv4);
  length +=
      packet::write_icmp_error(error.data() + length, packet::IcmpError::too_big, packet::testing::ip("192.0.2.1"),
                               packet::testing::ip(kService), std::span(out[0].frame).subspan(14), 1300);
  error.resize(length);
  s.box.exchange(kOutside, error);
  EXPECT_EQ(s.box.worker().proxies()->engine().counters().path_mtu_lowered, 1u);
  s.talk(3 * kSecond);
  EXPECT_EQ(s.client.story(c).received, text(20'000));
}

TEST(Proxied, HeadersSayWhoTheClientIs) {
  Site s({.connections = 256}, site("header_from: \"192.0.2.0/28\" send_header: PROXY_HEADER_V1"));
  const auto c = s.client.connect(kService, 80);
  s.talk();
  const std::string header = "PROXY TCP4 203.0.113.9 198.51.100.1 1234 443\r\n";
  for (const char byte : header) {  // however it is cut
    for (auto& server : s.servers) EXPECT_TRUE(server->stories().empty());
    s.client.send(c, std::string(1, byte));
    s.talk(10 * kMillisecond);
  }
  s.client.send(c, "and more");
  s.talk();
  EXPECT_EQ(s.server().story().received, header + "and more");

  const auto liar = s.client.connect(kService, 80), silent = s.client.connect(kService, 80);
  s.talk();
  s.client.send(liar, "GET / HTTP/1.1");
  s.talk();
  EXPECT_TRUE(s.client.story(liar).reset);
  s.talk(11 * kSecond);
  EXPECT_TRUE(s.client.story(silent).reset);
  EXPECT_EQ(s.conduct(&telemetry::SessionConduct::bad_headers), 2u);
}

TEST(Proxied, AHeaderOfAStrangerIsHisText) {
  Site s({.connections = 256}, site("header_from: \"192.0.2.128/25\" send_header: PROXY_HEADER_V1"));
  const auto c = s.client.connect(kService, 80, 40001);
  s.client.send(c, "PROXY TCP4 203.0.113.9 198.51.100.1 1234 443\r\n");
  s.talk();
  EXPECT_EQ(s.server().story().received,
            "PROXY TCP4 192.0.2.10 192.0.2.200 40001 80\r\nPROXY TCP4 203.0.113.9 198.51.100.1 1234 443\r\n");
}

TEST(Proxied, ExplainSaysWhatHappens) {
  Site s({.connections = 256});
  const auto frame = Box::addressed(kOutside, packet::testing::tcp_frame({.dst = kService, .flags = packet::kSyn}));
  const Explanation e = s.box.worker().explain(frame, kOutside);
  EXPECT_EQ(e.fate.exit, Exit::proxied);
  EXPECT_EQ(e.pool, PoolId{900});
  s.box.exchange(kOutside, frame);
  EXPECT_EQ(s.box.exits(Exit::proxied), 1u);
}

TEST(Proxied, ExplainNamesTheBackendThatIsThenChosenAndChangesNothing) {
  Site s({.connections = 256});
  for (int i = 0; i < 4; ++i) {
    const auto port = static_cast<std::uint16_t>(40'000 + i);
    const auto frame = Box::addressed(
        kOutside, packet::testing::tcp_frame({.dst = kService, .src_port = port, .flags = packet::kSyn}));
    const BackendId named = s.box.worker().explain(frame, kOutside).backend;
    EXPECT_EQ(s.box.worker().explain(frame, kOutside).backend, named);
    ASSERT_NE(named, BackendId{});
    const std::size_t server = named.value % 10 - 1, before = s.servers[server]->stories().size();
    s.client.connect(kService, 80, port);
    s.talk();
    EXPECT_EQ(s.servers[server]->stories().size(), before + 1) << i;
  }
}

std::uint64_t taken(const telemetry::Histogram& histogram) {
  std::uint64_t count = 0;
  for (const auto& one : histogram.classes) count += one.read();
  return count;
}

TEST(Proxied, ConnectingAndTheWholeSessionAreTimed) {
  Site s({.connections = 256});
  const auto c = s.client.connect(kService, 80);
  s.talk(kSecond);
  const telemetry::SessionConduct* times = s.box.worker().counters().sessions.find(slot_of(s.box));
  ASSERT_NE(times, nullptr);
  EXPECT_EQ(taken(times->connect), 1u);
  EXPECT_EQ(taken(times->total), 0u) << "it goes on";
  s.client.abort(c);
  s.talk();
  EXPECT_EQ(taken(times->total), 1u);
  EXPECT_GE(times->total.sum_us.read(), 900'000u);
  EXPECT_LT(times->connect.sum_us.read(), 100'000u);
  s.expect_quiet();
}

TEST(Proxied, ASessionThatAnOperatorEndsIsResetOnBothSidesAndBlamesNobody) {
  Site s({.connections = 256});
  const auto c = s.client.connect(kService, 80);
  s.talk();
  Proxies& proxies = *s.box.worker().proxies();
  ASSERT_EQ(proxies.relay().sessions(), 1u);
  proxies.engine().terminate(proxies.relay().at(0)->client);
  s.talk();
  EXPECT_TRUE(s.client.story(c).reset);
  EXPECT_TRUE(s.server().story().reset);
  EXPECT_EQ(s.conduct(&telemetry::SessionConduct::client_resets), 0u);
  EXPECT_EQ(s.conduct(&telemetry::SessionConduct::backend_resets), 0u);
  s.expect_quiet();
}

}  // namespace
}  // namespace headgate::worker
