// The real program.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <csignal>
#include <sstream>
#include <thread>

#include "controlplane/app/test_site.h"

namespace headgate::app {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class ProgramTest : public SiteTest {
 protected:
  ~ProgramTest() override {
    if (pid_ > 0) finish(SIGKILL);
  }
  void start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {CONTROLPLANE_PROGRAM, "--state-dir", dir, "--dataplane", socket,
                                         "--management", dir + "/management.sock"});
    std::vector<char*> words;
    words.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    const std::string out = dir + "/out";
    pid_ = fork();
    if (pid_ != 0) return;
    const int log = open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(126);
    execv(words[0], words.data());
    _exit(127);
  }
  int finish(int signal) {
    if (signal != 0) kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string output() const {
    std::ostringstream text;
    text << std::ifstream(dir + "/out").rdbuf();
    return text.str();
  }
  template <class Condition>
  static bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(5ms);
    return condition();
  }
  pid_t pid_ = 0;
};

TEST_F(ProgramTest, CheckSaysWhatItWouldDo) {
  start({"--config", GOLDEN_DIR "/lab.config.txtpb", "--check"});
  EXPECT_EQ(finish(0), 0);
  EXPECT_THAT(output(), HasSubstr("service web/v6: TCP [2001:db8:1::100]:80, FULL_NAT, pool web/v6 (ROUND_ROBIN)\n"
                                  "  backend web1: [2001:db8:2::21]:80, weight 1\n"));
  EXPECT_THAT(output(), HasSubstr("probe web1 (pool web/v4, 10.10.0.21:80) through the dataplane by 198.18.0.1:80\n"));
  EXPECT_THAT(output(),
              HasSubstr("snapshot: 2 interfaces, 0 routes, 32 local addresses, 2 pools, 8 services; digest "));
  EXPECT_FALSE(std::filesystem::exists(dir + "/ids.txtpb")) << "a check writes nothing";
}

TEST_F(ProgramTest, CheckSaysWhereRoutesLead) {
  start({"--config", GOLDEN_DIR "/http.config.txtpb", "--check"});
  EXPECT_EQ(finish(0), 0);
  EXPECT_THAT(output(), HasSubstr("service shop/v4: HTTP 192.0.2.100:8080, FULL_NAT, pool web/v4 (ROUND_ROBIN)\n"
                                  "  backend web1: 10.10.0.21:8080, weight 1\n"
                                  "  route api: API.example.com, /v1/ and below, pool api/v4 (ROUND_ROBIN)\n"
                                  "    backend api1: 10.10.0.31:8000, weight 1\n"));
  EXPECT_THAT(output(), HasSubstr("  route moved: any host, /old, redirected\n"));
  EXPECT_THAT(output(), HasSubstr("  route no: any host, /admin and below, answered with status 403\n"));
  EXPECT_THAT(output(), HasSubstr("  route own: any host, /.well-known and below, the service's pool\n"));
  EXPECT_THAT(output(), HasSubstr("service mail: TCP_PROXY 192.0.2.100:8081, FULL_NAT, pool web/v4 (ROUND_ROBIN)\n"));
}

TEST_F(ProgramTest, CheckFailsWithEveryErrorAndItsPlace) {
  write_config("service { name: \"a\" }\npool { name: \"a b\" }\n");
  start({"--config", config_path(), "--check"});
  EXPECT_EQ(finish(0), 1);
  EXPECT_THAT(output(),
              HasSubstr(config_path() + ":1:1: service \"a\" has no port; add port (port to listen on) (service a)\n"));
  EXPECT_THAT(output(), HasSubstr(config_path() + ":2:8: \"a b\" is no name; "));
  EXPECT_THAT(output(), HasSubstr("5 errors; nothing would be applied\n"));
}

TEST_F(ProgramTest, RunsReloadsAndStops) {
  dataplane.listen(socket);
  write_site();
  start({"--config", config_path()});
  ASSERT_TRUE(eventually([&] { return down(); }));
  write_config("nonsense");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(eventually(
      [&] { return output().find("everything goes on with the previous configuration") != std::string::npos; }));
  write_site(9);
  kill(pid_, SIGHUP);
  ASSERT_TRUE(eventually([&] { return weight() == 9; }));
  EXPECT_EQ(finish(SIGTERM), 0);
  EXPECT_THAT(output(), HasSubstr("web1 (pool web, 192.0.2.21:" + std::to_string(port) +
                                  ") down: 2 of 2 probes failed, last: connection refused"));
}

TEST_F(ProgramTest, DoesNotStartWithABadFile) {
  write_config("nonsense");
  start({"--config", config_path()});
  EXPECT_EQ(finish(0), 1);
  EXPECT_THAT(output(), HasSubstr("not started"));
}

}  // namespace
}  // namespace headgate::app
