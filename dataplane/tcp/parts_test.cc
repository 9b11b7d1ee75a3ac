// The parts that know nothing of a connection's life.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "dataplane/base/rng.h"
#include "dataplane/tcp/core.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/syn_cookie.h"
#include "dataplane/tcp/testing.h"

namespace headgate::tcp {
namespace {

using testing::MemoryPool;

TEST(Sizes, StayWithinTheirBudgets) {
  EXPECT_LE(sizeof(Connection) + 8, 350u);  // with its share of the table
  EXPECT_LE(offsetof(Connection, user), 128u);
  EXPECT_LE(sizeof(SynEntry), 64u);
  EXPECT_LE(sizeof(TimeWait), 48u);
  EXPECT_LE(sizeof(Piece), 32u);
}

TEST(SequenceNumbers, CompareAcrossTheWrap) {
  const Seq low{0xfffffff0}, high{0x10};
  EXPECT_LT(low, high);
  EXPECT_GT(high, low);
  EXPECT_EQ(high - low, 0x20u);
  EXPECT_EQ(low + 0x20, high);
  EXPECT_EQ(max(low, high), high);
}

// The vectors of the reference implementation: key 00..0f, messages of 0 and 8 bytes 00..07.
TEST(Options, AreReadAsWritten) {
  Options o;
  o.has_mss = o.has_scale = o.has_timestamps = o.sack_permitted = true;
  o.mss = 1460;
  o.scale = 7;
  o.ts_value = 1;
  o.ts_echo = 2;
  std::array<std::uint8_t, 40> bytes{};
  const std::size_t length = write_options(bytes.data(), o);
  EXPECT_EQ(length, 24u);
  Options read;
  ASSERT_TRUE(parse_options({bytes.data(), length}, read));
  EXPECT_EQ(read.mss, 1460);
  EXPECT_EQ(read.scale, 7);
  EXPECT_EQ(read.ts_value, 1u);
  EXPECT_EQ(read.ts_echo, 2u);
  EXPECT_TRUE(read.sack_permitted);
}

TEST(Options, SackBlocksFillWhatIsLeft) {
  for (const bool timestamps : {false, true}) {
    Options o;
    o.has_timestamps = timestamps;
    o.sack_count = 4;
    for (unsigned i = 0; i < 4; ++i) o.sacks[i] = {{i}, {i + 1}};
    std::array<std::uint8_t, 40> bytes{};
    Options read;
    ASSERT_TRUE(parse_options({bytes.data(), write_options(bytes.data(), o)}, read));
    EXPECT_EQ(read.sack_count, timestamps ? 3 : 4);
    EXPECT_EQ(read.sacks[2], (SackBlock{{2}, {3}}));
  }
}

TEST(Options, MalformedOnesAreRefused) {
  const struct {
    const char* name;
    std::vector<std::uint8_t> bytes;
    bool good;
  } rows[] = {
      {"nothing", {}, true},
      {"end", {0, 9, 9, 9}, true},
      {"padding", {1, 1, 1, 1}, true},
      {"unknown", {99, 4, 1, 2}, true},
      {"length 0", {99, 0, 1, 2}, false},
      {"length 1", {99, 1, 1, 2}, false},
      {"beyond the end", {99, 5, 1, 2}, false},
      {"kind without length", {1, 1, 1, 2}, false},
      {"MSS of 3", {2, 3, 1, 1}, false},
      {"scale of 4", {3, 4, 1, 1}, false},
      {"SACK permitted of 3", {4, 3, 0, 0}, false},
      {"timestamps of 9", {8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false},
      {"SACK of 6", {5, 6, 0, 0, 0, 0, 1, 1}, false},
      {"SACK of 2", {5, 2, 1, 1}, false},
  };
  for (const auto& row : rows) {
    Options o;
    EXPECT_EQ(parse_options(row.bytes, o), row.good) << row.name;
  }
}

TEST(Header, IsRefusedWhenItDoesNotFit) {
  std::vector<std::uint8_t> bytes(20);
  Header h;
  bytes[12] = 5 << 4;
  EXPECT_TRUE(parse_header(bytes, h));
  bytes[12] = 4 << 4;
  EXPECT_FALSE(parse_header(bytes, h));
  bytes[12] = 6 << 4;
  EXPECT_FALSE(parse_header(bytes, h));
  bytes.resize(19);
  EXPECT_FALSE(parse_header(bytes, h));
}

TEST(TimerWheel, FiresEachNodeAtItsTickAndNoOther) {
  Rng rng(11);
  for (const Nanos start : {Nanos{0}, 1000 * kSecond, ((Nanos{1} << 32) - 5'000) * kMillisecond}) {
    struct Node {
      WheelNode wheel;
      Nanos wanted = 0, fired = 0;
    };
    std::vector<Node> nodes(2000);
    TimerWheel wheel(reinterpret_cast<std::byte*>(&nodes[0].wheel), sizeof(Node), start);
    for (std::uint32_t i = 0; i < nodes.size(); ++i) {
      // Every magnitude from a millisecond to four hours.
      nodes[i].wanted = start + (Nanos{1} + rng.below(1u << (1 + rng.below(24)))) * kMillisecond;
      wheel.arm(i, tick_of(nodes[i].wanted));
    }
    for (std::uint32_t i = 0; i < nodes.size(); i += 7) {
      wheel.disarm(i);
      nodes[i].wanted = 0;
    }
    Nanos now = start;
    while (wheel.armed() != 0) {
      const Nanos next = wheel.next_deadline(now);
      ASSERT_GE(next, now);  // equal: some that are due were left
      now = next > now && rng.chance(0.3) ? next + rng.below(100'000'000) : next;
      unsigned fired = 0;
      wheel.advance(
          now, 40, [&](std::uint32_t i) { nodes[i].fired = now, ++fired; },
          [&](std::span<const std::uint32_t> soon) { ASSERT_FALSE(soon.empty()); });
      ASSERT_LE(fired, 40u + 15);
    }
    Nanos step_max = 100 * kMillisecond;
    for (const Node& node : nodes) {
      if (node.wanted == 0) {
        EXPECT_EQ(node.fired, 0u);
        continue;
      }
      EXPECT_GE(node.fired, node.wanted);
      EXPECT_LE(node.fired, node.wanted + step_max + kMillisecond);
    }
    EXPECT_EQ(wheel.next_deadline(now), kNever);
  }
}

TEST(TimerWheel, ArmedLaterItFiresAtTheEarlierTime) {
  std::vector<WheelNode> nodes(1);
  TimerWheel wheel(reinterpret_cast<std::byte*>(nodes.data()), sizeof(WheelNode), 0);
  wheel.arm(0, 100);
  wheel.arm(0, 200);
  int fired = 0;
  wheel.advance(100 * kMillisecond, 1'000'000, [&](std::uint32_t) { ++fired; }, [](auto) {});
  EXPECT_EQ(fired, 1);
  wheel.arm(0, 300);
  wheel.arm(0, 150);
  wheel.advance(150 * kMillisecond, 1'000'000, [&](std::uint32_t) { ++fired; }, [](auto) {});
  EXPECT_EQ(fired, 2);
}

TEST(ConnectionTable, FindsWhatIsInItAndNothingElse) {
  Rng rng(5);
  ConnectionTable table(1000);
  std::map<std::uint32_t, std::uint64_t> in;
  std::uint32_t next = 0;
  for (int i = 0; i < 50'000; ++i) {
    if (in.size() < 1000 && rng.chance(0.52)) {
      // Few distinct hashes: tags collide, buckets overflow.
      const std::uint64_t hash = rng.chance(0.3) ? rng.below(8) * 0x1111111100000001ull : rng.next();
      table.insert(hash, next);
      in[next++] = hash;
    } else if (!in.empty()) {
      auto it = in.lower_bound(rng.below(next));
      if (it == in.end()) it = in.begin();
      table.erase(it->second, it->first);
      const std::uint32_t gone = it->first;
      EXPECT_EQ(table.find(it->second, [&](std::uint32_t index) { return index == gone; }), kNone);
      in.erase(it);
    }
    ASSERT_EQ(table.used(), in.size());
  }
  for (const auto& [index, hash] : in) {
    const std::uint32_t wanted = index;
    EXPECT_EQ(table.find(hash, [&](std::uint32_t i) { return i == wanted; }), wanted);
  }
}

TEST(TimeWaitTable, ExpiresInOrderAndTheOldestMakesRoom) {
  TimeWaitTable table(2);
  Nanos now = kSecond;
  table.insert(1, now, 60 * kSecond);
  table.insert(2, now + kSecond, 60 * kSecond);
  EXPECT_EQ(table.next_deadline(now), now + 60 * kSecond);
  table.insert(3, now + 2 * kSecond, 60 * kSecond);
  EXPECT_EQ(table.evicted(), 1u);
  EXPECT_EQ(table.find(1), nullptr);
  ASSERT_NE(table.find(2), nullptr);
  table.restart(table.find(2), now + 10 * kSecond, 60 * kSecond);
  table.advance(now + 62 * kSecond);
  EXPECT_EQ(table.find(3), nullptr);
  EXPECT_NE(table.find(2), nullptr);
  table.advance(now + 70 * kSecond);
  EXPECT_EQ(table.used(), 0u);
  EXPECT_EQ(table.next_deadline(now), kNever);
}

TEST(SynCookies, HoldWhatTheySayForOneToTwoEpochs) {
  Rng rng(3);
  const SipKey key{1, 2};
  for (int i = 0; i < 2000; ++i) {
    const Tuple t{IpAddress::from_v4(1), IpAddress::from_v4(static_cast<std::uint32_t>(rng.next())), 80,
                  static_cast<std::uint16_t>(rng.next()), kProtocolTcp};
    const CookieValues in{.mss = static_cast<std::uint16_t>(216 + rng.below(9000)),
                          .scale = static_cast<std::uint8_t>(rng.below(15)),
                          .scaling = rng.chance(0.5),
                          .sack = rng.chance(0.5)};
    const Seq irs{static_cast<std::uint32_t>(rng.next())};
    const Nanos now = rng.next() % (1'000'000 * kSecond);
    const Seq cookie = make_cookie(key, t, irs, in, now);
    const auto out = read_cookie(key, t, irs, cookie, now + rng.next() % kCookieEpoch);
    ASSERT_TRUE(out);
    EXPECT_LE(out->mss, in.mss);
    EXPECT_EQ(out->scaling, in.scaling);
    EXPECT_EQ(out->sack, in.sack);
    if (in.scaling) {
      EXPECT_LE(out->scale, in.scale);
    }
    EXPECT_FALSE(read_cookie(key, t, irs, cookie, now + 2 * kCookieEpoch));
    EXPECT_FALSE(read_cookie(key, t, irs + 1, cookie, now));
    EXPECT_FALSE(read_cookie({1, 3}, t, irs, cookie, now));
    EXPECT_FALSE(read_cookie(key, t, irs, cookie + 256, now));
    EXPECT_FALSE(read_cookie(key, t, irs, {cookie.value ^ 1}, now));
  }
}

TEST(Ports, ComeRoundLateAndNeverATakenOne) {
  PortPicker picker({1, 2});
  const Tuple pair{IpAddress::from_v4(1), IpAddress::from_v4(2), 0, 80, kProtocolTcp};
  const PortSet ports{.count = 512, .at = [](std::uint32_t i) { return static_cast<std::uint16_t>(1024 + 7 * i); }};
  std::set<std::uint16_t> taken;
  for (int i = 0; i < 512; ++i) {
    const auto port = picker.pick(pair, ports, [&](std::uint16_t p) { return !taken.contains(p); });
    ASSERT_TRUE(port);
    EXPECT_TRUE(taken.insert(*port).second);
    EXPECT_EQ((*port - 1024) % 7, 0);
  }
  EXPECT_FALSE(picker.pick(pair, ports, [&](std::uint16_t p) { return !taken.contains(p); }));
  // One that was freed is found again; a free set hands out each port once before any twice.
  taken.erase(1024 + 7 * 100);
  EXPECT_EQ(picker.pick(pair, ports, [&](std::uint16_t p) { return !taken.contains(p); }), 1024 + 7 * 100);
  std::set<std::uint16_t> fresh;
  for (int i = 0; i < 512; ++i) fresh.insert(*picker.pick(pair, ports, [](std::uint16_t) { return true; }));
  EXPECT_EQ(fresh.size(), 512u);
}

TEST(Pieces, ChargeABufferOnceHoweverItIsCut) {
  MemoryPool buffers;
  PiecePool pool(10);
  Buffer* buffer = buffers.with(std::vector<std::uint8_t>(1000));
  PieceList list;
  pool.push_back(list, pool.make({buffer, 0, 1000}));
  const std::uint64_t truesize = buffer->truesize;
  drop_reference(buffer);
  ASSERT_TRUE(pool.split(list, list.head, 300));
  ASSERT_TRUE(pool.split(list, list.head, 100));
  EXPECT_EQ(pool.truesize(), truesize);
  pool.release(pool.pop_front(list));
  pool.release(pool.pop_front(list));
  EXPECT_EQ(pool.truesize(), truesize);
  EXPECT_EQ(pool[list.head].offset, 300);
  EXPECT_EQ(pool[list.head].length, 700);
  pool.release_all(list);
  EXPECT_EQ(pool.truesize(), 0u);
  EXPECT_EQ(buffers.in_use(), 0u);
}

TEST(Slab, HandsOutWhatItHasAndTakesItBack) {
  Slab<std::uint64_t> slab(3);
  const std::uint32_t a = slab.allocate(), b = slab.allocate(), c = slab.allocate();
  EXPECT_EQ(slab.allocate(), kNone);
  slab[b] = 7;
  slab.free(b);
  EXPECT_EQ(slab.allocate(), b);
  EXPECT_EQ(slab[b], 0u);
  slab.free(a);
  slab.free(b);
  slab.free(c);
  EXPECT_EQ(slab.used(), 0u);
}

}  // namespace
}  // namespace headgate::tcp
