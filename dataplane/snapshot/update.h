// From a change of backends' states to the next immutable Snapshot. Control thread only.
//
// A copy of the running snapshot, which shares what is large, with the states set and what follows from them computed
// again by the code that build() uses: the pools touched, their Maglev tables where weights changed, and whose pings
// are answered. A test holds the result equal to that of a whole build.
#pragma once

#include <cstdint>
#include <memory>
#include <tl/expected.hpp>
#include <vector>

#include "dataplane/snapshot/build.h"

namespace headgate::dataplane::v1 {
class StateUpdate;
}

namespace headgate::snapshot {

struct UpdateRefusal {
  bool resync = false;  // it does not fit what runs; false: it would be wrong on any base
  std::vector<SnapshotError> errors;
};

struct UpdateInput {
  const Snapshot* running = nullptr;  // null: nothing runs
  const SlotTable& slots;             // those that `running` was built with, and nothing else since
  std::uint64_t hash_key = 0;         // as in BuildInput
};

tl::expected<std::shared_ptr<const Snapshot>, UpdateRefusal> update(const dataplane::v1::StateUpdate& message,
                                                                    const UpdateInput& input);

}  // namespace headgate::snapshot
