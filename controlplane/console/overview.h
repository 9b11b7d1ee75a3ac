// show version, health, interfaces, routes.
#pragma once

#include "controlplane/console/client.h"

namespace headgate::console {

int show_version(Client& client);
int show_interfaces(Client& client);
int show_routes(Client& client);

}  // namespace headgate::console
