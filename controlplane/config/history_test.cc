#include "controlplane/config/history.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "controlplane/config/fragile_disk.h"

namespace headgate::config {
namespace {

std::string text_of(unsigned i) {
  return "pool { name: \"p" + std::to_string(i) + "\" }\n" + std::string(i * 7 % 300, '#') + "\n";
}

// Commits until the power fails after `steps` operations. Empty when all is well afterwards, else what is not.
std::string crash(FragileDisk::Forget forget, unsigned steps, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  FragileDisk disk(forget);
  unsigned reported = 0, begun = 0;
  try {
    History history(disk, "/h");
    EXPECT_TRUE(history.open());
    disk.fail_after(steps);
    for (unsigned i = 1; i <= 40; ++i) {
      begun = i;
      if (!history.add({.user = "root"}, text_of(i))) return "add failed";
      reported = i;
    }
  } catch (const FragileDisk::Power&) {
    disk.fail_after(UINT_MAX);  // it comes back
  }
  disk.restart(random);
  History history(disk, "/h");
  if (!history.open()) return "open failed";
  const Revision* latest = history.latest();
  const std::uint64_t number = latest == nullptr ? 0 : latest->number;
  if (number < reported || number > begun)
    return "revision " + std::to_string(number) + " of " + std::to_string(reported) + ".." + std::to_string(begun);
  if (number != 0 && history.text(number).value_or("") != text_of(static_cast<unsigned>(number))) return "a mixture";
  return {};
}

TEST(History, IsOneOfTheCommittedOnesAfterAPowerCutAtAnyMoment) {
  for (unsigned steps = 0; steps < 161; ++steps) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      ASSERT_EQ(crash(FragileDisk::Forget::nothing, steps, seed), "") << "steps " << steps << " seed " << seed;
    }
  }
}

// The test above can fail: with either flush gone it does.
TEST(History, WithoutOneOfItsFlushesACommitIsLost) {
  for (const auto forget : {FragileDisk::Forget::file_syncs, FragileDisk::Forget::directory_syncs}) {
    unsigned bad = 0;
    for (unsigned steps = 0; steps < 161; ++steps) bad += !crash(forget, steps, steps).empty();
    EXPECT_GT(bad, 10u);
  }
}

class OnDisk : public ::testing::Test {
 protected:
  OnDisk() {
    std::string name = (std::filesystem::temp_directory_path() / "headgate-history-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~OnDisk() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path file(const std::string& name) const { return directory_ / name; }
  std::filesystem::path directory_;
  KernelDisk disk_;
};

TEST_F(OnDisk, RemembersWhoWhenAndWhy) {
  {
    History history(disk_, directory_);
    ASSERT_TRUE(history.open());
    EXPECT_EQ(history.latest(), nullptr);
    ASSERT_TRUE(history.add({.time_s = 1700000000, .user = "anna", .comment = "first\nlight"}, "a\n"));
    ASSERT_TRUE(history.add({.time_s = 1700000001, .user = "bob", .confirm_s = 60, .boot = "x", .boottime_s = 7}, ""));
  }
  History history(disk_, directory_);
  ASSERT_TRUE(history.open());
  ASSERT_EQ(history.list().size(), 2u);
  EXPECT_EQ(history.find(1)->user, "anna");
  EXPECT_EQ(history.find(1)->comment, "first light");
  EXPECT_EQ(history.find(1)->time_s, 1700000000);
  EXPECT_EQ(history.text(1), "a\n");
  EXPECT_EQ(history.latest()->confirm_s, 60u);
  EXPECT_EQ(history.latest()->boottime_s, 7u);
  EXPECT_EQ(history.standing()->number, 1u);
  ASSERT_TRUE(history.confirm());
  EXPECT_EQ(history.standing()->number, 2u);
  History again(disk_, directory_);
  ASSERT_TRUE(again.open());
  EXPECT_EQ(again.standing()->number, 2u);
}

TEST_F(OnDisk, PassesOverADamagedFileAndSaysSo) {
  History history(disk_, directory_);
  ASSERT_TRUE(history.open());
  for (const char* text : {"one\n", "two\n", "three\n"}) ASSERT_TRUE(history.add({}, text));
  std::filesystem::resize_file(file("00000003.txtpb"), std::filesystem::file_size(file("00000003.txtpb")) - 2);
  std::ofstream(file("00000004.txtpb.new")) << "half";
  std::ofstream(file("notes")) << "not ours";
  History after(disk_, directory_);
  ASSERT_TRUE(after.open());
  EXPECT_EQ(after.latest()->number, 2u);
  ASSERT_EQ(after.problems().size(), 1u);
  EXPECT_NE(after.problems()[0].find("revision 3"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(file("00000004.txtpb.new")));
  EXPECT_EQ(after.add({}, "four\n")->number, 4u);  // 3 is not used again
}

TEST_F(OnDisk, KeepsAHundred) {
  History history(disk_, directory_);
  ASSERT_TRUE(history.open());
  for (unsigned i = 0; i < kRevisionsKept + 5; ++i) ASSERT_TRUE(history.add({}, "x"));
  EXPECT_EQ(history.list().size(), kRevisionsKept);
  EXPECT_EQ(history.list().back().number, 6u);
  EXPECT_FALSE(std::filesystem::exists(file("00000005.txtpb")));
}

TEST_F(OnDisk, ACommitThatCannotBeWrittenChangesNothing) {
  History history(disk_, (directory_ / "gone").string());
  ASSERT_TRUE(history.open());
  ASSERT_TRUE(history.add({}, "one\n"));
  std::filesystem::remove_all(directory_ / "gone");
  const auto refused = history.add({}, "two\n");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("gone"), std::string::npos);
  EXPECT_EQ(history.latest()->number, 1u);
}

}  // namespace
}  // namespace headgate::config
