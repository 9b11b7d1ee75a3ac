#include "controlplane/health/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace headgate::health {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What the child shall have: its own group, no signal blocked or ignored, three descriptors.
class Plan {
 public:
  explicit Plan(int output) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    posix_spawn_file_actions_addchdir_np(&actions_, "/");
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

Child no_child(int error) {
  Child child;
  child.error = error;
  return child;
}

}  // namespace

Child start_child(const std::string& program, const std::vector<std::string>& arguments,
                  const std::vector<std::string>& environment) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return no_child(errno);
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> settings = environment;
  int pid = -1;
  const Plan plan(pipe_ends[1]);
  const int error = posix_spawn(&pid, program.c_str(), plan.actions(), plan.attributes(), pointers_to(words).data(),
                                pointers_to(settings).data());
  close(pipe_ends[1]);
  if (error != 0) {
    close(pipe_ends[0]);
    return no_child(error);
  }
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {  // out of descriptors: this one cannot be watched
    const int reason = errno;
    kill(-pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    close(pipe_ends[0]);
    return no_child(reason);
  }
  fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
  return {.pid = pid, .pidfd = pidfd, .output = pipe_ends[0], .error = 0};
}

std::string reap(int pidfd) {
  siginfo_t end{};
  if (waitid(P_PIDFD, static_cast<id_t>(pidfd), &end, WEXITED) != 0) return "its end was not seen";
  if (end.si_code != CLD_EXITED) return "killed by signal " + std::to_string(end.si_status);
  return end.si_status == 0 ? "" : "exit status " + std::to_string(end.si_status);
}

}  // namespace headgate::health
