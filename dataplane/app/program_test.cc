// The program as an operator starts it: a null port, no hugepages.
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace {

std::string output_of(const std::string& arguments) {
  FILE* pipe = popen((std::string(DATAPLANE " --no-huge --port n=null ") + arguments + " 2>&1").c_str(), "r");
  std::string output;
  std::array<char, 512> line{};
  while (fgets(line.data(), line.size(), pipe) != nullptr) output += line.data();
  EXPECT_NE(pclose(pipe), 0);
  return output;
}

TEST(Program, RefusesAGroupThatDoesNotExist) {
  EXPECT_NE(output_of("--socket-group no-such-group").find("there is no group \"no-such-group\""), std::string::npos);
}

TEST(Program, WantsOneWordOfIdleOrOneForEachWorker) {
  EXPECT_NE(output_of("--workers 3 --idle poll,adaptive").find("has 2 words for 3 workers"), std::string::npos);
  EXPECT_NE(output_of("--idle lazy").find("lazy"), std::string::npos);
}

TEST(Program, GivesItsSocketToAGroup) {
  const group* group = getgrnam("nogroup");
  if (group == nullptr || geteuid() != 0) GTEST_SKIP() << "needs root and a group nogroup";
  const gid_t gid = group->gr_gid;
  const std::string dir = testing::TempDir() + "dataplane." + std::to_string(getpid());
  std::filesystem::create_directories(dir);
  const std::string socket = dir + "/api.sock";
  const pid_t child = fork();
  if (child == 0) {
    execl(DATAPLANE, DATAPLANE, "--no-huge", "--memory", "128", "--buffers", "4096", "--flows", "1024", "--port",
          "n=null", "--workers", "2", "--idle", "adaptive,adaptive", "--state-dir", dir.c_str(), "--socket",
          socket.c_str(), "--socket-group", "nogroup", nullptr);
    _exit(127);
  }
  struct stat facts{};
  for (int i = 0; i < 1000 && (stat(socket.c_str(), &facts) != 0 || facts.st_gid != gid); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(facts.st_gid, gid);
  EXPECT_EQ(facts.st_mode & 0777, 0660u);
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  std::filesystem::remove_all(dir);
}

}  // namespace
