// Stable ids: (kind, key) -> 32-bit id, assigned once, never reused, kept in a file across restarts. The dataplane keys
// flows, counters and allocated ports by these, so an id that changed hands would mix up two backends' traffic.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "controlplane/config/disk.h"
#include "controlplane/config/result.h"

namespace headgate::compile {

enum class Kind { interface, local_address, pool, backend, service, group, route };

class IdTable {
 public:
  // 0 when there is none.
  std::uint32_t find(Kind kind, const std::string& key) const;
  // The id of `key`, a new one when there is none: one above the highest of its kind, so backend ids stay dense and fit
  // the probe prefix.
  std::uint32_t assign(Kind kind, const std::string& key);

  // What another table has and this one has not, with its ids. How many could not be taken, since the key has another
  // id here or the id another key: both boxes gave ids before they were a pair.
  std::size_t take(const IdTable& other);

  std::size_t size() const { return ids_.size(); }

  std::string to_text() const;
  static config::Result<IdTable> from_text(const std::string& text);
  friend bool operator==(const IdTable&, const IdTable&) = default;

 private:
  std::map<std::pair<Kind, std::string>, std::uint32_t> ids_;
  std::map<Kind, std::uint32_t> highest_;
};

// An empty table when the file does not exist yet. A damaged file is an error: starting over would hand out used ids.
config::Result<IdTable> load_ids(config::Disk& disk, const std::string& path);
// Durable when it returns.
config::Result<void> save_ids(config::Disk& disk, const std::string& path, const IdTable& table);

}  // namespace headgate::compile
