// From the message of the control plane to the immutable Snapshot that workers run. Control thread only.
//
// Everything is checked again here, whatever the control plane promised: a message that is accepted can be run, every
// index in it is in range. All errors are found at once, each with the path of the field and what to do. On errors
// nothing changes: neither the slot table nor what runs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/snapshot/slot_table.h"

namespace headgate::dataplane::v1 {
class Snapshot;  // generated; workers that include this header do not see protobuf
}

namespace headgate::snapshot {

struct SnapshotError {
  std::string path;     // service[3].pool_id
  std::string message;  // a sentence
};
inline constexpr std::size_t kErrorsMax = 256;  // more are only counted

// Makes of an HTTP service what its sessions use, or says what is wrong with it. Given by app: this folder knows no
// HTTP.
using CompileSite = std::function<Result<std::shared_ptr<const http::Site>>(
    const Service& service, PoolId pool, const ProxySpec& proxy, const HttpSpec& http)>;

struct BuildInput {
  std::span<const std::string> port_names;  // of the dataplane's command line, in its order
  const Snapshot* previous = nullptr;       // its Maglev tables are shared where membership and weights are the same
  SlotTable& slots;
  std::uint64_t hash_key = 0;  // of the tables; random per process
  // Flows all workers together can hold; 0 = unknown. A backend's max_connections of at least this can never bind and
  // is dropped, which saves the workers the asking.
  std::uint32_t flow_limit = 0;
  CompileSite compile_site = {};  // none: HTTP services are refused
};

tl::expected<std::shared_ptr<const Snapshot>, std::vector<SnapshotError>> build(const dataplane::v1::Snapshot& message,
                                                                                const BuildInput& input);

}  // namespace headgate::snapshot
