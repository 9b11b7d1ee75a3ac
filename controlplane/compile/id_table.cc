#include "controlplane/compile/id_table.h"

#include <google/protobuf/text_format.h>

#include <array>
#include <set>

#include "controlplane/api/state.pb.h"

namespace headgate::compile {
namespace {

constexpr std::array kKindNames{"interface", "local_address", "pool", "backend", "service", "group", "route"};

}  // namespace

std::uint32_t IdTable::find(Kind kind, const std::string& key) const {
  const auto found = ids_.find({kind, key});
  return found == ids_.end() ? 0 : found->second;
}

std::uint32_t IdTable::assign(Kind kind, const std::string& key) {
  const auto [found, fresh] = ids_.try_emplace({kind, key}, 0);
  if (fresh) found->second = ++highest_[kind];
  return found->second;
}

std::size_t IdTable::take(const IdTable& other) {
  std::set<std::pair<Kind, std::uint32_t>> used;
  for (const auto& [what, id] : ids_) used.emplace(what.first, id);
  std::size_t refused = 0;
  for (const auto& [what, id] : other.ids_) {
    const auto known = ids_.find(what);
    if (known != ids_.end() ? known->second == id : used.emplace(what.first, id).second) {
      ids_[what] = id;
      highest_[what.first] = std::max(highest_[what.first], id);
    } else {
      ++refused;
    }
  }
  return refused;
}

std::string IdTable::to_text() const {
  state::v1::IdTable message;
  for (const auto& [what, id] : ids_) {
    auto& entry = *message.add_entry();
    entry.set_kind(kKindNames[static_cast<std::size_t>(what.first)]);
    entry.set_key(what.second);
    entry.set_id(id);
  }
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return "# Ids given to entries of the configuration. Never reuse one.\n" + text;
}

config::Result<IdTable> IdTable::from_text(const std::string& text) {
  state::v1::IdTable message;
  if (!google::protobuf::TextFormat::ParseFromString(text, &message)) return config::fail("not a table of ids");
  IdTable table;
  std::set<std::pair<Kind, std::uint32_t>> used;
  for (const auto& entry : message.entry()) {
    const auto name = std::find(kKindNames.begin(), kKindNames.end(), entry.kind());
    if (name == kKindNames.end()) return config::fail("unknown kind \"" + entry.kind() + "\"");
    const Kind kind = static_cast<Kind>(name - kKindNames.begin());
    const bool fresh = table.ids_.emplace(std::pair(kind, entry.key()), entry.id()).second;
    if (entry.id() == 0 || !fresh || !used.emplace(kind, entry.id()).second) {
      return config::fail(entry.kind() + " \"" + entry.key() + "\" has id 0 or one that is used twice");
    }
    table.highest_[kind] = std::max(table.highest_[kind], entry.id());
  }
  return table;
}

config::Result<IdTable> load_ids(config::Disk& disk, const std::string& path) {
  if (!disk.exists(path)) return IdTable{};
  const auto text = disk.read(path);
  if (!text) return config::fail(text.error().message);
  auto table = IdTable::from_text(*text);
  if (!table)
    return config::fail(path + ": " + table.error().message +
                        "; restore it from a backup, or remove it and clear all flows");
  return table;
}

config::Result<void> save_ids(config::Disk& disk, const std::string& path, const IdTable& table) {
  return config::replace_durably(disk, path, table.to_text());
}

}  // namespace headgate::compile
