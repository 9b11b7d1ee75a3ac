// Looking without touching: what operators are shown, and the invariants of connection.h as a check for tests.
#pragma once

#include <string>

#include "dataplane/tcp/core.h"
#include "dataplane/tcp/engine.h"

namespace headgate::tcp {

Info inspect(const Core& k, const Connection& c);
// Between calls of the engine, after flush().
std::string audit(Core& k);

}  // namespace headgate::tcp
