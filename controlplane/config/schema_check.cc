#include <google/protobuf/descriptor.h>

#include "controlplane/config/checks.h"
#include "controlplane/config/format.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::FieldOptions;
using google::protobuf::Message;

using Names = std::map<std::string, std::set<std::string>>;  // top-level list -> names in it

std::string name_of(const Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName("name");
  if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return {};
  return message.GetReflection()->GetString(message, field);
}

// "backend "web1"" when it has a name, else "backend".
std::string label_of(const std::string& kind, const Message& message) {
  const std::string name = name_of(message);
  return name.empty() ? kind : kind + " " + quoted(name);
}

Names collect_names(const Message& config) {
  Names names;
  const auto* reflection = config.GetReflection();
  for (int i = 0; i < config.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = config.GetDescriptor()->field(i);
    if (!field->is_repeated() || field->message_type() == nullptr) continue;
    for (int k = 0; k < reflection->FieldSize(config, field); ++k) {
      names[field->name()].insert(name_of(reflection->GetRepeatedMessage(config, field, k)));
    }
  }
  return names;
}

class SchemaCheck {
 public:
  SchemaCheck(const Message& config, Report& report) : names_(collect_names(config)), report_(report) {}

  void check(const Node& node, const std::string& kind) {
    const Message& message = node.message();
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message.GetDescriptor()->field(i);
      check_presence(node, kind, *field);
      check_age(node, *field);
      if (field->message_type() != nullptr) {
        check_children(node, *field);
      } else {
        check_values(node, *field);
      }
    }
  }

 private:
  static int count_of(const Message& message, const FieldDescriptor& field) {
    const auto* reflection = message.GetReflection();
    if (field.is_repeated()) return reflection->FieldSize(message, &field);
    return reflection->HasField(message, &field) ? 1 : 0;
  }

  void check_presence(const Node& node, const std::string& kind, const FieldDescriptor& field) {
    const FieldOptions& options = field.options();
    if (!options.GetExtension(v1::required) || count_of(node.message(), field) > 0) return;
    if (report_.is_unreadable(node.location(), field.name())) return;
    report_.error(node.location(), label_of(kind, node.message()) + " has no " + field.name(),
                  "add " + field.name() + " (" + options.GetExtension(v1::help) + ")");
  }

  void check_age(const Node& node, const FieldDescriptor& field) {
    const std::string& advice = field.options().GetExtension(v1::deprecated);
    if (advice.empty() || count_of(node.message(), field) == 0) return;
    report_.warn(node.location_of(field, field.is_repeated() ? 0 : -1), field.name() + " is deprecated", advice);
  }

  void check_children(const Node& node, const FieldDescriptor& field) {
    std::set<std::string> seen;
    for (int i = 0; i < count_of(node.message(), field); ++i) {
      const Node child = node.child(field, field.is_repeated() ? i : -1);
      const std::string name = name_of(child.message());
      if (field.is_repeated() && !name.empty() && !seen.insert(name).second) {
        report_.error(child.location(), "a second " + field.name() + " is named " + quoted(name),
                      "choose another name");
      }
      check(child, field.name());
    }
  }

  void check_values(const Node& node, const FieldDescriptor& field) {
    const Message& message = node.message();
    const auto* reflection = message.GetReflection();
    for (int i = 0; i < count_of(message, field); ++i) {
      const Location where = node.location_of(field, field.is_repeated() ? i : -1);
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
        check_range(where, field, reflection->GetUInt32(message, &field));  // no repeated numbers in this schema
      } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        check_text(where, field,
                   field.is_repeated() ? reflection->GetRepeatedString(message, &field, i)
                                       : reflection->GetString(message, &field));
      } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
        check_enum(where, field, reflection->GetEnumValue(message, &field));  // nor repeated enumerations
      }
    }
  }

  // Words are known to the parser; numbers are taken as they are written.
  void check_enum(Location where, const FieldDescriptor& field, int value) {
    if (field.enum_type()->FindValueByNumber(value) != nullptr) return;
    std::string names;
    for (int i = 0; i < field.enum_type()->value_count(); ++i)
      names += (i == 0 ? "" : ", ") + field.enum_type()->value(i)->name();
    report_.error(where, field.name() + " is " + std::to_string(value), "possible are " + names);
  }

  void check_range(Location where, const FieldDescriptor& field, std::uint64_t value) {
    const FieldOptions& options = field.options();
    const std::uint64_t low = options.GetExtension(v1::range_min);
    const std::uint64_t high = options.HasExtension(v1::range_max) ? options.GetExtension(v1::range_max) : UINT32_MAX;
    if (value >= low && value <= high) return;
    const std::string& unit = options.GetExtension(v1::unit);
    report_.error(where, field.name() + " is " + std::to_string(value),
                  "use " + std::to_string(low) + " to " + std::to_string(high) + (unit.empty() ? "" : " " + unit));
  }

  void check_text(Location where, const FieldDescriptor& field, const std::string& value) {
    const FieldOptions& options = field.options();
    const std::string& list = options.GetExtension(v1::reference);
    if (!list.empty() && (value.empty() || !names_[list].contains(value))) {
      report_.error(where, "there is no " + list + " " + quoted(value),
                    "name an existing " + list + " or add this one");
    }
    if (const auto problem = format_problem(options.GetExtension(v1::format), value))
      report_.error(where, problem->what, problem->action);
    const std::string& pattern = options.GetExtension(v1::pattern);
    if (!pattern.empty() && !patterns_.match(pattern, value)) {
      const bool secret = options.GetExtension(v1::secret);
      report_.error(where, field.name() + (secret ? " is not what it must be" : " is " + quoted(value)),
                    "write " + options.GetExtension(v1::help) + "; it matches " + pattern);
    }
  }

  Names names_;
  Patterns patterns_;
  Report& report_;
};

}  // namespace

void check_schema(const Node& root, Report& report) {
  SchemaCheck(root.message(), report).check(root, "configuration");
}

}  // namespace headgate::config
