#include "controlplane/supervisor/supervisor.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iterator>

namespace headgate::supervisor {
namespace {

constexpr std::chrono::seconds kAbortWait{2};  // for a core dump of what the watchdog ended
constexpr unsigned kRequestsAtOnce = 16;       // then signals and due work come first again

Time now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

[[gnu::format(printf, 1, 2)]] void log(const char* format, ...) {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  tm parts{};
  localtime_r(&time.tv_sec, &parts);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%F %T", &parts);
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "[%s.%03ld] supervisor: %s\n", stamp, time.tv_nsec / 1'000'000, text);
}

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGHUP, SIGTERM, SIGINT}) sigaddset(&set, signal);
  return set;
}

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "supervisor: %s: %s\n", what, std::strerror(errno));
  _exit(127);
}

void redirect_output(const std::string& log_file) {
  const int input = ::open("/dev/null", O_RDONLY);
  if (input >= 0) ::dup2(input, STDIN_FILENO);
  if (log_file.empty()) return;
  const int output = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (output < 0) give_up(log_file.c_str());
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
}

void become(const std::string& user) {
  if (user.empty()) return;
  errno = 0;
  const passwd* entry = ::getpwnam(user.c_str());
  if (entry == nullptr) {
    std::fprintf(stderr, "supervisor: there is no user %s\n", user.c_str());
    _exit(127);
  }
  if (::initgroups(user.c_str(), entry->pw_gid) != 0 || ::setgid(entry->pw_gid) != 0 || ::setuid(entry->pw_uid) != 0) {
    give_up(user.c_str());
  }
}

// In the child, after fork. The supervisor has one thread, so everything may be called here.
[[noreturn]] void run_child(const ProcessSpec& spec, pid_t supervisor, const std::string& socket) {
  ::setpgid(0, 0);
  ::setenv("HEADGATE_SUPERVISOR", socket.c_str(), 1);
  ::setenv("NOTIFY_SOCKET", socket.c_str(), 1);
  ::unsetenv("WATCHDOG_PID");
  ::unsetenv("WATCHDOG_USEC");
  if (spec.watchdog.count() > 0) ::setenv("WATCHDOG_USEC", std::to_string(spec.watchdog.count() * 1000).c_str(), 1);
  redirect_output(spec.log);
  become(spec.user);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);         // after become(): a change of user clears it (prctl(2))
  if (::getppid() != supervisor) _exit(127);  // it died before the line above
  ::signal(SIGHUP, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> arguments;
  for (const std::string& word : spec.command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  give_up(arguments[0]);
}

// Rounded up, so that it is due when poll returns.
int milliseconds_until(Time time) {
  return static_cast<int>(std::max<Time::rep>(0, (time - now()).count() + 999'999) / 1'000'000);
}

std::string describe(int status) {
  if (!WIFSIGNALED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
  const char* name = ::sigabbrev_np(WTERMSIG(status));
  return std::string("SIG") + (name == nullptr ? "?" : name) + (WCOREDUMP(status) ? ", core dumped" : "");
}

}  // namespace

Supervisor::Supervisor(std::vector<ProcessSpec> processes, std::string run_dir, std::vector<std::string> reboot)
    : run_dir_(std::move(run_dir)), reboot_command_(std::move(reboot)) {
  for (ProcessSpec& spec : processes) {
    Process process;
    process.spec = std::move(spec);
    processes_.push_back(std::move(process));
  }
}

int Supervisor::run() {
  const sigset_t set = handled_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals_ < 0 || !prepare_run_dir()) return 1;
  if (const char* watchdog = std::getenv("WATCHDOG_USEC")) {
    ping_every_ = std::chrono::microseconds(std::strtoull(watchdog, nullptr, 10)) / 3;
    if (ping_every_.count() > 0) ping_at_ = now();
  }
  start_due();
  notify_manager("READY=1");
  while (!stopping_) {
    start_due();
    end_overdue();
    ping_manager();
    wait(timeout_ms());
  }
  notify_manager("STOPPING=1");
  stop_all();
  ::unlink((run_dir_ + "/supervisor.pid").c_str());
  if (rebooting_) exec_reboot();
  return rebooting_ ? 1 : 0;
}

void Supervisor::ping_manager() {
  if (ping_at_ > now()) return;
  notify_manager("WATCHDOG=1");
  ping_at_ = now() + ping_every_;
}

// Ends those that were told to end and did not, and those that are silent.
void Supervisor::end_overdue() {
  for (Process& process : processes_) {
    if (process.state != State::running) continue;
    if (process.kill_at <= now()) {
      log("%s does not stop, killing it", process.spec.name.c_str());
      ::kill(-process.pid, SIGKILL);
      process.kill_at = Time::max();
    }
    if (process.silent_at <= now()) {
      log("%s said nothing for %lld ms, aborting it", process.spec.name.c_str(),
          static_cast<long long>(process.spec.watchdog.count()));
      ::kill(process.pid, SIGABRT);
      process.silent_at = Time::max();
      process.kill_at = now() + kAbortWait;
    }
  }
}

// Returns only when there is no such program.
void Supervisor::exec_reboot() const {
  std::vector<char*> words;
  for (const std::string& word : reboot_command_) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvp(words[0], words.data());
  log("cannot run %s: %s", words[0], std::strerror(errno));
}

Supervisor::Process* Supervisor::child(pid_t pid) {
  for (Process& process : processes_) {
    if (process.state == State::running && process.pid == pid) return &process;
  }
  return nullptr;
}

void Supervisor::handle(const Request& request) {
  Process* from = child(request.pid);
  if (request.text.find('=') != std::string::npos) {  // sd_notify(3)
    if (from != nullptr && from->spec.watchdog.count() > 0 && from->kill_at == Time::max())
      from->silent_at = now() + from->spec.watchdog;
    return;
  }
  const std::string who = from != nullptr ? from->spec.name : "pid " + std::to_string(request.pid);
  if (from == nullptr && request.uid != 0) {
    log("%s (uid %u) may ask for nothing", who.c_str(), request.uid);
    return requests_.answer(request, "only root and the supervised processes may ask the supervisor");
  }
  const bool notice = request.text.starts_with("notice ");  // what follows holds a key, which no log may have
  log("%s asks: %s", who.c_str(),
      (notice ? request.text.substr(0, request.text.find(' ', std::strlen("notice "))) : request.text).c_str());
  if (stopping_) return requests_.answer(request, "the supervisor is stopping");
  if (request.text.starts_with("restart "))
    return requests_.answer(request, restart(request.text.substr(std::strlen("restart "))));
  if (notice) return requests_.answer(request, order_notice(request.text.substr(std::strlen("notice "))));
  if (request.text != "reboot")
    return requests_.answer(request, "the supervisor knows: restart NAME, reboot, notice NAME ORDER");
  if (reboot_command_.empty()) return requests_.answer(request, "the supervisor was not told how to reboot");
  stopping_ = rebooting_ = true;
  requests_.answer(request, "ok");
}

Supervisor::Process* Supervisor::named(const std::string& name) {
  for (Process& process : processes_) {
    if (process.spec.name == name) return &process;
  }
  return nullptr;
}

std::string Supervisor::restart(const std::string& name) {
  Process* process = named(name);
  if (process == nullptr) return "there is no process " + name + " in the supervisor's file";
  if (process->state != State::running) return name + " does not run; it is started again by itself";
  ::kill(process->pid, SIGTERM);
  ::kill(process->pid, SIGCONT);  // a stopped one would not hear it
  process->asked = true;
  process->silent_at = Time::max();
  process->kill_at = now() + process->spec.stop_timeout;
  return "ok";
}

// "NAME off" or "NAME ORDER".
std::string Supervisor::order_notice(const std::string& text) {
  const std::size_t space = text.find(' ');
  const std::string name = text.substr(0, space), what = space == std::string::npos ? "" : text.substr(space + 1);
  Process* process = named(name);
  if (process == nullptr) return "there is no process " + name + " in the supervisor's file";
  if (what == "off") {
    process->notice->disarm();
    return "ok";
  }
  NoticeOrder order;
  if (const std::string problem = parse_notice_order(what, order); !problem.empty()) return problem;
  const std::string problem = process->notice->arm(order);
  return problem.empty() ? "ok" : problem;
}

void Supervisor::send_notices() {
  for (Process& process : processes_) process.notice->send_due(now());
}

bool Supervisor::prepare_run_dir() {
  if (::mkdir(run_dir_.c_str(), 0755) != 0 && errno != EEXIST) {
    log("cannot create %s: %s", run_dir_.c_str(), std::strerror(errno));
    return false;
  }
  const std::string path = run_dir_ + "/supervisor.pid";
  pid_file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (pid_file_ < 0 || ::flock(pid_file_, LOCK_EX | LOCK_NB) != 0) {
    log("cannot lock %s: %s; is another supervisor running?", path.c_str(), std::strerror(errno));
    return false;
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(pid_file_, 0) != 0 || ::write(pid_file_, pid.data(), pid.size()) < 0) {
    log("cannot write %s: %s", path.c_str(), std::strerror(errno));
    return false;
  }
  if (!requests_.open(run_dir_ + "/supervisor.sock")) {
    log("cannot open %s/supervisor.sock: %s", run_dir_.c_str(), std::strerror(errno));
    return false;
  }
  return true;
}

void Supervisor::start_due() {
  for (Process& process : processes_) {
    if (process.state == State::waiting && process.start_at <= now()) start(process);
  }
}

void Supervisor::start(Process& process) {
  const pid_t self = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) run_child(process.spec, self, run_dir_ + "/supervisor.sock");
  process.started = now();
  if (pid < 0) {
    log("cannot start %s: %s", process.spec.name.c_str(), std::strerror(errno));
    process.start_at = process.policy.ended(process.started, process.started).start_at;
    return;
  }
  process.pid = pid;
  process.asked = false;
  process.kill_at = process.silent_at = Time::max();
  process.restarts += process.started_before ? 1 : 0;
  process.started_before = true;
  set_state(process, State::running);
  log("%s started, pid %d", process.spec.name.c_str(), pid);
}

int Supervisor::timeout_ms() const {
  Time next = Time::max();
  for (const Process& process : processes_) {
    if (process.state == State::waiting) next = std::min(next, process.start_at);
    if (process.state == State::running) next = std::min({next, process.kill_at, process.silent_at});
  }
  next = std::min(next, ping_at_);
  if (next == Time::max()) return -1;
  return milliseconds_until(next);
}

void Supervisor::wait(int timeout_ms) {
  for (const Process& process : processes_) {
    if (process.notice->next_due() == Time::max()) continue;
    const int left = milliseconds_until(process.notice->next_due());
    timeout_ms = timeout_ms < 0 ? left : std::min(timeout_ms, left);
  }
  pollfd descriptors[] = {{signals_, POLLIN, 0}, {requests_.descriptor(), POLLIN, 0}};
  ::poll(descriptors, std::size(descriptors), timeout_ms);
  send_notices();
  signalfd_siginfo info{};
  while (::read(signals_, &info, sizeof info) == sizeof info) handle(static_cast<int>(info.ssi_signo));
  for (unsigned n = 0; n < kRequestsAtOnce; ++n) {
    const auto request = requests_.next();
    if (!request) break;
    handle(*request);
  }
}

void Supervisor::handle(int signal) {
  if (signal == SIGCHLD) {
    reap();
  } else if (signal == SIGHUP) {
    log("SIGHUP: passed on");
    for (const Process& process : processes_) {
      if (process.state == State::running) ::kill(process.pid, SIGHUP);
    }
  } else if (!stopping_) {
    log("%s: stopping", signal == SIGTERM ? "SIGTERM" : "SIGINT");
    stopping_ = true;
  }
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    for (Process& process : processes_) {
      if (process.state == State::running && process.pid == pid) ended(process, status);
    }
  }
}

void Supervisor::ended(Process& process, int status) {
  const Time at = now();
  const bool told = process.notice->send(at);  // before anything else: the peer waits for it
  const double lived = std::chrono::duration<double>(at - process.started).count();
  const pid_t pid = process.pid;
  process.pid = 0;
  ::kill(-pid, SIGKILL);  // what it may have left in its process group
  if (told) log("told the peer that %s ended", process.spec.name.c_str());
  if (stopping_) {
    log("%s (pid %d) ended: %s", process.spec.name.c_str(), pid, describe(status).c_str());
    set_state(process, State::stopped);
    return;
  }
  if (process.asked) {
    log("%s (pid %d) ended as asked after %.1f s: %s", process.spec.name.c_str(), pid, lived, describe(status).c_str());
    process.start_at = at;
    return set_state(process, State::waiting);
  }
  const RestartPolicy::Decision decision = process.policy.ended(process.started, at);
  process.start_at = decision.start_at;
  log("%s (pid %d) ended after %.1f s: %s; restart in %lld ms", process.spec.name.c_str(), pid, lived,
      describe(status).c_str(), static_cast<long long>((decision.start_at - at).count() / 1'000'000));
  if (decision.crash_loop) {
    log("ALARM: %s is in a crash loop, %zu exits within %lld s", process.spec.name.c_str(), kCrashLoopExits,
        static_cast<long long>(kCrashLoopWindow.count()));
  }
  set_state(process, State::waiting);
}

void Supervisor::stop_all() {
  for (auto process = processes_.rbegin(); process != processes_.rend(); ++process) stop(*process);
}

void Supervisor::stop(Process& process) {
  if (process.state == State::running) ::kill(process.pid, SIGTERM);
  const Time deadline = now() + process.spec.stop_timeout;
  while (process.state == State::running && now() < deadline) {
    wait(static_cast<int>((deadline - now()).count() / 1'000'000) + 1);
  }
  if (process.state == State::running) {
    log("%s does not stop, killing it", process.spec.name.c_str());
    ::kill(-process.pid, SIGKILL);
    while (process.state == State::running) wait(1000);
  }
  set_state(process, State::stopped);
}

void Supervisor::set_state(Process& process, State state) {
  process.state = state;
  process.since = ::time(nullptr);
  write_status();
}

void Supervisor::write_status() const {
  static constexpr const char* kNames[] = {"waiting", "running", "stopped"};
  std::string text = "# name pid restarts since state\n";
  for (const Process& process : processes_) {
    text += process.spec.name + " " + std::to_string(process.pid) + " " + std::to_string(process.restarts) + " " +
            std::to_string(process.since) + " " + kNames[static_cast<int>(process.state)] + "\n";
  }
  const std::string path = run_dir_ + "/supervisor.status";
  const int file = ::open((path + ".new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const bool written = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (file >= 0) ::close(file);
  if (!written || ::rename((path + ".new").c_str(), path.c_str()) != 0)
    log("cannot write %s: %s", path.c_str(), std::strerror(errno));
}

}  // namespace headgate::supervisor
