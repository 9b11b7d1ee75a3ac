// show flows, clear flows.
#pragma once

#include <cstdint>
#include <string>

#include "controlplane/console/client.h"

namespace headgate::console {

struct FlowOptions {
  std::string client, protocol;
  std::uint32_t client_port = 0, limit = 100;
  std::string service, backend;  // as names.h finds them
};

// Flows of everything that the names mean.
int show_flows(Client& client, const FlowOptions& options);
// Refuses a name that means several entries of the configuration.
int clear_flows(Client& client, const FlowOptions& options);

}  // namespace headgate::console
