// A child process: started without a shell, with nothing of ours but the descriptors it is given.
#pragma once

#include <string>
#include <vector>

namespace headgate::health {

struct Child {
  int pid = -1;
  int pidfd = -1;   // readable when it has ended
  int output = -1;  // its standard output and error
  int error = 0;    // why there is none: an errno
};

// The child leads its own process group. The caller owns both descriptors and reaps by reap().
Child start_child(const std::string& program, const std::vector<std::string>& arguments,
                  const std::vector<std::string>& environment);

// How it ended: "" for an exit with 0, else "exit status 3" or "killed by signal 9". Requires: pidfd is readable.
std::string reap(int pidfd);

}  // namespace headgate::health
