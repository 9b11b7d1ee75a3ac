#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "controlplane/supervisor/process_list.h"
#include "controlplane/supervisor/restart_policy.h"

namespace headgate::supervisor {
namespace {

TEST(RestartPolicy, DoublesFrom100MsTo5SecondsAndIsQuickAgainAfterAGoodLife) {
  RestartPolicy policy;
  std::int64_t now = 0;
  for (const std::int64_t expected : {100, 200, 400, 800, 1600, 3200, 5000, 5000}) {
    policy.started(now);
    now += 50;
    EXPECT_EQ(policy.exited(now).wait_ms, expected);
    now += expected;
  }
  policy.started(now);
  now += kGoodLifeMs;
  EXPECT_EQ(policy.exited(now).wait_ms, 100);
}

TEST(RestartPolicy, RaisesTheAlarmAtFiveExitsInAMinute) {
  RestartPolicy policy;
  for (int i = 1; i <= 5; ++i) {
    policy.started(i * 1000);
    EXPECT_EQ(policy.exited(i * 1000 + 10).crash_loop, i >= 5);
  }
  policy.started(200'000);
  EXPECT_FALSE(policy.exited(200'010).crash_loop);
}

TEST(ProcessList, ReadsNamesCommandsAndQuotes) {
  const ProcessList list = parse_process_list("# comment\n\ndataplane /bin/dp --port \"a b\" x#y  # no\ncp /bin/cp\n");
  ASSERT_TRUE(list.errors.empty());
  ASSERT_EQ(list.processes.size(), 2u);
  EXPECT_EQ(list.processes[0].command, (std::vector<std::string>{"/bin/dp", "--port", "a b", "x#y"}));
}

TEST(ProcessList, NamesEveryErrorWithItsLine) {
  const ProcessList list = parse_process_list("a /bin/a\na /bin/b\nb\nc \"open\n");
  ASSERT_EQ(list.errors.size(), 3u);
  EXPECT_EQ(list.errors[0].substr(0, 7), "line 2:");
  EXPECT_EQ(list.errors[1].substr(0, 7), "line 3:");
  EXPECT_EQ(list.errors[2].substr(0, 7), "line 4:");
  EXPECT_EQ(parse_process_list("").errors.size(), 1u);
}

// The real program with real children.
class SupervisorProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / ("headgate-supervisor-test-" + std::to_string(getpid()));
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }
  void start(const std::string& config) {
    std::ofstream(directory_ / "config") << config;
    pid_ = fork();
    if (pid_ == 0) {
      execl(SUPERVISOR, SUPERVISOR, "--config", (directory_ / "config").c_str(), "--status", (directory_ / "status").c_str(), nullptr);
      _exit(127);
    }
  }
  struct Status {
    int pid = -1, restarts = -1;
  };
  Status status(const std::string& name) const {
    std::ifstream in(directory_ / "status");
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string n;
      Status s;
      words >> n >> s.pid >> s.restarts;
      if (n == name) return s;
    }
    return {};
  }
  bool eventually(const std::function<bool()>& condition, int ms) const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  std::filesystem::path directory_;
  pid_t pid_ = -1;
};

TEST_F(SupervisorProcess, StartsAKilledProcessAgainWithin150Ms) {
  start("one /bin/sleep 1000\ntwo /bin/sleep 1000\n");
  ASSERT_TRUE(eventually([&] { return status("two").pid > 0; }, 5000));
  const int first = status("one").pid, other = status("two").pid;
  kill(first, SIGKILL);
  const auto killed = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually([&] { return status("one").pid > 0 && status("one").pid != first; }, 5000));
  // 100 ms of backoff; the rest is slack for a machine that is busy otherwise.
  EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::milliseconds(1000));
  EXPECT_EQ(status("one").restarts, 1);
  EXPECT_EQ(status("two").pid, other);
}

TEST_F(SupervisorProcess, StopsEverythingOnSigterm) {
  start("one /bin/sleep 1000\ntwo /bin/sleep 1000\n");
  ASSERT_TRUE(eventually([&] { return status("two").pid > 0; }, 5000));
  const int one = status("one").pid, two = status("two").pid;
  kill(pid_, SIGTERM);
  int result = -1;
  ASSERT_EQ(waitpid(pid_, &result, 0), pid_);
  pid_ = -1;
  EXPECT_EQ(result, 0);
  EXPECT_NE(kill(one, 0), 0);
  EXPECT_NE(kill(two, 0), 0);
}

TEST_F(SupervisorProcess, TakesItsChildrenAlongWhenKilled) {
  start("one /bin/sleep 1000\n");
  ASSERT_TRUE(eventually([&] { return status("one").pid > 0; }, 5000));
  const int one = status("one").pid;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  EXPECT_TRUE(eventually([&] { return kill(one, 0) != 0; }, 5000));
}

TEST_F(SupervisorProcess, KeepsTryingAProgramThatDoesNotExist) {
  start("bad /nonexistent/program\n");
  EXPECT_TRUE(eventually([&] { return status("bad").restarts >= 2; }, 5000));
}

}  // namespace
}  // namespace headgate::supervisor
