// Properties over random traffic. Every failure prints its seed; HEADGATE_SEED=N replays it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/rng.h"
#include "dataplane/packet/build.h"
#include "tests/sim/box.h"
#include "tests/sim/site.h"

namespace headgate::worker {
namespace {

using packet::kAck;
using packet::kFin;
using packet::kRst;
using packet::kSyn;
using packet::testing::describe;
using packet::testing::echo_frame;
using packet::testing::fragments;
using packet::testing::Frame;
using packet::testing::FrameSpec;
using packet::testing::icmp_error_frame;
using packet::testing::ip;
using packet::testing::tcp_frame;
using packet::testing::udp_frame;
using sim::Box;
using sim::kInside;
using sim::kOutside;
using sim::kProbe;
using sim::Out;
using telemetry::DropReason;
using telemetry::Exit;

std::uint64_t seed_or(std::uint64_t fallback) {
  const char* text = std::getenv("HEADGATE_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 0) : fallback;
}

constexpr const char* kSnat = "egress: EGRESS_SNAT snat_address: \"192.0.2.77\" snat_address: \"2001:db8:1::77\"";

// ---- (a) one owner for both directions ----

struct Pair {
  std::string mode;
  Tuple request, reply;  // as they arrive at the box
  std::uint16_t request_port, reply_port;
};

IpAddress random_client(Rng& rng, bool v4) {
  if (v4) return IpAddress::from_v4(0xc6336400u + rng.below(1 << 9));
  IpAddress address = ip("2001:db8:77::");
  store_be32(address.bytes.data() + 12, static_cast<std::uint32_t>(rng.next()));
  return address;
}

std::uint16_t random_port(Rng& rng) {
  return static_cast<std::uint16_t>(1024 + rng.below(64512));
}

// A local port for which the reply lands in the request's bucket, as choose_local() computes it.
std::uint16_t local_port(const Steering& steering, const Tuple& reply_without_port, unsigned bucket, Rng& rng) {
  const bool v4 = reply_without_port.dst.is_v4();
  return steering.classes(v4).port(steering.port_class(reply_without_port, bucket),
                                   rng.below(PortClasses::kPortsPerClass));
}

TEST(Owner, IsTheSameForBothDirectionsInEveryModeAndOnAnyNumberOfWorkers) {
  const std::uint64_t seed = seed_or(4242);
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  snapshot::testing::Source source({"outside", "inside", "probe", "x", "y"});
  const auto snat = source.accept(sim::text_of({.inside = kSnat}));
  snapshot::testing::Source routed_source({"outside", "inside", "probe", "x", "y"});
  const auto routed = routed_source.accept(sim::text_of({.inside = "egress: EGRESS_ROUTE"}));
  for (unsigned workers = 1; workers <= 16; ++workers) {
    const Steering steering(kDefaultRssKey, BucketMap::equal_shares(workers));
    for (unsigned round = 0; round < 500; ++round) {
      const bool v4 = rng.below(2) == 0, tcp = rng.below(2) == 0;
      const std::uint8_t protocol = tcp ? kProtocolTcp : kProtocolUdp;
      const std::uint16_t service_port = tcp ? 80 : 53;
      const IpAddress client = random_client(rng, v4), local = ip(v4 ? "10.10.0.64" : "2001:db8:2::a:0"),
                      backend = ip((v4 ? "10.10.0.2" : "2001:db8:2::2") + std::to_string(1 + rng.below(3)));
      const auto service = [&](unsigned number) {
        return ip((v4 ? "192.0.2." : "2001:db8:1::") + std::to_string(number));
      };
      const std::uint16_t port = random_port(rng);
      const auto bucket = [&](const snapshot::Snapshot& s, const Tuple& t, std::uint16_t at) {
        return steering.bucket(s, t, at);
      };

      const Tuple full_nat{client, service(100), port, service_port, protocol};
      Tuple reply{backend, local, service_port, 0, protocol};
      reply.dst_port = local_port(steering, reply, bucket(*snat, full_nat, kOutside), rng);
      EXPECT_EQ(bucket(*snat, full_nat, kOutside), bucket(*snat, reply, kInside)) << "full_nat " << to_string(full_nat);

      const Tuple nat{client, service(101), port, service_port, protocol},
          nat_reply{backend, client, service_port, port, protocol};
      EXPECT_EQ(bucket(*snat, nat, kOutside), bucket(*snat, nat_reply, kInside)) << "nat " << to_string(nat);

      // dsr, tunnel: an ICMP error about the backend's own reply is looked up as the request.
      for (const unsigned number : {102u, 103u, 104u}) {
        const Tuple request{client, service(number), port, service_port, protocol};
        EXPECT_EQ(steering.worker_of(bucket(*snat, request, kOutside)),
                  steering.worker_of(bucket(*snat, request, kInside)));
      }

      const IpAddress server = ip(v4 ? "10.10.0.22" : "2001:db8:2::22"), remote = random_client(rng, v4);
      const Tuple out{server, remote, port, 443, protocol};
      Tuple back{remote, ip(v4 ? "192.0.2.77" : "2001:db8:1::77"), 443, 0, protocol};
      back.dst_port = local_port(steering, back, bucket(*snat, out, kInside), rng);
      EXPECT_EQ(bucket(*snat, out, kInside), bucket(*snat, back, kOutside)) << "snat " << to_string(out);
      EXPECT_EQ(bucket(*routed, out, kInside), bucket(*routed, out.reversed(), kOutside)) << "route " << to_string(out);
    }
  }
}

TEST(Owner, IsReachedWithAtMostTwoHandOversWhereverAFrameArrives) {
  const std::uint64_t seed = seed_or(777);
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  for (const unsigned workers : {2u, 3u, 8u, 16u}) {
    Box box({.workers = workers, .buffers = 255});
    box.apply(sim::text_of({.inside = kSnat}));
    for (unsigned round = 0; round < 150; ++round) {
      const unsigned number = 100 + rng.below(7);
      const bool v4 = rng.below(2) == 0;
      FrameSpec spec{.src = random_client(rng, v4),
                     .dst = ip((v4 ? "192.0.2." : "2001:db8:1::") + std::to_string(number)),
                     .src_port = random_port(rng)};
      const auto at_random = [&] { return static_cast<int>(rng.below(workers)); };
      const std::uint64_t before = box.exits(Exit::handed_over);
      const auto out = box.exchange(kOutside, tcp_frame(spec), at_random());
      ASSERT_EQ(out.size(), 1u);
      EXPECT_LE(box.exits(Exit::handed_over) - before, 1u);
      if (number > 101) continue;
      packet::PacketInfo info;
      packet::parse(out[0].frame, out[0].frame.size(), info);
      const FrameSpec reply{.src = info.tuple.dst,
                            .dst = info.tuple.src,
                            .src_port = info.tuple.dst_port,
                            .dst_port = info.tuple.src_port,
                            .flags = kSyn | kAck};
      const std::uint64_t between = box.exits(Exit::handed_over);
      EXPECT_EQ(box.exchange(kInside, tcp_frame(reply), at_random()).size(), 1u);
      EXPECT_LE(box.exits(Exit::handed_over) - between, 1u);
      const auto parts = fragments(
          udp_frame(
              {.src = spec.src, .dst = spec.dst, .src_port = spec.src_port, .dst_port = 53, .payload = Frame(2000)}),
          1280, round);
      for (const Frame& part : parts) {
        const std::uint64_t at = box.exits(Exit::handed_over);
        EXPECT_EQ(box.exchange(kOutside, part, at_random()).size(), 1u);
        EXPECT_LE(box.exits(Exit::handed_over) - at, 2u);
      }
    }
    EXPECT_EQ(box.exits(Exit::dropped), 0u);
  }
}

// ---- (b) explain() says what happens ----

// Random traffic around the site: mostly sensible, often not, sometimes an answer to what came out before.
class Traffic {
 public:
  explicit Traffic(std::uint64_t seed) : rng_(seed) {}

  struct Packet {
    std::uint16_t port;
    Frame frame;
  };
  Packet next() {
    Packet packet = rng_.below(4) == 0 && !seen_.empty() ? answer() : fresh();
    packet.frame = Box::addressed(packet.port, packet.frame);
    if (rng_.below(12) == 0) corrupt(packet.frame);
    return packet;
  }
  void saw(const Out& out) {
    if (seen_.size() < 64) seen_.emplace_back();
    seen_[rng_.below(static_cast<std::uint32_t>(seen_.size()))] = out;
  }

 private:
  bool coin() { return rng_.below(2) == 0; }
  std::uint8_t flags() {
    constexpr std::uint8_t kFlags[] = {kSyn, kSyn, kSyn, kAck, kAck, kFin | kAck, kRst, kRst | kAck, kSyn | kAck};
    return kFlags[rng_.below(std::size(kFlags))];
  }
  IpAddress anywhere(bool v4) {
    const char* v4s[] = {"192.0.2.10", "192.0.2.9",  "192.0.2.11",  "192.0.2.77", "10.10.0.21",
                         "10.10.0.22", "10.10.0.64", "203.0.113.9", "10.10.0.1"};
    const char* v6s[] = {"2001:db8:1::10", "2001:db8:1::9",   "2001:db8:1::11", "2001:db8:1::77", "2001:db8:2::21",
                         "2001:db8:2::22", "2001:db8:2::a:0", "2001:db8:99::9", "2001:db8:2::1"};
    if (rng_.below(2) != 0) return ip((v4 ? "192.0.2." : "2001:db8:1::") + std::to_string(100 + rng_.below(8)));
    return ip(v4 ? v4s[rng_.below(std::size(v4s))] : v6s[rng_.below(std::size(v6s))]);
  }
  Packet fresh() {
    const bool v4 = coin();
    FrameSpec spec;
    spec.src = rng_.below(3) != 0 ? random_client(rng_, v4) : anywhere(v4);
    spec.dst = anywhere(v4);
    spec.src_port = static_cast<std::uint16_t>(2000 + rng_.below(20));
    constexpr std::uint16_t kPorts[] = {80, 80, 80, 53, 53, 81};
    spec.dst_port = kPorts[rng_.below(std::size(kPorts))];
    spec.flags = flags();
    spec.identifier = static_cast<std::uint16_t>(rng_.below(4));
    spec.reply = rng_.below(8) == 0;
    spec.ttl = static_cast<std::uint8_t>(rng_.below(20) == 0 ? 1 : 64);
    spec.vlan = rng_.below(40) == 0 ? 9 : 0;
    spec.payload = Frame(rng_.below(10) == 0 ? 1440 : rng_.below(64));
    spec.dont_fragment = coin();
    if (rng_.below(50) == 0) spec.eth_dst = kBroadcastMac;
    const std::uint16_t port = rng_.below(12) == 0 ? kProbe : rng_.below(3) == 0 ? kInside : kOutside;
    if (port == kProbe) probe(spec, v4);
    switch (rng_.below(6)) {
      case 0:
        return {port, echo_frame(spec)};
      case 1:
      case 2:
        return {port, udp_frame(spec)};
      default:
        return {port, tcp_frame(spec)};
    }
  }
  void probe(FrameSpec& spec, bool v4) {
    const std::uint32_t id = (100 + rng_.below(8)) * 200 + rng_.below(2) * 100 + rng_.below(4);
    IpAddress address = ip(v4 ? "198.18.0.0" : "fd00:6867::");
    store_be32(address.bytes.data() + 12, load_be32(address.bytes.data() + 12) + id);
    spec.dst = address;
    spec.src = ip(v4 ? "198.19.255.254" : "fd00:6867::ffff:1");
  }
  // What the host that got one of our frames says: the reply, or an ICMP error about it.
  Packet answer() {
    const Out& out = seen_[rng_.below(static_cast<std::uint32_t>(seen_.size()))];
    packet::PacketInfo info;
    if (out.frame.empty() || packet::parse(out.frame, out.frame.size(), info) != packet::ParseError::none ||
        !info.is_ip())
      return fresh();
    FrameSpec spec{
        .src = info.tuple.dst, .dst = info.tuple.src, .src_port = info.tuple.dst_port, .dst_port = info.tuple.src_port};
    if (spec.src_port == 0) spec.src_port = 1;
    if (spec.dst_port == 0) spec.dst_port = 1;
    spec.flags = flags();
    spec.identifier = std::max(info.tuple.src_port, info.tuple.dst_port);
    spec.reply = true;
    if (rng_.below(4) == 0) {
      const bool v4 = spec.src.is_v4();
      return {out.port, icmp_error_frame(spec, {.type = v4 ? std::uint8_t{3} : std::uint8_t{1}, .code = 1}, out.frame)};
    }
    if (info.tuple.protocol == kProtocolTcp) return {out.port, tcp_frame(spec)};
    return {out.port, info.tuple.protocol == kProtocolUdp ? udp_frame(spec) : echo_frame(spec)};
  }
  void corrupt(Frame& frame) {
    switch (rng_.below(3)) {
      case 0:
        frame.resize(rng_.below(static_cast<std::uint32_t>(frame.size())) + 1);
        break;
      default:
        frame[rng_.below(static_cast<std::uint32_t>(frame.size()))] ^= static_cast<std::uint8_t>(1u << rng_.below(8));
        break;
    }
  }

  Rng rng_;
  std::vector<Out> seen_;
};

std::string snapshot_of(unsigned variant) {
  switch (variant % 4) {
    case 0:
      return sim::text_of({.inside = kSnat});
    case 1:
      return sim::text_of({.inside = "egress: EGRESS_ROUTE", .pool = "algorithm: LEAST_CONNECTIONS"});
    case 2:
      return sim::text_of(
          {.pool = "persistence { prefix_length_v4: 24 timeout_s: 60 }", .backend = "max_connections: 3"});
    default:
      return sim::text_of({.outside = "mtu: 1400", .pool = "algorithm: MAGLEV", .extra = "drop_unmatched: true"});
  }
}

struct Counted {
  std::array<std::uint64_t, telemetry::kExits> exits{};
  std::array<std::uint64_t, telemetry::kDropReasons> drops{}, answers{};
};
Counted count(Worker& worker) {
  Counted c;
  for (unsigned i = 0; i < telemetry::kExits; ++i) c.exits[i] = worker.counters().exits[i].read();
  for (unsigned i = 0; i < telemetry::kDropReasons; ++i) {
    c.drops[i] = worker.counters().drops[i].read();
    c.answers[i] = worker.counters().answers[i].read();
  }
  return c;
}

// The one exit, and the reason when dropped or answered for one, by which `after` differs from `before`. A packet that
// was held may be given up in the same step, which is counted but is no exit.
std::string difference(const Counted& before, const Counted& after) {
  std::string text;
  for (unsigned i = 0; i < telemetry::kExits; ++i) {
    for (std::uint64_t n = before.exits[i]; n < after.exits[i]; ++n)
      text += std::string(to_string(static_cast<Exit>(i))) + " ";
  }
  if (text != "dropped " && text != "answered ") return text;
  const bool dropped = text == "dropped ";
  const auto &was = dropped ? before.drops : before.answers, &is = dropped ? after.drops : after.answers;
  for (unsigned i = 0; i < telemetry::kDropReasons; ++i) {
    for (std::uint64_t n = was[i]; n < is[i]; ++n) text += std::string(to_string(static_cast<DropReason>(i))) + " ";
  }
  return text;
}
std::string text_of(const Fate& fate) {
  std::string text = std::string(to_string(fate.exit)) + " ";
  if (fate.reason != DropReason::count) text += std::string(to_string(fate.reason)) + " ";
  return text;
}

std::string steps_of(const Explanation& explanation) {
  std::string text;
  for (const auto& step : explanation.steps) text += "\n  " + step.stage + ": " + step.text;
  return text;
}

void explain_random_packets(std::uint64_t seed, unsigned variant, unsigned packets) {
  SCOPED_TRACE("seed " + std::to_string(seed) + " variant " + std::to_string(variant));
  Box box;
  box.apply(snapshot_of(variant));
  Traffic traffic(seed);
  for (unsigned i = 0; i < packets; ++i) {
    const auto [port, frame] = traffic.next();
    box.tick(20 * kMillisecond);  // our own answers stay within their rate
    box.run();
    const Explanation explanation = box.worker().explain(frame, port);
    const Counted before = count(box.worker());
    box.inject(port, frame, 0);
    box.step(0);
    const std::string happened = difference(before, count(box.worker()));
    EXPECT_TRUE(explanation.decision.service == nullptr && explanation.decision.flow == nullptr) << "they may be gone";
    if (explanation.decision.action == Decision::Action::neighbor) continue;  // the resolver's verdict is not foretold
    ASSERT_EQ(text_of(explanation.fate), happened)
        << "packet " << i << " on port " << port << ": " << describe(frame) << steps_of(explanation);
    for (const Out& out : box.take_sent()) traffic.saw(out);
    for (const Out& out : box.run()) traffic.saw(out);
  }
}

TEST(Explain, SaysWhatHappensToTenThousandRandomPackets) {
  const std::uint64_t seed = seed_or(31337);
  for (unsigned variant = 0; variant < 4; ++variant) explain_random_packets(seed + variant, variant, 2500);
}

// Two workers: asked at the arrival worker; when that says "hand over", at the one it names, and so on.
TEST(Explain, FollowsHandOvers) {
  const std::uint64_t seed = seed_or(271828);
  for (unsigned variant = 0; variant < 4; ++variant) {
    SCOPED_TRACE("seed " + std::to_string(seed + variant) + " variant " + std::to_string(variant));
    Box box({.workers = 2});
    box.apply(snapshot_of(variant == 2 ? 3 : variant));  // persistence and limits travel more than once
    Traffic traffic(seed + variant);
    for (unsigned i = 0; i < 1500; ++i) {
      const auto [port, frame] = traffic.next();
      box.tick(20 * kMillisecond);
      box.run();
      const unsigned first = i % 2;
      const Explanation at_arrival = box.worker(first).explain(frame, port);
      const bool handed_over = at_arrival.fate.exit == Exit::handed_over;
      const unsigned last = handed_over ? at_arrival.decision.owner : first;
      const Explanation at_owner =
          handed_over ? box.worker(last).explain(frame, port, Visit{.owner_known = true}) : at_arrival;
      const Counted before = count(box.worker(last));
      box.inject(port, frame, static_cast<int>(first));
      box.step(first);
      if (handed_over) box.step(last);
      if (at_owner.decision.action == Decision::Action::neighbor) continue;
      ASSERT_EQ(text_of(at_owner.fate), difference(before, count(box.worker(last))))
          << "packet " << i << " on port " << port << ", worker " << first << ", then " << last << ": "
          << describe(frame) << steps_of(at_owner);
      for (const Out& out : box.take_sent()) traffic.saw(out);
      for (const Out& out : box.run()) traffic.saw(out);
    }
  }
}

// ---- (c) determinism and conservation ----

std::vector<Out> whole_run(std::uint64_t seed, unsigned workers, unsigned packets) {
  Box box({.workers = workers, .seed = seed});
  Traffic traffic(seed);
  std::vector<Out> all;
  for (unsigned i = 0; i < packets; ++i) {
    if (i % 200 == 0) box.publish(snapshot_of(i / 200));
    const auto [port, frame] = traffic.next();
    box.inject(port, frame);
    if (i % 7 != 0) continue;  // several at once
    for (const Out& out : box.advance(3 * kMillisecond)) {
      traffic.saw(out);
      all.push_back(out);
    }
  }
  box.advance(8000 * kSecond);
  EXPECT_EQ(box.flows(), 0u) << "seed " << seed;
  EXPECT_EQ(box.local_ports(), 0u) << "seed " << seed;
  EXPECT_EQ(box.held(), 0u) << "seed " << seed;
  EXPECT_EQ(box.buffers_in_use(), 0u) << "seed " << seed;
  for (const snapshot::Backend& backend : box.snapshot().backends)
    EXPECT_EQ(box.limits().in_use(backend.slot), 0u) << "seed " << seed;
  return all;
}

TEST(Determinism, TheSameSeedGivesTheSameBytesAndNothingIsLeft) {
  for (const unsigned workers : {1u, 2u, 5u}) {
    for (std::uint64_t seed = seed_or(1); seed < seed_or(1) + 3; ++seed) {
      const auto once = whole_run(seed, workers, 3000);
      EXPECT_GT(once.size(), 500u);
      EXPECT_TRUE(once == whole_run(seed, workers, 3000)) << "seed " << seed << ", " << workers << " workers";
    }
  }
}

}  // namespace
}  // namespace headgate::worker
