#include "controlplane/config/immutable.h"

#include <google/protobuf/descriptor.h>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/tree.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Wrong = std::function<void(Location, std::string)>;

Words values_of(const Message& message, const FieldDescriptor& field) {
  Words values;
  const auto* r = message.GetReflection();
  const int count = field.is_repeated() ? r->FieldSize(message, &field) : r->HasField(message, &field);
  for (int i = 0; i < count; ++i) values.push_back(value_word(message, field, field.is_repeated() ? i : -1));
  return values;
}

std::string shown(const FieldDescriptor& field, const Words& values) {
  if (field.options().GetExtension(v1::secret)) return kRedacted;
  return values.empty() ? "not set" : join(values);
}

class Search {
 public:
  explicit Search(const Wrong& wrong) : wrong_(wrong) {}

  void entry(const Message& before, const Node& after, const std::string& label) {
    for (int i = 0; i < before.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor& field = *before.GetDescriptor()->field(i);
      if (field.message_type() == nullptr) {
        value(before, after, field, label);
      } else if (field.is_repeated()) {
        list(before, after, field, label);
      } else if (before.GetReflection()->HasField(before, &field) &&
                 after.message().GetReflection()->HasField(after.message(), &field)) {
        entry(before.GetReflection()->GetMessage(before, &field), after.child(field), join_label(label, field.name()));
      }
    }
  }

 private:
  static std::string join_label(const std::string& label, const std::string& more) {
    return label.empty() ? more : label + " " + more;
  }
  void value(const Message& before, const Node& after, const FieldDescriptor& field, const std::string& label) {
    if (!field.options().GetExtension(v1::immutable)) return;
    const Words was = values_of(before, field), is = values_of(after.message(), field);
    if (was == is) return;
    wrong_(is.empty() ? after.location() : after.location_of(field, field.is_repeated() ? 0 : -1),
           field.name() + " of " + label + " is " + shown(field, was) + " and cannot be changed to " +
               shown(field, is) + " while the entry exists; delete the entry, commit, and add it again");
  }
  void list(const Message& before, const Node& after, const FieldDescriptor& field, const std::string& label) {
    if (key_field(*field.message_type()) == nullptr) return;  // told apart by position: nothing says which is which
    for (int i = 0; i < after.message().GetReflection()->FieldSize(after.message(), &field); ++i) {
      const std::string key = key_of(after.message(), field, i);
      const bool in_place = i < before.GetReflection()->FieldSize(before, &field) && key_of(before, field, i) == key;
      const int was = in_place ? i : index_of(before, field, key);
      if (was < 0) continue;
      entry(before.GetReflection()->GetRepeatedMessage(before, &field, was), after.child(field, i),
            join_label(label, field.name() + " " + join({key})));
    }
  }

  const Wrong& wrong_;
};

}  // namespace

void find_immutable_changes(const Message& before, const Node& after, const Wrong& wrong) {
  Search(wrong).entry(before, after, "");
}

void check_immutable(const Message& before, Document& document) {
  if (!document.ok()) return;
  find_immutable_changes(before, document.root(), [&](Location where, std::string what) {
    document.diagnostics.push_back({Severity::error, document.file, where, std::move(what)});
  });
  sort_by_place(document.diagnostics);
}

}  // namespace headgate::config
