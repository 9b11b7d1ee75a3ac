// Commands about the control plane: its state, history, log; backends by name.
#pragma once

#include <string>
#include <vector>

#include "controlplane/console/client.h"

namespace headgate::console {

int show_system(Client& client);
int show_backends(Client& client);
int show_health(Client& client);
int show_commits(Client& client);
int show_configuration(Client& client, std::uint64_t revision, bool as_set_commands);
int show_log(Client& client, unsigned lines, bool follow);
int set_backend(Client& client, const std::string& name, const std::string& state);
int confirm(Client& client);

// For completion; empty when the server does not answer.
std::vector<std::string> service_names(Client& client);
std::vector<std::string> backend_names(Client& client);

// "revision 12, 2026-11-21 10:15:23, anna: why"
std::string describe(const management::v1::Revision& revision);

}  // namespace headgate::console
