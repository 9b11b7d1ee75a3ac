// Flows of backends that left the configuration: kept, reset or balanced anew, as their pool says. The table is swept in
// slices; until a flow's turn comes, its packets see the policy through being_removed().
#include "dataplane/worker/worker.h"

namespace headgate::worker {

using snapshot::RemovalPolicy;

void Worker::plan_removals(const snapshot::Snapshot& before, const snapshot::Snapshot& after) {
  bool any = false;
  for (const snapshot::Backend& backend : before.backends) {
    if (after.backend_of_slot(backend.slot) != nullptr) continue;
    const snapshot::Pool& old_pool = before.pools[backend.pool];
    // The policy that counts is today's; a pool that went away as well leaves its last word.
    const bool pool_lives = old_pool.slot < after.pool_by_slot.size() && after.pool_by_slot[old_pool.slot] != snapshot::kNone;
    const RemovalPolicy policy = pool_lives ? after.pools[after.pool_by_slot[old_pool.slot]].on_removal : old_pool.on_removal;
    if (policy == RemovalPolicy::keep) continue;
    if (!any && !sweeping_) removal_.assign(snapshot::kBackendSlots, RemovalPolicy::keep);
    removal_[backend.slot] = policy;
    any = true;
  }
  // A backend that came back while its flows were being swept is kept from now on.
  if (sweeping_) {
    for (const snapshot::Backend& backend : after.backends) removal_[backend.slot] = RemovalPolicy::keep;
  }
  if (any) {
    sweeping_ = true;
    sweep_at_ = 0;
  }
}

// rehash: the next packet of a UDP flow finds no flow and is balanced anew; a TCP connection cannot move and is reset.
void Worker::remove_flow(flow::Flow& flow) {
  if (flow.protocol == kProtocolTcp) count_drop(telemetry::DropReason::flow_reset);
  clear_flow(flow);
}

void Worker::clear_flow(flow::Flow& flow) {
  if (flow.kind == flow::Kind::service) reset_both(flow);
  end_flow(flow);
}

void Worker::sweep() {
  for (unsigned i = 0; i < kSweepPerStep && sweep_at_ < flows_.high_water(); ++i, ++sweep_at_) {
    flow::Flow& flow = flows_.at(sweep_at_);
    if (flow.state != flow::State::free && being_removed(flow)) remove_flow(flow);
  }
  if (sweep_at_ >= flows_.high_water()) sweeping_ = false;
}

}  // namespace headgate::worker
