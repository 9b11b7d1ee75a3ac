// Runs a program of the system for an operator: no shell, a small environment of its own, bounded in time and output.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/config/result.h"

namespace headgate::system {

struct Program {
  std::vector<std::string> command;  // the first is a path, or a name looked for in the system's folders
  std::chrono::milliseconds time_max{10'000};
  std::size_t output_max = 1 << 20;  // bytes, of both streams together
};

struct Ended {
  int status = 0;        // of waitpid(2)
  bool stopped = false;  // by us: out of time, or the reader had enough
  bool cut = false;      // there was more output
  bool good() const { return status == 0 && !stopped; }
};

// Hands over each line of standard output and error as it comes; a reader that returns false ends the program. nothing
// is left running when this returns. Any thread.
config::Result<Ended> run(const Program& program, const std::function<bool(std::string_view line)>& line);

// All of the output, with a last line that says how it ended when that was not well.
std::string output_of(const Program& program);

// Arguments for Debian's programs. Requires: `address` came out of config::parse_address(), so it is no option.
Program ping_program(const std::string& address, unsigned count);
Program traceroute_program(const std::string& address);

inline constexpr unsigned kPingsMax = 100;  // of one command

}  // namespace headgate::system
