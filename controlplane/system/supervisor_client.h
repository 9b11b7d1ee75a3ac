// Asks headgate-supervisor, which tells its children by HEADGATE_SUPERVISOR where it listens.
#pragma once

#include <string>

#include "controlplane/config/result.h"

namespace headgate::system {

// Empty when this process was started by something else.
std::string supervisor_socket();

// "restart dataplane", "reboot". An error says why it did not do so.
config::Result<void> ask_supervisor(const std::string& socket, const std::string& request);

}  // namespace headgate::system
