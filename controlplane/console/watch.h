// watch: a command of `show` again and again, until Ctrl-C or so many times.
#pragma once

#include <functional>
#include <string>

namespace headgate::console {

struct WatchOptions {
  unsigned interval_s = 1;
  unsigned count = 0;  // 0: no end
};

// Redraws on a terminal; elsewhere, and with `append`, each comes below the one before. A command that fails is tried
// again: what is watched is often what comes back.
int watch(const std::string& title, const WatchOptions& options, bool append, const std::function<int()>& show);

}  // namespace headgate::console
