#include "dataplane/app/failover_words.h"

#include <algorithm>
#include <string>

namespace headgate::app {
namespace {

namespace dp = dataplane::v1;

vrrp::PeerState peer_of(dp::PeerState said) {
  switch (said) {
    case dp::PEER_BACKUP:
      return vrrp::PeerState::backup;
    case dp::PEER_ACTIVE:
      return vrrp::PeerState::active;
    case dp::PEER_FAULT:
      return vrrp::PeerState::fault;
    case dp::PEER_DEAD:
      return vrrp::PeerState::dead;
    default:  // and what a newer control plane may say
      return vrrp::PeerState::unknown;
  }
}

}  // namespace

vrrp::Input input_of(const dp::GroupInput& said) {
  return {.health = static_cast<vrrp::Health>(std::clamp<int>(said.health(), 0, 2)),
          .priority = static_cast<std::uint8_t>(std::min<std::uint32_t>(said.priority(), 254)),
          .eligible = !said.not_eligible(),
          .paused = said.paused(),
          .yield = said.yield(),
          .take = said.take(),
          .peer = peer_of(said.peer()),
          .peer_lease = said.peer_lease_us() * kMicrosecond,
          .witness = static_cast<vrrp::Witness>(std::clamp<int>(said.witness(), 0, 2))};
}

vrrp::Input without_control(vrrp::Input input) {
  if (input.health == vrrp::Health::ok) input.health = vrrp::Health::degraded;
  input.yield = input.take = input.paused = false;
  input.eligible = true;  // nobody is left to agree with: a lone box serves
  input.peer = vrrp::PeerState::unknown;
  input.peer_lease = 0;
  if (input.witness != vrrp::Witness::none) input.witness = vrrp::Witness::silent;
  return input;
}

dp::GroupRole role_of(vrrp::Role role) {
  switch (role) {
    case vrrp::Role::starting:
      return dp::ROLE_STARTING;
    case vrrp::Role::backup:
      return dp::ROLE_BACKUP;
    case vrrp::Role::active:
      return dp::ROLE_ACTIVE;
    case vrrp::Role::fault:
      return dp::ROLE_FAULT;
  }
  return dp::ROLE_STARTING;
}

void describe(const vrrp::Group& group, vrrp::Health health, Nanos now, dp::GroupState& out) {
  const vrrp::GroupStatus& status = group.status();
  out.set_id(group.config().id.value);
  out.set_name(group.config().name);
  out.set_role(role_of(status.role));
  out.set_since_ms_ago((now - std::min(now, status.since)) / kMillisecond);
  out.set_cause(std::string(status.cause.view()));
  out.set_priority(status.priority);
  out.set_interval_us(static_cast<std::uint32_t>(status.interval / kMicrosecond));
  out.set_health(static_cast<dp::HealthClass>(health));
  const auto until = [now](Nanos at) {
    return (static_cast<std::int64_t>(at) - static_cast<std::int64_t>(now)) / static_cast<std::int64_t>(kMicrosecond);
  };
  if (status.role == vrrp::Role::active && status.active_until != 0) out.set_lease_us(until(status.active_until));
  out.set_down_interval_us(status.down_interval / kMicrosecond);
  if (status.role == vrrp::Role::backup && status.due != kNever) out.set_peer_margin_us(until(status.due));
  out.set_transitions(status.transitions);
  out.set_promotions(status.promotions);
  out.set_lease_gaps(status.lease_gaps);
  out.set_withheld(status.withheld);
}

}  // namespace headgate::app
