// Commands about the box itself: ping and traceroute run by it, restarts, the support bundle.
#pragma once

#include <string>

#include "controlplane/console/client.h"

namespace headgate::console {

int ping(Client& client, const std::string& address, unsigned count);
int traceroute(Client& client, const std::string& address);

// `now`: without asking. Elsewhere than on a terminal nobody can be asked, so it must be said.
int restart(Client& client, const std::string& what, bool now);
int reboot(Client& client, bool now);

// Into `path`; empty: a name of its own in the current directory.
int support_bundle(Client& client, const std::string& path);

}  // namespace headgate::console
