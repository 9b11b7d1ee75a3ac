// configuration + ids -> the snapshot that the dataplane runs, and what health needs to know. Pure functions, tested
// with golden files.
#pragma once

#include <string>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/compile/id_table.h"
#include "controlplane/health/in_force.h"
#include "controlplane/health/passive.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::compile {

// Gives an id to everything in `config` that has none yet. True when the table grew, and then it must be on disk before
// a snapshot with the new ids leaves the process. Requires: config passed validate().
bool assign_ids(const config::v1::Config& config, IdTable& ids);

// Backends are as configured: up, with their own weight. The digest is set; generation and epoch are the pusher's.
// cookie_keys: in order, as Snapshot has them; taken where a service sets persistence cookies.
// Requires: config passed validate(), assign_ids() was called.
dataplane::v1::Snapshot compile(const config::v1::Config& config, const IdTable& ids,
                                const std::vector<std::string>& cookie_keys = {});

// SHA-256, in hexadecimal, of the snapshot's deterministic serialisation without generation, digest and backends'
// states (health, weight, drain). Equal digests: at most states differ.
std::string digest_of(const dataplane::v1::Snapshot& snapshot);

// Empty when every backend's id has an address in both probe prefixes; else what is wrong and what to do. The dataplane
// refuses a snapshot whose ids do not fit, and only the table of ids tells.
std::string probe_prefix_problem(const config::v1::Config& config, const IdTable& ids);

// How the states in force of a pool's backends follow from what is known of them. Requires: as compile().
std::vector<health::PoolRules> pool_rules(const config::v1::Config& config, const IdTable& ids);

// Backends that traffic may take down. Requires: as compile().
std::vector<health::PassiveRule> passive_rules(const config::v1::Config& config, const IdTable& ids);

// What to probe, and by which addresses. Requires: as compile(), and probe_prefix_problem() is empty.
std::vector<health::Target> probe_targets(const config::v1::Config& config, const IdTable& ids);
// Which agents to ask. An outcome's `answer` is for health::parse_agent_reply().
std::vector<health::Target> agent_targets(const config::v1::Config& config, const IdTable& ids);

}  // namespace headgate::compile
