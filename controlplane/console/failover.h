// Commands about failover: who is active and why, what would happen, and planned switches.
#pragma once

#include <string>
#include <vector>

#include "controlplane/console/client.h"

namespace headgate::console {

// form: empty, counters, peer or history.
int show_failover(Client& client, const std::string& form);
int switch_group(Client& client, const std::string& group, bool dry_run);
int pause_group(Client& client, const std::string& group, bool paused);
// kind: interface, pool, gateway, backend or box.
int what_if(Client& client, const std::string& kind, const std::string& name);

// What the forms of show_failover print, no line wider than `width`.
std::string failover_text(const management::v1::FailoverReply& reply, std::size_t width);
std::string failover_counters_text(const management::v1::FailoverReply& reply, std::size_t width);
std::string failover_peer_text(const management::v1::FailoverReply& reply, std::size_t width);
std::string failover_history_text(const management::v1::FailoverReply& reply, std::size_t width);

// For completion; empty when the server does not answer.
std::vector<std::string> group_names(Client& client);
// Of things of that kind (see what_if); empty where they cannot be listed.
std::vector<std::string> names_of_kind(Client& client, const std::string& kind);

}  // namespace headgate::console
