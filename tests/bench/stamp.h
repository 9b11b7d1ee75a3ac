// Time on the clock of the kernel's time stamps.
#pragma once

#include <sys/socket.h>

#include "dataplane/base/time.h"

namespace headgate::bench {

Nanos wall_clock();
// When the kernel got the message. Requires: SO_TIMESTAMPNS on its socket; without a stamp: now.
Nanos stamp_of(msghdr& message);

}  // namespace headgate::bench
