// Groups as the API's failover messages have them: what the control plane says becomes the state machine's input, what
// a state machine says of itself becomes a message. Pure.
#pragma once

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/vrrp/group.h"

namespace headgate::app {

// Whatever it says is within bounds afterwards: enumerations that a newer control plane may know are the safe value.
vrrp::Input input_of(const dataplane::v1::GroupInput& said);

// What holds of `input` when nothing was heard of the control plane within its grace: degraded, no order, no peer. Who
// configured witnesses wants an answer of one before a silent peer's group is taken, and nobody asks them any more.
vrrp::Input without_control(vrrp::Input input);

dataplane::v1::GroupRole role_of(vrrp::Role role);

// All of `out` but routers, changes and dropped_at_send. health: in force.
void describe(const vrrp::Group& group, vrrp::Health health, Nanos now, dataplane::v1::GroupState& out);

}  // namespace headgate::app
