// headgate-supervisor: starts the dataplane and the control plane, starts them again when they end, stops them in reverse
// order. Tiny on purpose: what watches must not fail. One thread, no allocation in the child between fork and exec.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>

#include "controlplane/supervisor/process_list.h"
#include "controlplane/supervisor/restart_policy.h"

namespace headgate::supervisor {
namespace {

constexpr std::int64_t kStopMs = 5000;  // between SIGTERM and SIGKILL

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[gnu::format(printf, 1, 2)]] void say(const char* format, ...) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
  std::fprintf(stderr, "%s.%03ldZ supervisor ", stamp, now.tv_nsec / 1'000'000);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
}

struct Process {
  ProcessSpec spec;
  RestartPolicy policy;
  pid_t pid = 0;                // 0: not running
  std::int64_t start_at_ms = 0;  // when not running
  std::int64_t since_ms = 0;
  unsigned restarts = 0;
};

class Supervisor {
 public:
  Supervisor(std::vector<ProcessSpec> specs, std::string status_file) : status_file_(std::move(status_file)) {
    for (ProcessSpec& spec : specs) processes_.emplace_back().spec = std::move(spec);
  }

  int run() {
    sigset_t mask;
    sigemptyset(&mask);
    for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&mask, number);
    sigprocmask(SIG_BLOCK, &mask, nullptr);
    const int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    for (;;) {
      for (Process& process : processes_) {
        if (process.pid == 0 && process.start_at_ms <= now_ms()) start(process);
      }
      pollfd entry{signals, POLLIN, 0};
      poll(&entry, 1, wait_ms());
      signalfd_siginfo info{};
      while (read(signals, &info, sizeof info) == sizeof info) {
        switch (info.ssi_signo) {
          case SIGCHLD: break;
          case SIGHUP: pass_on(SIGHUP); break;
          default: return stop(signals);
        }
      }
      reap();
    }
  }

 private:
  int wait_ms() const {
    std::int64_t next = -1;
    for (const Process& process : processes_) {
      if (process.pid != 0) continue;
      const std::int64_t wait = std::max<std::int64_t>(0, process.start_at_ms - now_ms());
      next = next < 0 ? wait : std::min(next, wait);
    }
    return static_cast<int>(next);
  }

  void start(Process& process) {
    std::vector<char*> arguments;
    for (std::string& word : process.spec.command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);  // a killed supervisor leaves nothing running unwatched
      if (getppid() != parent) _exit(1);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      execv(arguments[0], arguments.data());
      std::fprintf(stderr, "cannot run %s: %s\n", arguments[0], std::strerror(errno));
      _exit(127);
    }
    process.since_ms = now_ms();
    process.policy.started(process.since_ms);
    if (pid < 0) {
      say("%s: cannot start: %s", process.spec.name.c_str(), std::strerror(errno));
      process.start_at_ms = now_ms() + process.policy.exited(now_ms()).wait_ms;
      return;
    }
    process.pid = pid;
    say("%s: started, pid %d", process.spec.name.c_str(), pid);
    write_status();
  }

  void reap() {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto it = std::find_if(processes_.begin(), processes_.end(), [pid](const Process& p) { return p.pid == pid; });
      if (it == processes_.end()) continue;
      it->pid = 0;
      ++it->restarts;
      const RestartPolicy::Verdict verdict = it->policy.exited(now_ms());
      it->start_at_ms = now_ms() + verdict.wait_ms;
      const bool killed = WIFSIGNALED(status);
      say("%s: %s %d after %lld ms; starting it again in %lld ms", it->spec.name.c_str(), killed ? "killed by signal" : "ended with status",
          killed ? WTERMSIG(status) : WEXITSTATUS(status), static_cast<long long>(now_ms() - it->since_ms),
          static_cast<long long>(verdict.wait_ms));
      if (verdict.crash_loop) say("ALARM %s: ended %u times within a minute; look at its last messages above", it->spec.name.c_str(), kLoopExits);
      write_status();
    }
  }

  void pass_on(int number) {
    for (const Process& process : processes_) {
      if (process.pid != 0) kill(process.pid, number);
    }
  }

  // Last started, first stopped: the control plane before the dataplane.
  int stop(int signals) {
    say("stopping");
    for (auto it = processes_.rbegin(); it != processes_.rend(); ++it) {
      if (it->pid == 0) continue;
      kill(it->pid, SIGTERM);
      const std::int64_t deadline = now_ms() + kStopMs;
      bool killed = false;
      while (waitpid(it->pid, nullptr, WNOHANG) == 0) {
        if (!killed && now_ms() > deadline) {
          say("%s: did not stop within %lld ms, killed", it->spec.name.c_str(), static_cast<long long>(kStopMs));
          kill(it->pid, SIGKILL);
          killed = true;
        }
        pollfd entry{signals, POLLIN, 0};
        poll(&entry, 1, 20);
        signalfd_siginfo info{};
        while (read(signals, &info, sizeof info) == sizeof info) {
        }
      }
      it->pid = 0;
    }
    if (!status_file_.empty()) unlink(status_file_.c_str());
    return 0;
  }

  // NAME PID RESTARTS, pid 0 while it waits to be started; for tools/lab status and the console.
  void write_status() const {
    if (status_file_.empty()) return;
    const std::string partial = status_file_ + ".new";
    std::ofstream out(partial);
    for (const Process& process : processes_) out << process.spec.name << ' ' << process.pid << ' ' << process.restarts << '\n';
    out.close();
    std::rename(partial.c_str(), status_file_.c_str());
  }

  std::vector<Process> processes_;
  const std::string status_file_;
};

constexpr const char* kHelp =
    "headgate-supervisor --config FILE [--status FILE]\n"
    "Starts the processes that FILE names, one a line as NAME COMMAND ARGUMENT..., and starts them again when they end:\n"
    "after 100 ms, doubling to 5 s, quick again after 10 s of good life. SIGHUP is passed on; SIGTERM stops all, last first.\n"
    "  --config FILE  what to run\n"
    "  --status FILE  kept up to date with lines NAME PID RESTARTS\n";

}  // namespace
}  // namespace headgate::supervisor

int main(int argc, char** argv) {
  using namespace headgate::supervisor;
  std::string config, status;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--help" || word == "-h") {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if ((word == "--config" || word == "--status") && i + 1 < argc) {
      (word == "--config" ? config : status) = argv[++i];
      continue;
    }
    std::fprintf(stderr, "headgate-supervisor: '%s' is not understood; see --help\n", argv[i]);
    return 1;
  }
  std::ifstream file(config);
  if (config.empty() || !file) {
    std::fprintf(stderr, "headgate-supervisor: cannot read the configuration '%s': give --config FILE\n", config.c_str());
    return 1;
  }
  std::stringstream text;
  text << file.rdbuf();
  ProcessList list = parse_process_list(text.str());
  for (const std::string& error : list.errors) std::fprintf(stderr, "headgate-supervisor: %s: %s\n", config.c_str(), error.c_str());
  if (!list.errors.empty()) return 1;
  return Supervisor(std::move(list.processes), status).run();
}
