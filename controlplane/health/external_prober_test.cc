#include <csignal>
#include <fstream>

#include "controlplane/health/testing.h"

namespace headgate::health {
namespace {

using namespace std::chrono_literals;
using testing::probe;
using testing::target_at;

ExternalCheck shell(const std::string& script) {
  return {.program = "/bin/sh", .arguments = {"-c", script}, .pool = "web"};
}

Outcome run(const ExternalCheck& check, Time timeout = 5s) {
  asio::io_context io;
  Target target = target_at(8080, check);
  target.timeout = timeout;
  return probe(io, target);
}

TEST(ExternalProber, TheExitStatusDecides) {
  EXPECT_EQ(run(shell("exit 0")).cause, "");
  EXPECT_EQ(run(shell("echo 'disk full'; echo more; exit 3")).cause, "exit status 3: disk full");
  EXPECT_EQ(run(shell("echo wrong >&2; exit 1")).cause, "exit status 1: wrong");
  EXPECT_EQ(run(shell("kill -9 $$")).cause, "killed by signal 9");
}

TEST(ExternalProber, TheProgramKnowsWhatToProbeAndNothingElse) {
  setenv("HEADGATE_TEST_SECRET", "x", 1);
  EXPECT_EQ(run(shell("test \"$HEADGATE_ADDRESS $HEADGATE_PORT $HEADGATE_BACKEND $HEADGATE_POOL\" = "
                      "'127.0.0.1 8080 web1 web' && test -z \"$HEADGATE_TEST_SECRET\" && test \"$(pwd)\" = / && "
                      "! read -r line && for fd in /proc/self/fd/*; do case $fd in */[0-3]) ;; */10) ;; *) exit 9 ;; "
                      "esac; done"))
                .cause,
            "");
  unsetenv("HEADGATE_TEST_SECRET");
}

TEST(ExternalProber, ArgumentsAreNotReadByAShell) {
  EXPECT_EQ(run({.program = "/usr/bin/test", .arguments = {"$HOME;exit 1", "=", "$HOME;exit 1"}}).cause, "");
}

TEST(ExternalProber, ItsWholeGroupIsKilledAtTheTimeLimit) {
  char path[] = "/tmp/external_prober_test.XXXXXX";
  close(mkstemp(path));
  const Outcome outcome = run(shell("echo starting; sleep 600 & echo $! > " + std::string(path) + "; wait"), 400ms);
  EXPECT_EQ(outcome.result, Result::failure);
  EXPECT_EQ(outcome.cause, "did not end in time: starting");
  int child = 0;
  std::ifstream(path) >> child;
  unlink(path);
  ASSERT_GT(child, 0);
  const auto is_running = [child] {  // a zombie waits for its new parent
    std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
    std::string line;
    std::getline(stat, line);
    return !line.empty() && line.substr(line.rfind(')') + 2, 1) != "Z";
  };
  for (int i = 0; i < 100 && is_running(); ++i) usleep(10'000);
  EXPECT_FALSE(is_running());
}

TEST(ExternalProber, OutputIsBounded) {
  EXPECT_EQ(run(shell("yes")).cause, "wrote more than 65536 bytes: y");
  EXPECT_EQ(run(shell("head -c 50000 /dev/zero")).cause, "") << "nobody has to read it";
}

TEST(ExternalProber, AProgramThatCannotRunSaysNothingAboutTheBackend) {
  const Outcome outcome = run({.program = "/nonexistent"});
  EXPECT_EQ(outcome.result, Result::unknown);
  EXPECT_EQ(outcome.cause, "cannot run /nonexistent: No such file or directory");
}

TEST(ExternalProber, RunsABoundedNumberAtOnceAndTheOthersAfterThem) {
  asio::io_context io;
  constexpr unsigned kProbes = kProgramsMax * 3;
  unsigned succeeded = 0, ended = 0;
  ExternalProber prober(io, [&](std::uint64_t, const Outcome& outcome) {
    succeeded += outcome.result == Result::success ? 1 : 0;
    if (++ended == kProbes) io.stop();
  });
  Target target = target_at(1, shell("sleep 0.05"));
  target.timeout = 15s;
  for (std::uint64_t i = 1; i <= kProbes; ++i) prober.start(i, target);
  io.run_for(20s);
  EXPECT_EQ(succeeded, kProbes);

  ended = succeeded = 0;
  unsigned unknowns = 0;
  ExternalProber stuck(io, [&](std::uint64_t, const Outcome& outcome) {
    unknowns += outcome.result == Result::unknown ? 1 : 0;
    ++ended;
    io.stop();
  });
  target = target_at(1, shell("sleep 600"));
  target.timeout = 15s;  // starting them takes a while on a busy machine
  for (std::uint64_t i = 1; i <= kProgramsMax; ++i) stuck.start(i, target);
  target.timeout = 200ms;  // over before one of the others
  stuck.start(kProgramsMax + 1, target);
  io.restart();
  io.run_for(20s);
  EXPECT_EQ(ended, 1u);
  EXPECT_EQ(unknowns, 1u) << "the one that never ran";
}

}  // namespace
}  // namespace headgate::health
