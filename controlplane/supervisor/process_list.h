// What the supervisor is to run: a text file, one process a line: NAME COMMAND ARGUMENT... Words are separated by blanks and may
// be in "double quotes"; # starts a comment. In order: started first to last, stopped last to first.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headgate::supervisor {

struct ProcessSpec {
  std::string name;
  std::vector<std::string> command;  // command[0] is the path of the program
};

struct ProcessList {
  std::vector<ProcessSpec> processes;
  std::vector<std::string> errors;  // "line N: what is wrong; what to do"; empty = good
};

ProcessList parse_process_list(std::string_view text);

}  // namespace headgate::supervisor
