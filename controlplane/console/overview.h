// show version, services, interfaces, routes.
#pragma once

#include "controlplane/console/client.h"
#include "controlplane/console/table.h"

namespace headgate::console {

int show_version(Client& client);
int show_services(Client& client);
int show_interfaces(Client& client);
int show_routes(Client& client);

// What a service is fits 80 characters; of what it counts the rest is for wider terminals.
Table services_table(const management::v1::ServicesReply& reply);

}  // namespace headgate::console
