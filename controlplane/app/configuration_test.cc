#include "controlplane/app/configuration.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "controlplane/config/fragile_disk.h"
#include "controlplane/config/print.h"

namespace headgate::app {
namespace {

std::string site(const std::string& weight, const std::string& more = "") {
  return R"(interface { name: "front" port: "front" prefix: "192.0.2.0/24" address: "192.0.2.11" }
interface { name: "servers" port: "servers" prefix: "10.10.0.0/24" address: "10.10.0.11" }
local_address { address: "10.10.0.64" interface: "servers" }
pool { name: "web" backend { name: "web1" address: "10.10.0.21" weight: )" +
         weight + R"( } }
service { name: "web" address: "192.0.2.100" port: 80 protocol: TCP pool: "web" }
)" + more;
}

class Committing : public ::testing::Test {
 protected:
  Committing() {
    std::string name = (std::filesystem::temp_directory_path() / "headgate-config-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    std::ofstream(file()) << site("1");
  }
  ~Committing() override { std::filesystem::remove_all(directory_); }

  std::string file() const { return (directory_ / "factory.txtpb").string(); }
  Configuration open() {
    Configuration configuration(disk_, directory_.string());
    const auto started = configuration.start(file(), now_);
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
    return configuration;
  }
  Verdict commit(Configuration& configuration, const std::string& text, std::uint32_t confirm_s = 0) {
    return configuration.commit(
        {.text = text, .base = std::nullopt, .user = "anna", .comment = "", .confirm_s = confirm_s}, now_);
  }
  static unsigned weight(const Configuration& configuration) {
    return configuration.config().pool(0).backend(0).weight();
  }

  std::filesystem::path directory_;
  config::KernelDisk disk_;
  Now now_{.unix_s = 1'700'000'000, .boottime_s = 1000, .boot = "first"};
};

TEST_F(Committing, TheFileIsTheFirstRevisionAndHistoryRulesAfterwards) {
  {
    Configuration configuration = open();
    EXPECT_EQ(configuration.revision().number, 1u);
    EXPECT_EQ(commit(configuration, site("5")).kind, Verdict::Kind::committed);
    EXPECT_EQ(commit(configuration, site("5")).kind, Verdict::Kind::unchanged);
  }
  std::ofstream(file()) << "broken";
  Configuration configuration = open();
  EXPECT_EQ(configuration.revision().number, 2u);
  EXPECT_EQ(configuration.revision().user, "anna");
  EXPECT_EQ(weight(configuration), 5u);
}

TEST_F(Committing, ErrorsChangeNothing) {
  Configuration configuration = open();
  const Verdict verdict = commit(configuration, site("5000", "pool { name: \"web\" } colour: 3"));
  EXPECT_EQ(verdict.kind, Verdict::Kind::invalid);
  EXPECT_FALSE(verdict.diagnostics.empty());
  EXPECT_EQ(configuration.revision().number, 1u);
}

TEST_F(Committing, TheSecondOfTwoSeesTheConflict) {
  Configuration configuration = open();
  Proposal anna{.text = site("2"), .base = 1, .user = "anna", .comment = ""},
      bob{.text = site("3"), .base = 1, .user = "bob", .comment = ""};
  EXPECT_EQ(configuration.commit(anna, now_).kind, Verdict::Kind::committed);
  const Verdict verdict = configuration.commit(bob, now_);
  EXPECT_EQ(verdict.kind, Verdict::Kind::conflict);
  EXPECT_EQ(verdict.difference, "- pool web backend web1 weight 1\n+ pool web backend web1 weight 2\n");
  EXPECT_EQ(weight(configuration), 2u);
}

TEST_F(Committing, WhatIsNotConfirmedIsTakenBack) {
  Configuration configuration = open();
  ASSERT_EQ(commit(configuration, site("5"), 60).kind, Verdict::Kind::committed);
  now_.boottime_s += 59;
  EXPECT_EQ(configuration.rolls_back_in_s(now_), 1u);
  EXPECT_FALSE(configuration.tick(now_));
  now_.unix_s -= 86400;  // a clock that jumps is not asked
  now_.boottime_s += 1;
  EXPECT_TRUE(configuration.tick(now_));
  EXPECT_EQ(weight(configuration), 1u);
  EXPECT_EQ(configuration.revision().number, 3u);
  EXPECT_EQ(configuration.revision().rolled_back_from, 2u);
  EXPECT_FALSE(configuration.tick(now_));
}

TEST_F(Committing, ConfirmedItStays) {
  Configuration configuration = open();
  ASSERT_EQ(commit(configuration, site("5"), 60).kind, Verdict::Kind::committed);
  ASSERT_TRUE(configuration.confirm());
  now_.boottime_s += 100;
  EXPECT_FALSE(configuration.tick(now_));
  EXPECT_EQ(weight(configuration), 5u);
}

TEST_F(Committing, ACrashKeepsTheTimeLeftAndAPowerCutEndsIt) {
  {
    Configuration configuration = open();
    ASSERT_EQ(commit(configuration, site("5"), 60).kind, Verdict::Kind::committed);
  }
  now_.boottime_s += 10;
  {
    Configuration configuration = open();
    EXPECT_EQ(weight(configuration), 5u);
    EXPECT_EQ(configuration.rolls_back_in_s(now_), 50u);
  }
  now_ = {.unix_s = now_.unix_s, .boottime_s = 5, .boot = "second"};
  Configuration configuration = open();
  EXPECT_EQ(weight(configuration), 1u);
}

TEST_F(Committing, ADamagedRevisionIsPassedOverForGood) {
  {
    Configuration configuration = open();
    ASSERT_EQ(commit(configuration, site("5")).kind, Verdict::Kind::committed);
    ASSERT_EQ(commit(configuration, site("6")).kind, Verdict::Kind::committed);
  }
  std::filesystem::resize_file(directory_ / "history/00000003.txtpb", 40);
  Configuration configuration = open();
  EXPECT_EQ(weight(configuration), 5u);
}

TEST_F(Committing, ARefusalStepsBackAndNotToAndFro) {
  Configuration configuration = open();
  ASSERT_EQ(commit(configuration, site("5")).kind, Verdict::Kind::committed);
  ASSERT_EQ(commit(configuration, site("6")).kind, Verdict::Kind::committed);
  EXPECT_TRUE(configuration.step_back("refused", now_));
  EXPECT_EQ(weight(configuration), 5u);
  EXPECT_TRUE(configuration.step_back("refused", now_));
  EXPECT_EQ(weight(configuration), 1u);
  EXPECT_FALSE(configuration.step_back("refused", now_));
}

TEST_F(Committing, ADiskThatTakesNothingRefusesTheCommit) {
  Configuration configuration = open();
  std::filesystem::remove_all(directory_ / "history");
  std::ofstream(directory_ / "history") << "in the way";
  const Verdict verdict = commit(configuration, site("5"));
  EXPECT_EQ(verdict.kind, Verdict::Kind::not_written);
  EXPECT_NE(verdict.cause.find("history"), std::string::npos);
  EXPECT_EQ(weight(configuration), 1u);
}

TEST_F(Committing, ADiskThatTakesNothingDoesNotKeepWhatWasNotConfirmed) {
  config::FragileDisk disk;
  Configuration configuration(disk, "/state");
  ASSERT_TRUE(configuration.start(file(), now_));
  ASSERT_EQ(commit(configuration, site("5"), 60).kind, Verdict::Kind::committed);
  disk.fill(true);
  now_.boottime_s += 60;
  EXPECT_TRUE(configuration.tick(now_));
  EXPECT_EQ(weight(configuration), 1u);
  EXPECT_EQ(configuration.revision().rolled_back_from, 2u);
  EXPECT_NE(configuration.unwritten().find("full"), std::string::npos);
  EXPECT_EQ(configuration.history().text(3).value(), configuration.history().text(1).value());
  EXPECT_EQ(commit(configuration, site("6")).kind, Verdict::Kind::not_written);
  EXPECT_FALSE(configuration.tick(now_));
  EXPECT_TRUE(configuration.ticks());
  {
    Configuration restarted(disk, "/state");  // what was in memory alone is found out again
    ASSERT_TRUE(restarted.start(file(), now_));
    EXPECT_EQ(weight(restarted), 1u);
  }
  disk.fill(false);
  EXPECT_FALSE(configuration.tick(now_));
  EXPECT_FALSE(configuration.ticks());
  EXPECT_EQ(configuration.unwritten(), "");
  Configuration restarted(disk, "/state");
  ASSERT_TRUE(restarted.start(file(), now_));
  EXPECT_EQ(restarted.revision().number, 3u);
  EXPECT_EQ(commit(restarted, site("6")).kind, Verdict::Kind::committed);
}

TEST_F(Committing, ADiskThatTakesNothingDoesNotKeepWhatTheDataplaneRefuses) {
  config::FragileDisk disk;
  Configuration configuration(disk, "/state");
  ASSERT_TRUE(configuration.start(file(), now_));
  ASSERT_EQ(commit(configuration, site("5")).kind, Verdict::Kind::committed);
  disk.fill(true);
  EXPECT_TRUE(configuration.step_back("refused", now_));
  EXPECT_EQ(weight(configuration), 1u);
}

TEST_F(Committing, SaysWhatItWouldDo) {
  Configuration configuration = open();
  const Verdict verdict = configuration.check(
      {.text = site("1", "pool { name: \"spare\" backend { name: \"s\" address: \"10.10.0.30\" } }\nunmatched: DROP\n"),
       .base = std::nullopt,
       .user = "",
       .comment = ""});
  EXPECT_EQ(verdict.effects, (std::vector<std::string>{"pool spare: added", "unmatched: added"}));
}

// Commits, confirms and lets go back, until the power fails after so many operations of the disk.
class PowerCut {
 public:
  PowerCut(config::FragileDisk& disk, std::string file) : disk_(disk), file_(std::move(file)) {}

  // Empty when all is well after the next start of the machine, else what is not.
  std::string after(unsigned steps, std::uint64_t seed) {
    try {
      Configuration configuration(disk_, "/state");
      EXPECT_TRUE(configuration.start(file_, now_));
      note_ids(configuration);
      disk_.fail_after(steps);
      operate(configuration);
    } catch (const config::FragileDisk::Power&) {
    }
    std::mt19937_64 random(seed);
    disk_.restart(random);
    now_ = {.unix_s = now_.unix_s, .boottime_s = 5, .boot = "second"};
    Configuration configuration(disk_, "/state");
    if (const auto started = configuration.start(file_, now_); !started) return started.error().message;
    const unsigned weight = configuration.config().pool(0).backend(0).weight();
    if (!possible_.contains(weight)) return "weight " + std::to_string(weight) + " was not to be in force";
    for (const auto& [key, id] : ids_) {
      if (configuration.ids().find(compile::Kind::backend, key) != id) return "the id of " + key + " is forgotten";
    }
    return {};
  }

 private:
  // Each commit brings a backend that was never there, so ids are written too.
  void operate(Configuration& configuration) {
    for (unsigned i = 2; i < 8; ++i) {
      const bool confirmed = i % 3 != 0;
      const bool wants = i % 3 != 1;
      const std::string name = "p" + std::to_string(i);
      const std::string more = "pool { name: \"" + name + "\" backend { name: \"b\" address: \"10.10.0.30\" } }\n" +
                               "service { name: \"s\" address: \"192.0.2.101\" port: 80 protocol: TCP pool: \"" + name +
                               "\" }";
      const std::string text = site(std::to_string(i), more);
      if (!wants) possible_.insert(i);
      const Verdict verdict = configuration.commit(
          {.text = text, .base = std::nullopt, .user = "anna", .comment = "", .confirm_s = wants ? 60u : 0}, now_);
      ASSERT_EQ(verdict.kind, Verdict::Kind::committed);
      note_ids(configuration);
      if (wants && confirmed) {
        possible_.insert(i);
        ASSERT_TRUE(configuration.confirm());
      } else if (wants) {
        now_.boottime_s += 60;
        ASSERT_TRUE(configuration.tick(now_));
      }
      if (confirmed) possible_ = {i};  // reported as in force for good: nothing else may come back
    }
  }
  void note_ids(const Configuration& configuration) {
    for (const auto& pool : configuration.config().pool()) {
      for (const auto& backend : pool.backend()) {
        const std::string key = pool.name() + "/v4/" + backend.name();
        ids_[key] = configuration.ids().find(compile::Kind::backend, key);
        ASSERT_NE(ids_[key], 0u) << key;
      }
    }
  }

  config::FragileDisk& disk_;
  const std::string file_;
  Now now_{.unix_s = 1'700'000'000, .boottime_s = 1000, .boot = "first"};
  std::set<unsigned> possible_{1};
  std::map<std::string, std::uint32_t> ids_;
};

constexpr unsigned kStepsOfPowerCut = 75;  // of operate(), all of them

TEST_F(Committing, IsWhatStoodLastAfterAPowerCutAtAnyMoment) {
  for (unsigned steps = 0; steps < kStepsOfPowerCut; ++steps) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      config::FragileDisk disk;
      ASSERT_EQ(PowerCut(disk, file()).after(steps, seed), "") << "steps " << steps << " seed " << seed;
    }
  }
}

// The test above can fail: without any of its flushes, those of the ids or those of the history, it does.
TEST_F(Committing, WithoutOneOfItsFlushesItIsNot) {
  for (const char* directory : {"/state", "/state/history"}) {
    for (const auto forget : {config::FragileDisk::Forget::file_syncs, config::FragileDisk::Forget::directory_syncs}) {
      unsigned bad = 0;
      for (unsigned steps = 0; steps < kStepsOfPowerCut; ++steps) {
        config::FragileDisk disk(forget, directory);
        bad += !PowerCut(disk, file()).after(steps, steps).empty();
      }
      EXPECT_GT(bad, 5u) << directory << " " << static_cast<int>(forget);
    }
  }
}

}  // namespace
}  // namespace headgate::app
