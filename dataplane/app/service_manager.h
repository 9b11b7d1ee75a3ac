// What this process tells the service manager that started it, headgate-supervisor or systemd: that it is ready, and
// that its workers come round. Without a manager nothing happens.
#pragma once

namespace headgate::app {

class Fleet;

void say_ready();
void say_stopping();
// A ping, unless a worker does not come round: then the log says which, and the pings stay away. Waits for each worker,
// two seconds at most. Requires: called every second or so.
void ping_watchdog(Fleet& fleet);

}  // namespace headgate::app
