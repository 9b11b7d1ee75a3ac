// Starts processes in order, restarts those that end, stops them in reverse. One thread, one poll loop.
//
// Children get a process group of their own, die with the supervisor (PR_SET_PDEATHSIG) and begin with SIGHUP ignored,
// so that a forwarded reload reaches those that install a handler and harms no other.
//
// RUN_DIR/supervisor.pid holds the pid and a lock against a second instance. RUN_DIR/supervisor.status is replaced
// whole at each change, a line a process: NAME PID RESTARTS SINCE STATE, with PID 0 when it does not run, SINCE in Unix
// seconds and STATE one of running, waiting (for its restart), stopped.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "controlplane/supervisor/process_file.h"
#include "controlplane/supervisor/restart_policy.h"

namespace headgate::supervisor {

class Supervisor {
 public:
  Supervisor(std::vector<ProcessSpec> processes, std::string run_dir);
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
    Time started{}, start_at{};
    std::int64_t since = 0;
  };

  bool prepare_run_dir();
  void start_due();
  void start(Process& process);
  void reap();
  void ended(Process& process, int status);
  void wait(int timeout_ms);  // for a signal, at most so long
  void handle(int signal);
  int timeout_ms() const;
  void stop_all();
  void stop(Process& process);
  void set_state(Process& process, State state);
  void write_status() const;

  std::vector<Process> processes_;
  std::string run_dir_;
  int signals_ = -1;   // signalfd
  int pid_file_ = -1;  // locked while we live
  bool stopping_ = false;
};

}  // namespace headgate::supervisor
