#include "dataplane/app/service_manager.h"

#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include "dataplane/app/fleet.h"

namespace headgate::app {

void say_ready() {
  ::sd_notify(0, "READY=1");
}

void say_stopping() {
  ::sd_notify(0, "STOPPING=1");
}

void ping_watchdog(Fleet& fleet) {
  static const bool watched = ::sd_watchdog_enabled(0, nullptr) > 0;
  if (!watched) return;
  for (unsigned i = 0; i < fleet.size(); ++i) {
    if (fleet.run(i, [](worker::Worker&) {})) continue;
    spdlog::error("worker {} does not come round; the watchdog is not fed", i);
    return;
  }
  ::sd_notify(0, "WATCHDOG=1");
}

}  // namespace headgate::app
