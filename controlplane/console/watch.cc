#include "controlplane/console/watch.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "controlplane/console/interrupt.h"

namespace headgate::console {
namespace {

std::string clock_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char text[16];
  std::strftime(text, sizeof text, "%H:%M:%S", &parts);
  return text;
}

}  // namespace

int watch(const std::string& title, const WatchOptions& options, bool append, const std::function<int()>& show) {
  const bool redraw = !append && ::isatty(STDOUT_FILENO) != 0;
  Interrupt interrupt;
  int code = 0;
  for (unsigned n = 1; !interrupt.asked(); ++n) {
    if (redraw) {
      std::printf("\033[H\033[2J%s  %s  every %u s, Ctrl-C ends\n\n", title.c_str(), clock_text().c_str(),
                  options.interval_s);
    }
    code = show();
    std::fflush(stdout);
    if (n == options.count || interrupt.wait(std::chrono::seconds(options.interval_s))) break;
  }
  return interrupt.asked() ? 0 : code;
}

}  // namespace headgate::console
