// Two boxes on a real link, each with a configuration that is a text and a list of versions.
#include "controlplane/failover/config_sync.h"

#include "controlplane/failover/test_boxes.h"

namespace headgate::failover {
namespace {

using namespace std::chrono_literals;
using State = ConfigSync::State;

class FakeConfig final : public LocalConfig {
 public:
  explicit FakeConfig(const std::string& first) : text(first) {
    line = {config::following({}, config::sha256_hex(first))};
  }

  Head head() const override {
    return {.lineage = line.back(),
            .revision = line.size(),
            .user = "anna",
            .rolls_back_in_s = unconfirmed,
            .local = false};
  }
  std::vector<std::string> ancestors() const override {
    std::vector<std::string> ids;
    for (std::size_t i = line.size() - 1; i-- > 0;) ids.push_back(line[i].id);
    return ids;
  }
  Offer offer() const override {
    return {.lineage = line.back(), .text = text, .ids = "", .user = "anna", .comment = ""};
  }
  config::Result<void> check(const Offer& offer) const override {
    if (config::sha256_hex(offer.text) != offer.lineage.digest)
      return config::fail("the text is not what its digest says");
    if (!refusal.empty()) return config::fail(refusal);
    return {};
  }
  config::Result<void> apply(const Offer& offer) override {
    if (!disk.empty()) return config::fail(disk);
    order.push_back(name);
    text = offer.text;
    line.push_back(offer.lineage);
    unconfirmed = offer.confirm_s;
    sync->changed();
    return {};
  }
  config::Result<void> confirm() override {
    if (unconfirmed == 0) return config::fail("nothing waits for confirmation");
    unconfirmed = 0;
    return {};
  }
  std::vector<std::string> difference(const std::string& offered) const override {
    return {"- " + text, "+ " + offered};
  }
  bool passive() const override { return is_passive; }

  // What an operator does: as the daemon, by way of the pair.
  Offer next(const std::string& wanted) const {
    return {.lineage = config::following(line.back(), config::sha256_hex(wanted)),
            .text = wanted,
            .ids = "",
            .user = "anna",
            .comment = "because"};
  }
  // On this box alone.
  void commit_local(const std::string& wanted) { ASSERT_TRUE(apply(next(wanted))); }

  std::string name, text, refusal, disk;
  std::vector<config::Lineage> line;
  std::uint32_t unconfirmed = 0;
  bool is_passive = false;
  ConfigSync* sync = nullptr;
  static std::vector<std::string> order;
};
std::vector<std::string> FakeConfig::order;

struct Side {
  Side(asio::io_context& io, TestBox& box, const std::string& text)
      : config(text), sync(io, config, [this](HaLink::Weight, const std::string& line) { log.push_back(line); }) {
    config.sync = &sync;
    box.link.add(sync);
  }
  FakeConfig config;
  std::vector<std::string> log;
  ConfigSync sync;
};

class ConfigSyncTest : public BoxesTest {
 protected:
  ConfigSyncTest() { FakeConfig::order.clear(); }
  ~ConfigSyncTest() override {
    a.reset();  // before what they point to
    b.reset();
  }
  void begin(const std::string& text_a, const std::string& text_b) {
    pin();
    side_a = std::make_unique<Side>(io, *a, text_a);
    side_b = std::make_unique<Side>(io, *b, text_b);
    side_a->config.name = "a";
    side_b->config.name = "b";
    configure();
    ASSERT_TRUE(
        run_until([&] { return side_a->sync.state() != State::apart && side_b->sync.state() != State::apart; }));
  }
  bool agreed() {
    return run_until([&] { return side_a->sync.state() == State::agreed && side_b->sync.state() == State::agreed; },
                     5s);
  }
  config::Result<void> commit(Side& side, const std::string& text, std::uint32_t confirm_s = 0) {
    Offer offer = side.config.next(text);
    offer.confirm_s = confirm_s;
    return wait([&](ConfigSync::Done done) {
      side.sync.commit(offer, [&side, offer] { return side.config.apply(offer); }, std::move(done));
    });
  }
  template <class Begin>
  config::Result<void> wait(Begin begin_it) {
    std::optional<config::Result<void>> result;
    begin_it([&](config::Result<void> done) { result = std::move(done); });
    run_until([&] { return result.has_value(); }, 15s);
    return result ? *result : config::fail("nothing came of it");
  }
  // The cable is pulled: both see it.
  void cut() {
    auto nothing = pair_config(config::v1::A, port);
    nothing.mutable_failover()->clear_ha_link();
    a->link.configure(nothing);
    b->link.configure(nothing);
    run_for(5ms);
  }
  std::unique_ptr<Side> side_a, side_b;
};

TEST_F(ConfigSyncTest, ACommitAppearsOnBothThePassiveOneFirst) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  ASSERT_TRUE(commit(*side_a, "two"));
  EXPECT_EQ(side_b->config.text, "two");
  EXPECT_EQ(FakeConfig::order, (std::vector<std::string>{"b", "a"}));
  ASSERT_TRUE(agreed());
  EXPECT_TRUE(a->link.view().agreed && b->link.view().agreed);
  side_b->config.is_passive = true;
  FakeConfig::order.clear();
  ASSERT_TRUE(commit(*side_b, "three"));
  EXPECT_EQ(FakeConfig::order, (std::vector<std::string>{"b", "a"})) << "it began on the passive one";
  ASSERT_TRUE(agreed());
  EXPECT_EQ(side_a->config.line, side_b->config.line);
}

TEST_F(ConfigSyncTest, WhatThePeerRefusesIsDoneNowhere) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  side_b->config.refusal = "interface web has no port on this box";
  const auto done = commit(*side_a, "two");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "the peer refuses it: interface web has no port on this box");
  EXPECT_EQ(side_a->config.text, "one");
  EXPECT_EQ(side_b->config.text, "one");
}

TEST_F(ConfigSyncTest, AFullDiskOnEitherBoxLeavesBothAsTheyWere) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  side_b->config.disk = "no space left";
  auto done = commit(*side_a, "two");
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("no space left"), std::string::npos) << done.error().message;
  EXPECT_EQ(side_a->config.text, "one");
  // The second of the two cannot: the first takes it back.
  side_b->config.disk.clear();
  Offer offer = side_a->config.next("two");
  done = wait([&](ConfigSync::Done then) {
    side_a->sync.commit(
        offer, [] { return config::Result<void>(config::fail("read-only file system")); }, std::move(then));
  });
  ASSERT_FALSE(done);
  ASSERT_TRUE(run_until([&] { return side_b->config.text == "one" && side_b->config.line.size() == 3; }));
  EXPECT_TRUE(agreed()) << "the return is a version that the other box follows";
  EXPECT_EQ(side_a->config.text, "one");
  EXPECT_EQ(side_a->config.line.back(), side_b->config.line.back());
}

TEST_F(ConfigSyncTest, ACommitDuringACutIsRefused) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  cut();
  const auto done = commit(*side_a, "two");
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("commit local"), std::string::npos) << done.error().message;
  EXPECT_EQ(side_a->config.text, "one");
}

TEST_F(ConfigSyncTest, TheOneThatIsBehindFollows) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  cut();
  side_b->config.commit_local("two");
  side_b->config.commit_local("three");
  EXPECT_EQ(side_a->config.text, "one");
  configure();
  ASSERT_TRUE(agreed());
  EXPECT_EQ(side_a->config.text, "three");
  EXPECT_EQ(side_a->config.line.back(), side_b->config.line.back());
  EXPECT_EQ(FakeConfig::order, (std::vector<std::string>{"b", "b", "a"}));
}

TEST_F(ConfigSyncTest, DivergenceIsShownAndNothingMerges) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  cut();
  side_a->config.commit_local("alpha");
  side_b->config.commit_local("beta");
  configure();
  ASSERT_TRUE(
      run_until([&] { return side_a->sync.state() == State::diverged && side_b->sync.state() == State::diverged; }));
  const auto shows = [](const TestBox& box, const std::string& wanted) {
    for (const std::string& line : box.link.view().detail) {
      if (line == wanted) return true;
    }
    return false;
  };
  ASSERT_TRUE(run_until([&] { return shows(*a, "  + beta") && shows(*b, "  + alpha"); }));
  EXPECT_TRUE(shows(*a, "  - alpha") && shows(*b, "  - beta"));
  EXPECT_NE(a->link.view().problem.find("different"), std::string::npos);
  EXPECT_FALSE(a->link.view().agreed);
  run_for(200ms);
  EXPECT_EQ(side_a->config.text, "alpha");
  EXPECT_EQ(side_b->config.text, "beta");
  EXPECT_FALSE(commit(*side_a, "more"));
  EXPECT_EQ(side_a->log.size(), 1u) << "told once";
  ASSERT_TRUE(wait([&](const ConfigSync::Done& done) { side_b->sync.adopt_peer(done); }));
  EXPECT_TRUE(agreed());
  EXPECT_EQ(side_b->config.text, "alpha");
  EXPECT_EQ(a->link.view().problem, "");
  ASSERT_TRUE(commit(*side_b, "gamma"));
  EXPECT_EQ(side_a->config.text, "gamma");
}

TEST_F(ConfigSyncTest, TwoStrangersDivergeUntilAPersonChooses) {
  begin("mine", "factory");
  ASSERT_TRUE(run_until([&] { return side_a->sync.state() == State::diverged; }));
  ASSERT_TRUE(wait([&](ConfigSync::Done done) { side_a->sync.adopt_local("anna", std::move(done)); }));
  EXPECT_TRUE(agreed());
  EXPECT_EQ(side_b->config.text, "mine");
  EXPECT_FALSE(wait([&](ConfigSync::Done done) { side_a->sync.adopt_local("anna", std::move(done)); }));
}

TEST_F(ConfigSyncTest, TheSameByTwoWaysIsOneLineAgain) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  cut();
  side_a->config.commit_local("two");
  side_a->config.commit_local("one");
  side_b->config.commit_local("other");
  side_b->config.commit_local("one");
  configure();
  ASSERT_TRUE(agreed());
  EXPECT_EQ(side_a->config.line.back(), side_b->config.line.back());
}

TEST_F(ConfigSyncTest, WhatDoesNotDoOnThePeerIsSaidOnBoth) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  cut();
  side_a->config.commit_local("two");
  side_b->config.refusal = "no such port";
  configure();
  ASSERT_TRUE(run_until([&] {
    return b->link.view().problem == "the peer's configuration does not do on this box: no such port";
  })) << b->link.view().problem;
  ASSERT_TRUE(run_until([&] {
    return a->link.view().problem == "this box's configuration does not do on the peer: no such port";
  })) << a->link.view().problem;
  EXPECT_EQ(side_b->config.text, "one");
  run_for(100ms);
  EXPECT_EQ(side_b->log.size(), 1u) << "not again and again";
  side_b->config.refusal.clear();
  side_b->sync.changed();  // it got its port
  EXPECT_TRUE(agreed());
  EXPECT_EQ(side_b->config.text, "two");
}

TEST_F(ConfigSyncTest, ConfirmationCountsOverBoth) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  ASSERT_TRUE(commit(*side_a, "two", 60));
  EXPECT_EQ(side_a->config.unconfirmed, 60u);
  EXPECT_EQ(side_b->config.unconfirmed, 60u);
  ASSERT_TRUE(agreed());
  ASSERT_TRUE(wait(
      [&](ConfigSync::Done done) { side_a->sync.confirm([&] { return side_a->config.confirm(); }, std::move(done)); }));
  EXPECT_EQ(side_a->config.unconfirmed, 0u);
  EXPECT_EQ(side_b->config.unconfirmed, 0u);
  ASSERT_TRUE(commit(*side_a, "three", 60));
  ASSERT_TRUE(agreed());
  cut();
  const auto refused = wait(
      [&](ConfigSync::Done done) { side_a->sync.confirm([&] { return side_a->config.confirm(); }, std::move(done)); });
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("both boxes go back"), std::string::npos) << refused.error().message;
  EXPECT_EQ(side_a->config.unconfirmed, 60u);
}

TEST_F(ConfigSyncTest, TwoCommitsAtOnceDoNotMixUp) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  std::optional<config::Result<void>> first, second;
  const Offer from_a = side_a->config.next("from a"), from_b = side_b->config.next("from b");
  side_a->sync.commit(
      from_a, [&] { return side_a->config.apply(from_a); }, [&](auto done) { first = std::move(done); });
  side_b->sync.commit(
      from_b, [&] { return side_b->config.apply(from_b); }, [&](auto done) { second = std::move(done); });
  ASSERT_TRUE(run_until([&] { return first && second; }));
  EXPECT_FALSE(*first && *second);
  EXPECT_TRUE(agreed());
  EXPECT_EQ(side_a->config.text, side_b->config.text);
}

TEST_F(ConfigSyncTest, ALinkThatEndsInTheMiddleHealsByFollowing) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  std::optional<config::Result<void>> result;
  const Offer offer = side_a->config.next("two");
  side_a->sync.commit(offer, [&] { return side_a->config.apply(offer); }, [&](auto done) { result = std::move(done); });
  ASSERT_TRUE(run_until([&] { return side_b->config.text == "two"; }));  // the answer is still on its way
  if (!result) {
    cut();
    ASSERT_TRUE(result && !*result);
    EXPECT_NE(result->error().message.find("follows"), std::string::npos);
    configure();
  }
  EXPECT_TRUE(agreed());
  EXPECT_EQ(side_a->config.text, "two");
}

TEST_F(ConfigSyncTest, ALieAboutATextIsFound) {
  begin("one", "one");
  ASSERT_TRUE(agreed());
  Offer offer = side_a->config.next("two");
  offer.text = "three";
  auto done = wait([&](ConfigSync::Done then) { side_a->sync.commit(offer, nullptr, std::move(then)); });
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("digest"), std::string::npos) << done.error().message;
  offer = side_a->config.next("two");
  offer.lineage.parent = std::string(64, 'a');
  done = wait([&](ConfigSync::Done then) { side_a->sync.commit(offer, nullptr, std::move(then)); });
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("no version"), std::string::npos) << done.error().message;
  EXPECT_EQ(side_b->config.text, "one");
}

}  // namespace
}  // namespace headgate::failover
