// Tables of what the dataplane counts, one view each.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "controlplane/console/client.h"

namespace headgate::console {

using View =
    std::pair<std::function<void(const pb::StatsReply&, const Look&)>, const char*>;  // and what it is, for help

const std::map<std::string, View>& stats_views();

}  // namespace headgate::console
