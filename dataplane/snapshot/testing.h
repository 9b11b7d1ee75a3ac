// Snapshots for tests all over the repository, from protobuf text; never linked into the product.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/snapshot/build.h"
#include "dataplane/snapshot/update.h"

namespace headgate::snapshot::testing {

// Builds snapshot after snapshot, each the successor of the one before, as the dataplane does.
class Source {
 public:
  explicit Source(std::vector<std::string> ports = {"p0", "p1"}, std::uint64_t hash_key = 42);

  // Text format of dataplane.v1.Snapshot. A generation is filled in when it has none. Aborts with the errors' text when
  // the snapshot is refused.
  std::shared_ptr<const Snapshot> accept(std::string_view text);
  // "path: message" lines; empty when the snapshot is accepted. It does not become the predecessor of the next.
  std::vector<std::string> refuse(std::string_view text);

  // Text format of dataplane.v1.StateUpdate on top of the last; generations are filled in when absent.
  std::shared_ptr<const Snapshot> update(std::string_view text);
  tl::expected<std::shared_ptr<const Snapshot>, UpdateRefusal> try_update(std::string_view text) const;

  SlotTable& slots() { return slots_; }
  const std::shared_ptr<const Snapshot>& last() const { return last_; }

  std::uint32_t flow_limit = 0;  // BuildInput's

 private:
  BuildInput input();
  std::vector<std::string> ports_;
  std::uint64_t hash_key_;
  std::uint64_t generation_ = 0;
  SlotTable slots_;
  std::shared_ptr<const Snapshot> last_;
};

}  // namespace headgate::snapshot::testing
