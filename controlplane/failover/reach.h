// Who is pinged: gateways that groups track, and witnesses; how often, and what the verdicts mean. Pure. Who sends the
// pings is health/checker.h.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/failover/health_class.h"
#include "controlplane/failover/rules.h"
#include "controlplane/health/scheduler.h"

namespace headgate::failover {

class ReachTargets {
 public:
  // A number stays an address's own as long as it is asked: verdicts hang on it.
  std::vector<health::Target> of(const Rules& rules);

 private:
  std::vector<std::string> reached_;  // addresses that are asked; position + 1 is the target's id
};

// Notes what was seen of one target. `reach`: by address as configured; `cannot`: those that this box cannot ask.
struct ReachSeen {
  std::map<std::string, Reach> reach;
  std::set<std::string> cannot;
  void operator()(const health::Target& target, health::Health health, const health::Detail& detail);
  // Replaces gateways and witnesses. A witness that cannot be asked is none.
  void put(const Rules& rules, Observed& observed);
};

}  // namespace headgate::failover
