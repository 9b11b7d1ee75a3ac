#include "controlplane/system/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace headgate::system {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kLineMax = 4096;
constexpr std::chrono::milliseconds kLook{100};  // how often a reader that had enough is noticed

struct Pipe {
  int read = -1, write = -1;
  ~Pipe() {
    close_write();
    if (read >= 0) ::close(read);
  }
  void close_write() {
    if (write >= 0) ::close(write);
    write = -1;
  }
};

// posix_spawn, because a fork of this process would copy a gRPC server's threads' locks.
config::Result<pid_t> spawn(const std::vector<std::string>& command, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);  // so that what it starts ends with it
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C.UTF-8";
  char* environment[] = {path, locale, nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, words[0], &actions, &attributes, words.data(), environment);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return config::fail("cannot run " + command[0] + ": " + std::strerror(error));
  return pid;
}

// Cuts what arrives into lines.
class Lines {
 public:
  explicit Lines(const std::function<bool(std::string_view)>& reader) : reader_(reader) {}
  bool add(std::string_view bytes) {
    for (const char c : bytes) {
      if (c != '\n' && pending_.size() < kLineMax) {
        pending_ += c == '\t' || static_cast<unsigned char>(c) >= 0x20 ? c : '?';
        continue;
      }
      if (!flush()) return false;
      if (c != '\n') pending_ += c;
    }
    return true;
  }
  bool end() { return pending_.empty() || flush(); }

 private:
  bool flush() {
    const bool more = reader_(pending_);
    pending_.clear();
    return more;
  }
  const std::function<bool(std::string_view)>& reader_;
  std::string pending_;
};

// Waits for the end of a program whose output has ended: it may have closed that and live on. False: its time is over,
// or the reader had enough.
bool ends_in_time(pid_t pid, Clock::time_point deadline, const std::function<bool(std::string_view)>& line) {
  const int process =
      static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // no extern "C" in sys/pidfd.h of glibc 2.36
  if (process < 0) return false;
  bool ended = false;
  while (!ended && Clock::now() < deadline) {
    pollfd descriptor{process, POLLIN, 0};
    ended = ::poll(&descriptor, 1, static_cast<int>(kLook.count())) > 0;
    if (!ended && !line({})) break;
  }
  ::close(process);
  return ended;
}

int reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

}  // namespace

config::Result<Ended> run(const Program& program, const std::function<bool(std::string_view line)>& line) {
  Pipe pipe;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return config::fail(std::string("cannot make a pipe: ") + std::strerror(errno));
  pipe.read = ends[0];
  pipe.write = ends[1];
  const auto pid = spawn(program.command, pipe.write);
  if (!pid) return config::fail(pid.error().message);
  pipe.close_write();
  Ended ended;
  Lines lines(line);
  std::size_t left = program.output_max;
  const auto deadline = Clock::now() + program.time_max;
  for (;;) {
    const auto now = Clock::now();
    if (now >= deadline) {
      ended.stopped = true;
      break;
    }
    const auto wait =
        std::min(kLook, std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now) + kLook / 100);
    pollfd descriptor{pipe.read, POLLIN, 0};
    const int ready = ::poll(&descriptor, 1, static_cast<int>(wait.count()));
    if (ready == 0 && !line({})) {  // nothing new: an empty view asks whether to go on
      ended.stopped = true;
      break;
    }
    if (ready <= 0) continue;
    char buffer[4096];
    const ssize_t size = ::read(pipe.read, buffer, sizeof buffer);
    if (size <= 0) {
      ended.stopped = !ends_in_time(*pid, deadline, line);
      break;
    }
    const std::size_t taken = std::min(left, static_cast<std::size_t>(size));
    left -= taken;
    ended.cut |= taken < static_cast<std::size_t>(size);
    if (!lines.add({buffer, taken}) || ended.cut) {
      ended.stopped = true;
      break;
    }
  }
  if (ended.stopped) ::kill(-*pid, SIGKILL);
  ended.status = reap(*pid);
  ::kill(-*pid, SIGKILL);  // what it may have left in its group
  lines.end();
  return ended;
}

std::string output_of(const Program& program) {
  std::string text;
  const auto ended = run(program, [&](std::string_view line) {
    if (line.data() != nullptr) text.append(line).append("\n");
    return true;
  });
  if (!ended) return text + "(" + ended.error().message + ")\n";
  if (ended->cut) return text + "(there was more)\n";
  if (ended->stopped) return text + "(stopped after " + std::to_string(program.time_max.count()) + " ms)\n";
  if (!ended->good()) {
    text += "(ended with " + std::string(WIFSIGNALED(ended->status) ? "signal " : "status ") +
            std::to_string(WIFSIGNALED(ended->status) ? WTERMSIG(ended->status) : WEXITSTATUS(ended->status)) + ")\n";
  }
  return text;
}

Program ping_program(const std::string& address, unsigned count) {
  return {.command = {"ping", "-n", "-c", std::to_string(count), "-W", "2", address},
          .time_max = std::chrono::seconds(count + 5)};
}

Program traceroute_program(const std::string& address) {
  return {.command = {"traceroute", "-n", "-q", "1", "-w", "1", "-m", "30", address},
          .time_max = std::chrono::seconds(45)};
}

}  // namespace headgate::system
