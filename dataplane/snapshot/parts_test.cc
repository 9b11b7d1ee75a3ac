// Slots, Maglev tables, the store.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <set>

#include "dataplane/base/rng.h"
#include "dataplane/snapshot/maglev.h"
#include "dataplane/snapshot/slot_table.h"
#include "dataplane/snapshot/store.h"

namespace headgate::snapshot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SlotTable, ASlotIsReusedOnlyAfterItsRelease) {
  SlotTable table(1, {.services = 2, .pools = 2, .backends = 2, .local_addresses = 2});
  const auto backends = [&](std::vector<std::uint32_t> ids) {
    return table.assign({.services = {}, .pools = {}, .backends = std::move(ids), .local_addresses = {}});
  };
  EXPECT_THAT(backends({7, 8})->backends, ElementsAre(0, 1));
  EXPECT_THAT(backends({8})->backends, ElementsAre(1));
  EXPECT_THAT(table.retired(SlotKind::backend), ElementsAre(0));
  EXPECT_EQ(backends({8, 9}).error(), SlotKind::backend);
  EXPECT_THAT(table.retired(SlotKind::backend), ElementsAre(0)) << "a failed assignment changes nothing";
  EXPECT_FALSE(table.release(SlotKind::backend, 1)) << "it is live";
  EXPECT_TRUE(table.release(SlotKind::backend, 0));
  EXPECT_FALSE(table.release(SlotKind::backend, 0));
  EXPECT_THAT(backends({8, 9})->backends, ElementsAre(1, 0));
}

TEST(SlotTable, AnIdThatComesBackGetsItsSlotBack) {
  SlotTable table(1);
  const SlotTable::Request both{.services = {3, 4}, .pools = {}, .backends = {}, .local_addresses = {}};
  const auto first = table.assign(both)->services;
  ASSERT_TRUE(table.assign({}));
  EXPECT_EQ(table.retired(SlotKind::service).size(), 2u);
  EXPECT_EQ(table.assign(both)->services, first);
  EXPECT_THAT(table.retired(SlotKind::service), IsEmpty());
}

TEST(SlotTable, WholeConfigurationsCanReplaceEachOtherForever) {
  SlotTable table(1, {.services = 1, .pools = 1, .backends = 64, .local_addresses = 1});
  Rng rng(5);
  for (std::uint32_t round = 0; round < 1000; ++round) {
    std::vector<std::uint32_t> ids;
    for (std::uint32_t i = 0; i < 16; ++i) ids.push_back(1 + round * 8 + i);  // half stay
    const auto assigned = table.assign({.services = {}, .pools = {}, .backends = ids, .local_addresses = {}});
    ASSERT_TRUE(assigned);
    const std::set<Slot> live(assigned->backends.begin(), assigned->backends.end());
    ASSERT_EQ(live.size(), ids.size());
    for (const Slot slot : table.retired(SlotKind::backend)) {
      ASSERT_FALSE(live.contains(slot));
      if (rng.chance(0.5)) {
        ASSERT_TRUE(table.release(SlotKind::backend, slot));
      }
    }
  }
  EXPECT_LE(table.used(SlotKind::backend), 64u);
}

std::map<unsigned, unsigned> shares(const std::vector<std::uint16_t>& table) {
  std::map<unsigned, unsigned> counts;
  for (const std::uint16_t entry : table) ++counts[entry];
  return counts;
}

std::vector<MaglevMember> equal_members(unsigned n) {
  std::vector<MaglevMember> members;
  for (unsigned i = 0; i < n; ++i) members.push_back({BackendId{1000 + i}, 1, static_cast<std::uint16_t>(i)});
  return members;
}

TEST(Maglev, EqualWeightsDifferByOneSlot) {
  for (const unsigned n : {1u, 2u, 3u, 10u, 100u, 1000u, 16384u}) {
    unsigned lowest = kMaglevSlots, highest = 0;
    const auto counts = shares(build_maglev(equal_members(n)));
    ASSERT_EQ(counts.size(), n);
    for (const auto& [member, count] : counts) {
      lowest = std::min(lowest, count);
      highest = std::max(highest, count);
    }
    EXPECT_LE(highest - lowest, 1u) << n;
  }
}

TEST(Maglev, SharesAreProportionalToWeights) {
  std::vector<MaglevMember> members;
  unsigned total = 0;
  for (unsigned i = 0; i < 40; ++i) {
    const std::uint32_t weight = i == 0 ? 1000 : 1 + i * 7;
    members.push_back({BackendId{i + 1}, weight, static_cast<std::uint16_t>(i)});
    total += weight;
  }
  for (const auto& [member, count] : shares(build_maglev(members))) {
    const double wanted = double{kMaglevSlots} * members[member].weight / total;
    EXPECT_NEAR(count, wanted, std::max(2.0, wanted * 0.01)) << member;
  }
}

TEST(Maglev, TheOrderOfMembersDoesNotMatter) {
  auto members = equal_members(50);
  const auto table = build_maglev(members);
  std::ranges::reverse(members);
  EXPECT_EQ(build_maglev(members), table);
}

TEST(Maglev, ARemovedMemberMovesItsOwnSlotsAndFewOthers) {
  const auto members = equal_members(100);
  const auto before = build_maglev(members);
  for (const unsigned removed : {0u, 37u, 99u}) {
    auto fewer = members;
    fewer.erase(fewer.begin() + removed);
    const auto after = build_maglev(fewer);
    unsigned moved = 0;
    for (unsigned i = 0; i < kMaglevSlots; ++i) moved += before[i] != removed && before[i] != after[i] ? 1 : 0;
    EXPECT_LT(moved, kMaglevSlots / 40) << "more than 2.5 % of the others' slots";
  }
}

class Store : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/headgate_store_XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/snapshot";
  }
  void TearDown() override {
    for (const char* name : {"/snapshot", "/snapshot.new"}) ::unlink((directory_ + name).c_str());
    ::rmdir(directory_.c_str());
  }
  std::string content() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  std::string directory_, path_;
};

TEST_F(Store, WhatIsStoredIsLoaded) {
  EXPECT_EQ(load(path_).error().code, ErrorCode::not_found);
  for (const std::string& bytes : {std::string("first"), std::string(), std::string(100'000, '\0')}) {
    ASSERT_TRUE(store(path_, bytes));
    EXPECT_EQ(load(path_).value(), bytes);
  }
  EXPECT_NE(::access((path_ + ".new").c_str(), F_OK), 0);
}

TEST_F(Store, ATornOrDamagedFileIsRefusedWithASentence) {
  ASSERT_TRUE(store(path_, "the bytes of a snapshot"));
  const std::string good = content();
  for (std::size_t length = 0; length < good.size(); ++length) {
    write(good.substr(0, length));
    const auto loaded = load(path_);
    ASSERT_FALSE(loaded) << length;
    EXPECT_EQ(loaded.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(loaded.error().message, HasSubstr("Remove it"));
  }
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    write(bad);
    ASSERT_FALSE(load(path_)) << bit;
  }
  write(good + "x");
  EXPECT_FALSE(load(path_));
}

TEST_F(Store, ThingsThatAreNoFilesAreRefused) {
  EXPECT_FALSE(load(directory_));
  EXPECT_FALSE(store("/nonexistent/snapshot", "x"));
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(load(path_));
}

}  // namespace
}  // namespace headgate::snapshot
