#include "controlplane/failover/cookie_keys.h"

#include <gtest/gtest.h>

#include <map>

namespace headgate::failover {
namespace {

CookieKey key(std::uint8_t n) {
  CookieKey out{};
  out[0] = n;
  return out;
}
using Keys = std::vector<CookieKey>;

TEST(MergedKeys, BothSidesMakeOneListOfTheirTwo) {
  struct Row {
    Keys a, b, both;
  };
  for (const Row& row :
       {Row{{key(1)}, {key(2)}, {key(1), key(2)}}, Row{{key(1), key(2)}, {key(1), key(2)}, {key(1), key(2)}},
        Row{{key(1), key(2)}, {key(3), key(4)}, {key(1), key(3), key(2)}}, Row{{}, {key(2)}, {key(2)}},
        Row{{key(1)}, {}, {key(1)}}, Row{{key(1), key(2), key(3)}, {key(2)}, {key(1), key(2), key(3)}}}) {
    EXPECT_EQ(merged(row.a, row.b), row.both);
    EXPECT_EQ(merged(row.both, row.both), row.both) << "the next meeting changes nothing";
  }
}

// What is on disk, in memory.
class MemoryDisk final : public config::Disk {
 public:
  config::Result<std::vector<std::string>> list(const std::string&) override { return std::vector<std::string>{}; }
  bool exists(const std::string& path) override { return files.contains(path); }
  config::Result<std::string> read(const std::string& path) override { return files.at(path); }
  config::Result<void> make_directory(const std::string&) override { return {}; }
  config::Result<void> write(const std::string& path, const std::string& content) override {
    if (full) return config::fail("no space left on device");
    files[path] = content;
    return {};
  }
  config::Result<void> sync_file(const std::string&) override { return {}; }
  config::Result<void> rename(const std::string& from, const std::string& to) override {
    files[to] = files.at(from);
    files.erase(from);
    return {};
  }
  config::Result<void> sync_directory(const std::string&) override { return {}; }
  config::Result<void> remove(const std::string& path) override {
    files.erase(path);
    return {};
  }
  std::map<std::string, std::string> files;
  bool full = false;
};

struct Box : Wire {
  explicit Box(config::v1::Side side) {
    EXPECT_TRUE(keys.open());
    LinkSettings settings;
    settings.side = side;
    keys.configured(*this, settings);
    keys.on_change([this] { ++changes; });
  }
  bool up() const override { return true; }
  bool send(const ha::v1::Envelope& envelope) override {
    sent.push_back(envelope);
    return true;
  }
  void changed() override {}

  MemoryDisk disk;
  std::vector<std::string> said;
  CookieKeys keys{disk, "/state/ha", [this](HaLink::Weight, const std::string& text) { said.push_back(text); }};
  std::vector<ha::v1::Envelope> sent;
  int changes = 0;
};

void meet(Box& a, Box& b) {
  a.sent.clear();
  b.sent.clear();
  a.keys.began(a, {});
  b.keys.began(b, {});
  for (const auto& envelope : a.sent) EXPECT_TRUE(b.keys.message(envelope));
  for (const auto& envelope : b.sent) EXPECT_TRUE(a.keys.message(envelope));
}

TEST(CookieKeysTest, AKeyIsMadeOnceAndKeptOverRestarts) {
  Box box(config::v1::A);
  const Keys first = box.keys.keys();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_NE(first[0], CookieKey{});
  CookieKeys again(box.disk, "/state/ha", [](HaLink::Weight, const std::string&) {});
  ASSERT_TRUE(again.open());
  EXPECT_EQ(again.keys(), first);
}

TEST(CookieKeysTest, APairEndsWithOneListAndItIsKept) {
  Box a(config::v1::A), b(config::v1::B);
  const CookieKey of_a = a.keys.keys()[0], of_b = b.keys.keys()[0];
  meet(a, b);
  EXPECT_EQ(a.keys.keys(), (Keys{of_a, of_b}));
  EXPECT_EQ(b.keys.keys(), a.keys.keys());
  EXPECT_EQ(a.changes, 1);
  EXPECT_EQ(b.changes, 1);
  meet(a, b);
  EXPECT_EQ(a.changes, 1) << "meeting again changes nothing";
  EXPECT_EQ(a.disk.files, b.disk.files);
}

TEST(CookieKeysTest, WhatIsSaidOfThemHoldsNoKey) {
  Box a(config::v1::A), b(config::v1::B);
  meet(a, b);
  b.disk.files["/state/ha/cookie.keys"] = "nonsense\n";
  ASSERT_TRUE(b.keys.open());
  b.disk.full = true;
  meet(a, b);
  ASSERT_GE(b.said.size(), 3u);
  for (const std::string& text : b.said) {
    for (const CookieKey& one : a.keys.keys()) EXPECT_EQ(text.find(to_hex(one)), std::string::npos) << text;
  }
}

TEST(CookieKeysTest, WhatIsNoListOfKeysIsPassedOver) {
  Box a(config::v1::A);
  const Keys before = a.keys.keys();
  for (const std::vector<std::string>& bytes :
       {std::vector<std::string>{"short"},
        {std::string(16, 'a'), std::string(17, 'b')},
        {std::string(16, 'a'), std::string(16, 'b'), std::string(16, 'c'), std::string(16, 'd')}}) {
    ha::v1::Envelope envelope;
    for (const std::string& one : bytes) envelope.mutable_cookie_keys()->add_key(one);
    EXPECT_TRUE(a.keys.message(envelope));
    EXPECT_EQ(a.keys.keys(), before);
  }
  EXPECT_FALSE(a.keys.message({})) << "what is not for it goes on to others";
}

TEST(CookieKeysTest, AFullDiskLeavesWhatWasThere) {
  Box a(config::v1::A), b(config::v1::B);
  const Keys before = b.keys.keys();
  b.disk.full = true;
  meet(a, b);
  EXPECT_EQ(b.keys.keys(), before);
  EXPECT_EQ(b.changes, 0);
}

}  // namespace
}  // namespace headgate::failover
