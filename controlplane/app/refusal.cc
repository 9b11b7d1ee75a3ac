#include "controlplane/app/refusal.h"

#include <google/protobuf/descriptor.h>

#include <charconv>
#include <optional>
#include <string_view>

namespace headgate::app {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// One step of a path like pool[1].backend[0].address.
struct Step {
  std::string field;
  int index = -1;
};

Step take_step(std::string_view& path) {
  const std::size_t dot = std::min(path.find('.'), path.size());
  const std::string_view word = path.substr(0, dot);
  path.remove_prefix(std::min(dot + 1, path.size()));
  const std::size_t bracket = std::min(word.find('['), word.size());
  Step step{std::string(word.substr(0, bracket)), -1};
  if (bracket < word.size()) std::from_chars(word.data() + bracket + 1, word.data() + word.size(), step.index);
  return step;
}

std::string name_of(const Message& entry) {
  const FieldDescriptor* name = entry.GetDescriptor()->FindFieldByName("name");
  if (name == nullptr || name->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return {};
  const std::string text = entry.GetReflection()->GetString(entry, name);
  return text.substr(0, text.find('/'));  // "web/v4": one of the parts of "web"
}

const FieldDescriptor* entries_of(const Message& message, const std::string& field) {
  const FieldDescriptor* found = message.GetDescriptor()->FindFieldByName(field);
  const bool entries =
      found != nullptr && found->is_repeated() && found->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  return entries ? found : nullptr;
}

// Entries change places between file and snapshot; their names do not.
std::optional<config::Node> entry_named(const config::Node& parent, const std::string& field, const std::string& name) {
  const FieldDescriptor* entries = entries_of(parent.message(), field);
  if (entries == nullptr || name.empty()) return std::nullopt;
  const int count = parent.message().GetReflection()->FieldSize(parent.message(), entries);
  for (int i = 0; i < count; ++i) {
    if (const config::Node entry = parent.child(*entries, i); name_of(entry.message()) == name) return entry;
  }
  return std::nullopt;
}

}  // namespace

std::string describe_refusal(const config::Document& document, const dataplane::v1::Snapshot& snapshot,
                             const dataplane::v1::SnapshotError& error) {
  config::Location location;
  config::Node node = document.root();
  const Message* part = &snapshot;
  std::string_view path = error.path();
  while (!path.empty()) {
    const Step step = take_step(path);
    const FieldDescriptor* entries = entries_of(*part, step.field);
    if (entries == nullptr) {
      if (const FieldDescriptor* field = node.message().GetDescriptor()->FindFieldByName(step.field);
          field != nullptr && location.line != 0)
        location = node.location_of(*field, step.index);
      break;
    }
    if (step.index < 0 || step.index >= part->GetReflection()->FieldSize(*part, entries)) break;
    part = &part->GetReflection()->GetRepeatedMessage(*part, entries, step.index);
    const auto entry = entry_named(node, step.field, name_of(*part));
    if (!entry) break;
    node = *entry;
    location = node.location();
  }
  return config::Diagnostic{
      .file = document.file, .location = location, .message = error.path() + ": " + error.message()}
      .to_string();
}

}  // namespace headgate::app
