// What a health check says, for validation and for compile: its kind, its port, its status codes.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/api/config.pb.h"

namespace headgate::config {

// Names of the kinds that are set: "tcp". A valid check has one.
std::vector<std::string> kinds_of(const v1::HealthCheck& check);

// The port that its kind names; none: the backend's.
std::optional<std::uint32_t> port_of(const v1::HealthCheck& check);

// "200-299,301" as ranges of codes, both ends included; none when it is no such list.
using StatusRanges = std::vector<std::pair<unsigned, unsigned>>;
std::optional<StatusRanges> parse_status(const std::string& text);

}  // namespace headgate::config
