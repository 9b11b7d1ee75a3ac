// show sessions, show connections, clear sessions: of services whose connections end in the dataplane.
#pragma once

#include "controlplane/console/client.h"
#include "controlplane/console/flows.h"
#include "controlplane/console/table.h"

namespace headgate::console {

// A row for each session; a row for each TCP connection of them.
int show_sessions(Client& client, const FlowOptions& options);
int show_connections(Client& client, const FlowOptions& options);
// Refuses a name that means several entries of the configuration.
int clear_sessions(Client& client, const FlowOptions& options);

Table sessions_table(const pb::ConnectionsReply& reply);
Table connections_table(const pb::ConnectionsReply& reply);

}  // namespace headgate::console
