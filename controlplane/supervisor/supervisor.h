// Starts processes in order, restarts those that end, stops them in reverse. One thread, one poll loop.
//
// Children get a process group of their own, die with the supervisor (PR_SET_PDEATHSIG) and begin with SIGHUP ignored,
// so that a forwarded reload reaches those that install a handler and harms no other.
//
// RUN_DIR/supervisor.pid holds the pid and a lock against a second instance. RUN_DIR/supervisor.status is replaced
// whole at each change, a line a process: NAME PID RESTARTS SINCE STATE, with PID 0 when it does not run, SINCE in Unix
// seconds and STATE one of running, waiting (for its restart), stopped.
//
// RUN_DIR/supervisor.sock takes requests (requests.h), from root and from its own children: "restart NAME",
// "reboot" and "notice". A child with a watchdog is told of it as systemd would (NOTIFY_SOCKET, WATCHDOG_USEC); once it
// has spoken, it is aborted when it is silent for longer. "notice NAME ORDER" asks for a death notice (death_notice.h):
// a datagram to the peer, sent from the loop that reaps NAME, before anything else is done about it. Towards systemd
// the supervisor is such a child itself, and pings from this loop.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "controlplane/supervisor/death_notice.h"
#include "controlplane/supervisor/process_file.h"
#include "controlplane/supervisor/requests.h"
#include "controlplane/supervisor/restart_policy.h"

namespace headgate::supervisor {

class Supervisor {
 public:
  // reboot: the command that reboots the machine, in words; empty: requests for it are refused.
  Supervisor(std::vector<ProcessSpec> processes, std::string run_dir, std::vector<std::string> reboot = {});
  // Until SIGTERM or SIGINT. The exit status for main. Blocks the signals it handles for the whole process.
  int run();

 private:
  enum class State { waiting, running, stopped };
  struct Process {
    ProcessSpec spec;
    RestartPolicy policy;
    State state = State::waiting;
    pid_t pid = 0;
    unsigned restarts = 0;
    bool started_before = false;
    bool asked = false;  // to end, by a request: no failure
    Time started{}, start_at{};
    Time kill_at = Time::max();    // it was told to end; then SIGKILL
    Time silent_at = Time::max();  // the watchdog's end
    std::int64_t since = 0;
    std::unique_ptr<DeathNotice> notice = std::make_unique<DeathNotice>();
  };

  bool prepare_run_dir();
  void start_due();
  void start(Process& process);
  void reap();
  void ended(Process& process, int status);
  void wait(int timeout_ms);  // for a signal or a request, at most so long
  void handle(int signal);
  void handle(const Request& request);
  std::string restart(const std::string& name);
  std::string order_notice(const std::string& text);
  Process* named(const std::string& name);
  Process* child(pid_t pid);
  void send_notices();
  void end_overdue();
  void ping_manager();
  void exec_reboot() const;
  int timeout_ms() const;
  void stop_all();
  void stop(Process& process);
  void set_state(Process& process, State state);
  void write_status() const;

  std::vector<Process> processes_;
  std::string run_dir_;
  std::vector<std::string> reboot_command_;
  RequestSocket requests_;
  int signals_ = -1;   // signalfd
  int pid_file_ = -1;  // locked while we live
  bool stopping_ = false, rebooting_ = false;
  Time ping_every_{}, ping_at_ = Time::max();  // systemd's watchdog
};

}  // namespace headgate::supervisor
