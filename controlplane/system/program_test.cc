#include "controlplane/system/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/system/supervisor_client.h"

namespace headgate::system {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

std::vector<std::string> lines_of(const Program& program) {
  std::vector<std::string> lines;
  EXPECT_TRUE(run(program, [&](std::string_view line) {
    if (line.data() != nullptr) lines.emplace_back(line);
    return true;
  }));
  return lines;
}

TEST(Program, HandsOverLinesOfBothStreamsAndTheLastWithoutItsEnd) {
  EXPECT_THAT(lines_of({.command = {"sh", "-c", "echo one; echo two >&2; printf three"}}),
              ElementsAre("one", "two", "three"));
}

TEST(Program, TakesWordsAsTheyAre) {
  EXPECT_THAT(lines_of({.command = {"echo", "$(id); `id`", "a b", "*"}}), ElementsAre("$(id); `id` a b *"));
}

TEST(Program, HasAnEnvironmentOfItsOwn) {
  setenv("HEADGATE_TEST_SECRET", "x", 1);
  for (const std::string& line : lines_of({.command = {"env"}})) EXPECT_THAT(line, testing::Not(HasSubstr("SECRET")));
}

TEST(Program, EndsOneThatTakesTooLongWithAllItStarted) {
  const auto start = Clock::now();
  EXPECT_THAT(output_of({.command = {"sh", "-c", "echo begun; sleep 1000 & sleep 1000"}, .time_max = 200ms}),
              testing::StrEq("begun\n(stopped after 200 ms)\n"));
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST(Program, EndsOneThatClosedItsOutputAndLivesOn) {
  const auto start = Clock::now();
  EXPECT_EQ(output_of({.command = {"sh", "-c", "echo begun; exec >&- 2>&-; sleep 20"}, .time_max = 200ms}),
            "begun\n(stopped after 200 ms)\n");
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST(Program, EndsOneWhoseReaderHadEnough) {
  unsigned lines = 0;
  const auto ended = run({.command = {"yes"}}, [&](std::string_view) { return ++lines < 3; });
  ASSERT_TRUE(ended);
  EXPECT_TRUE(ended->stopped);
  EXPECT_EQ(lines, 3u);
}

TEST(Program, AsksTheReaderAlsoWhileNothingComes) {
  const auto start = Clock::now();
  EXPECT_TRUE(run({.command = {"sleep", "1000"}}, [&](std::string_view) { return Clock::now() - start < 200ms; }));
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST(Program, BoundsTheOutput) {
  const std::string text = output_of({.command = {"yes"}, .output_max = 1000});
  EXPECT_LT(text.size(), 1100u);
  EXPECT_THAT(text, testing::EndsWith("(there was more)\n"));
}

TEST(Program, SaysHowItEnded) {
  EXPECT_EQ(output_of({.command = {"sh", "-c", "exit 3"}}), "(ended with status 3)\n");
  EXPECT_EQ(output_of({.command = {"sh", "-c", "kill -9 $$"}}), "(ended with signal 9)\n");
  EXPECT_THAT(output_of({.command = {"/nonexistent/program"}}), HasSubstr("cannot run /nonexistent/program: No such"));
}

TEST(Program, PingAnswersOnLoopback) {
  const std::string text = output_of(ping_program("127.0.0.1", 1));
  EXPECT_THAT(text, HasSubstr("1 received"));
}

TEST(Supervisor, WithoutOneTheErrorSaysSo) {
  EXPECT_THAT(ask_supervisor("", "reboot").error().message, HasSubstr("there is no supervisor"));
  EXPECT_THAT(ask_supervisor("/nonexistent/socket", "reboot").error().message, HasSubstr("does not answer"));
}

}  // namespace
}  // namespace headgate::system
