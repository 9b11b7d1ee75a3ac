// The supervisor's configuration: sections of "key = value" lines.
//
//   # started from top to bottom, stopped from bottom to top
//   [dataplane]
//   command = /usr/bin/headgate-dataplane --name "box a"   (words; quotes and backslash as in a shell, nothing else)
//   user = headgate                                        (absent: as the supervisor)
//   log = /var/log/headgate/dataplane.log                  (absent: the supervisor's stderr)
//   stop_timeout_ms = 5000                                 (SIGTERM, then SIGKILL; the default)
//   watchdog_ms = 10000                                    (ended when it says nothing for so long; absent: never)
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace headgate::supervisor {

struct ProcessSpec {
  std::string name;
  std::vector<std::string> command;
  std::string user, log;
  std::chrono::milliseconds stop_timeout{5000};
  std::chrono::milliseconds watchdog{0};  // 0: none
};

struct ProcessFile {
  std::vector<ProcessSpec> processes;
  std::string error;  // "file:line: what is wrong; what to do"; empty when the file is good
};

ProcessFile parse_process_file(const std::string& file, const std::string& text);

}  // namespace headgate::supervisor
