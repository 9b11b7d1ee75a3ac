#include "controlplane/config/place_names.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>
#include <utility>

#include "controlplane/config/tokens.h"
#include "controlplane/config/tree.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptor;
using Place = std::pair<int, int>;

Place place_of(const Location& location) {
  return {location.line, location.column};
}

class Names {
 public:
  void want(const Location& location) { names_.try_emplace(place_of(location)); }
  std::string at(const Location& location) const {
    const auto found = names_.find(place_of(location));
    return found == names_.end() ? "" : found->second;
  }
  void collect(const Node& node) {
    const auto* reflection = node.message().GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(node.message(), &fields);
    for (const FieldDescriptor* field : fields) {
      path_.push_back(field->name());
      for (int i = 0; i < (field->is_repeated() ? reflection->FieldSize(node.message(), field) : 1); ++i)
        occurrence(node, *field, field->is_repeated() ? i : -1);
      path_.pop_back();
    }
  }

 private:
  void occurrence(const Node& node, const FieldDescriptor& field, int index) {
    if (field.message_type() == nullptr) return note(node.location_of(field, index));
    if (index >= 0) path_.push_back(key_of(node.message(), field, index));
    const Node child = node.child(field, index);
    note(child.location());
    collect(child);
    if (index >= 0) path_.pop_back();
  }
  void note(const Location& location) {
    const auto wanted = names_.find(place_of(location));
    if (wanted != names_.end() && wanted->second.empty()) wanted->second = join(path_);
  }

  std::map<Place, std::string> names_;  // of the places that are wanted
  Words path_;
};

}  // namespace

void name_places(Document& document, const std::string& text) {
  const auto nameless = [](const Diagnostic& d) { return d.path.empty() && d.location.line > 0; };
  if (document.tree == nullptr || std::none_of(document.diagnostics.begin(), document.diagnostics.end(), nameless))
    return;
  const Tokens tokens(text);
  const auto block_around = [&](const Location& location) {
    const std::size_t token = tokens.at(location.line - 1, location.column - 1);
    const auto blocks = token < tokens.size() ? tokens.blocks_around(token) : std::vector<std::size_t>{};
    return blocks.empty() ? Location{} : tokens[blocks.back()].location();
  };
  Names names;
  for (const Diagnostic& diagnostic : document.diagnostics) {
    names.want(diagnostic.location);
    names.want(block_around(diagnostic.location));
  }
  names.collect(document.root());
  for (Diagnostic& diagnostic : document.diagnostics) {
    if (!nameless(diagnostic)) continue;
    diagnostic.path = names.at(diagnostic.location);
    if (diagnostic.path.empty()) diagnostic.path = names.at(block_around(diagnostic.location));
  }
}

}  // namespace headgate::config
