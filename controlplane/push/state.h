// The states of backends that a dataplane runs with, by backend id.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "controlplane/health/in_force.h"

namespace headgate::push {

using BackendState = health::InForce;
using States = std::unordered_map<std::uint32_t, BackendState>;

}  // namespace headgate::push
