// Flows of backends that left the configuration: kept, reset or balanced anew, as their pool says. The table is swept
// in slices; until a flow's turn comes, its packets see the policy through being_removed().
#include "dataplane/worker/worker.h"

namespace headgate::worker {

using snapshot::RemovalPolicy;

// The snapshot before this one may be gone (the worker may have slept through its end), so what a removal needs to know
// of it is kept here: who was there, and the last word of its pool.
void Worker::plan_removals(const snapshot::Snapshot& now) {
  bool any = false;
  for (const KnownBackend& known : known_backends_) {
    if (now.backend_of_slot(known.slot) != nullptr) continue;
    // The policy that counts is today's; a pool that went away as well leaves its last word.
    const bool pool_lives =
        known.pool_slot < now.pool_by_slot.size() && now.pool_by_slot[known.pool_slot] != snapshot::kNone;
    const RemovalPolicy policy =
        pool_lives ? now.pools[now.pool_by_slot[known.pool_slot]].on_removal : known.on_removal;
    if (policy == RemovalPolicy::keep) continue;
    if (!any && !sweeping_) removal_.assign(snapshot::kBackendSlots, RemovalPolicy::keep);
    removal_[known.slot] = policy;
    any = true;
  }
  known_backends_.clear();
  for (const snapshot::Backend& backend : now.backends) {
    const snapshot::Pool& pool = now.pools[backend.pool];
    known_backends_.push_back({backend.slot, pool.slot, pool.on_removal});
  }
  // A backend that came back while its flows were being swept is kept from now on.
  if (sweeping_) {
    for (const snapshot::Backend& backend : now.backends) removal_[backend.slot] = RemovalPolicy::keep;
  }
  if (any) {
    sweeping_ = true;
    sweep_at_ = 0;
    connection_sweep_at_ = 0;
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
  for (unsigned i = 0; i < kSweepPerStep && resets_left_ != 0 && sweep_at_ < flows_.high_water(); ++i, ++sweep_at_) {
    flow::Flow& flow = flows_.at(sweep_at_);
    if (flow.state != flow::State::free && being_removed(flow)) remove_flow(flow);
  }
  if (sweep_at_ < flows_.high_water()) return;
  const auto removed = [this](const Leg& leg) {
    return leg.backend != kNoSlot && removal_[leg.backend] != RemovalPolicy::keep;
  };
  if (proxies_ && !proxies_->sweep(connection_sweep_at_, kSweepPerStep, removed)) return;
  sweeping_ = false;
}

}  // namespace headgate::worker
