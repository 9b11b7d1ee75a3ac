// What is known of failover, for people: the answers to Failover and WhatIf, and problems.
#include <algorithm>
#include <cctype>

#include "controlplane/app/failover_watch.h"
#include "controlplane/config/address.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;
namespace dp = dataplane::v1;
using failover::GroupRules;
using failover::HealthClass;

// How the priority that is advertised comes about, then what each track says.
void add_arithmetic(const failover::Rules& rules, const GroupRules& group, const failover::Judged& judged,
                    pb::FailoverGroup& out) {
  const std::string own = std::to_string(group.priority), less = std::to_string(group.degraded_priority);
  out.add_arithmetic("priority " + own + " of box " + rules.side + ", box " + rules.peer_side + " has " +
                     std::to_string(group.peer_priority));
  for (const std::string& line : judged.lines) out.add_arithmetic(line);
  switch (judged.health) {
    case HealthClass::ok:
      out.add_arithmetic("= ok: advertises " + own);
      return;
    case HealthClass::degraded:
      out.add_arithmetic("= degraded: advertises " + less + " instead of " + own);
      return;
    case HealthClass::fault:
      out.add_arithmetic("= fault: takes no part");
      return;
  }
}

void describe_group(const failover::Director& director, const GroupRules& rules, const failover::PeerView& peer,
                    pb::FailoverGroup& out) {
  out.set_name(rules.name);
  if (const dp::GroupState* state = director.state_of(rules.name)) *out.mutable_state() = *state;
  const failover::Judged judged = director.judge(rules);
  out.set_health(static_cast<dp::HealthClass>(judged.health));
  add_arithmetic(director.rules(), rules, judged, out);
  out.set_priority(rules.priority);
  out.set_degraded_priority(rules.degraded_priority);
  out.set_preemption(rules.preemption_word());
  out.set_preempt_delay_s(rules.preempt_delay_s);
  out.set_paused(director.paused().contains(rules.name));
  out.set_under_way(director.under_way(rules.name));
  out.set_peer(static_cast<dp::PeerState>(peer.state_of(rules.name)));
  const failover::GroupWord* word = peer.link_up ? peer.word.find(rules.name) : nullptr;
  out.set_peer_known(word != nullptr);
  if (word == nullptr) return;
  out.set_peer_health(static_cast<dp::HealthClass>(word->health));
  out.set_peer_priority(word->priority);
  out.set_peer_paused(word->paused);
}

void describe_peer(const failover::PeerView& peer, pb::FailoverPeer& out) {
  out.set_configured(peer.configured);
  out.set_link_up(peer.link_up);
  out.set_agreed(peer.agreed);
  out.set_dead(peer.dead);
  out.set_heard(peer.heard.has_value());
  if (peer.heard) {
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(failover::Clock::now() - *peer.heard);
    out.set_heard_ms_ago(static_cast<std::uint64_t>(std::max<std::int64_t>(0, age.count())));
    out.set_epoch(peer.word.epoch);
    out.set_revision(peer.word.revision);
    out.set_version(peer.word.version);
  }
  out.set_problem(peer.problem);
  for (const std::string& line : peer.detail) out.add_detail(line);
}

}  // namespace

void FailoverWatch::describe(pb::FailoverReply& reply) const {
  const failover::Rules& rules = director_.rules();
  reply.set_side(rules.side);
  reply.set_pair(rules.pair || link_->view().configured);  // boxes are paired before they have groups
  reply.set_epoch(director_.epoch());
  reply.set_dataplane(director_.has_state());
  reply.set_control_lease(director_.control_lease());
  reply.set_witness(director_.witness());
  const failover::PeerView& peer = link_->view();
  for (const GroupRules& group : rules.groups) describe_group(director_, group, peer, *reply.add_group());
  describe_peer(peer, *reply.mutable_peer());
}

void FailoverWatch::describe(pb::SystemReply& reply) const {
  if (!running_) return;
  for (const std::string& problem : director_.problems(link_->view())) reply.add_problem(problem);
  for (const std::string& problem : news_.problems(failover::Clock::now())) reply.add_problem(problem);
  for (const auto& [interface, link] : untracked_) {
    if (link == failover::Reach::no)
      reply.add_problem("port " + ports_.at(interface) + " (interface " + interface +
                        ") has no carrier, and no group tracks it: nothing moves because of it");
  }
  for (const std::string& group : director_.paused()) reply.add_problem("group " + group + " is paused");
}

config::Result<failover::Failure> FailoverWatch::failure_of(const pb::WhatIfRequest& request) const {
  using What = failover::Failure::What;
  const std::string& name = request.name();
  switch (request.what()) {
    case pb::WhatIfRequest::INTERFACE:
      if (!ports_.contains(name)) return config::fail("there is no interface " + name);
      return failover::Failure{What::interface, name};
    case pb::WhatIfRequest::GATEWAY: {
      const auto address = config::parse_address(name);
      if (!address) return config::fail("'" + name.substr(0, 100) + "' is no IP address");
      // As it is configured, whatever form was asked for.
      std::set<std::string> asked = director_.rules().gateways;
      asked.insert(director_.rules().witnesses.begin(), director_.rules().witnesses.end());
      for (const std::string& known : asked) {
        if (config::parse_address(known) == address) return failover::Failure{What::gateway, known};
      }
      return failover::Failure{What::gateway, address->to_string()};
    }
    case pb::WhatIfRequest::BOX: {
      if (name.size() != 1) return config::fail("there are box a and box b");
      return failover::Failure{What::box,
                               std::string(1, static_cast<char>(std::toupper(static_cast<unsigned char>(name[0]))))};
    }
    case pb::WhatIfRequest::POOL:
      for (const auto& [known, ids] : backends_) {
        if (known.first == name) return failover::Failure{What::pool, name};
      }
      return config::fail("there is no pool " + name + " with backends");
    case pb::WhatIfRequest::BACKEND:
      break;
    default:
      return config::fail("say what fails");
  }
  return failed_backend(name);
}

// NAME, in every pool, or POOL/NAME.
config::Result<failover::Failure> FailoverWatch::failed_backend(const std::string& name) const {
  failover::Failure failure{failover::Failure::What::backend, name};
  for (const auto& [known, ids] : backends_) {
    if (name != known.second && name != known.first + "/" + known.second) continue;
    failure.pools.emplace_back(known.first,
                               std::any_of(ids.begin(), ids.end(), [this](std::uint32_t id) { return serves(id); }));
  }
  if (failure.pools.empty()) return config::fail("there is no backend " + name);
  return failure;
}

// Does it count as healthy in its pool?
bool FailoverWatch::serves(std::uint32_t backend_id) const {
  using health::Why;
  for (const health::Standings::Pool& pool : pools_()) {
    for (std::size_t i = 0; i < pool.state.why.size(); ++i) {
      if (pool.rules.backends[i].id != backend_id) continue;
      const Why why = pool.state.why[i];
      return pool.state.in_force[i].weight != 0 &&
             (why == Why::nothing || why == Why::backup || why == Why::slow_start);
    }
  }
  return false;
}

config::Result<std::vector<std::string>> FailoverWatch::what_if(const pb::WhatIfRequest& request) const {
  const auto failure = failure_of(request);
  if (!failure) return config::fail(failure.error().message);
  return failover::what_if(*failure, director_, link_->view());
}

}  // namespace headgate::app
