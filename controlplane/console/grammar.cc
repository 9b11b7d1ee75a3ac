#include "controlplane/console/grammar.h"

#include <google/protobuf/descriptor.h>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/edit.h"

namespace headgate::console {
namespace {

namespace v1 = config::v1;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool present(const Message& message, const FieldDescriptor& field) {
  const auto* r = message.GetReflection();
  return field.is_repeated() ? r->FieldSize(message, &field) > 0 : r->HasField(message, &field);
}

std::string help_of(const FieldDescriptor& field) {
  std::string help = field.options().GetExtension(v1::help);
  if (field.options().GetExtension(v1::required)) help += " (required)";
  if (const std::string& advice = field.options().GetExtension(v1::deprecated); !advice.empty())
    help += " (deprecated: " + advice + ")";
  return help;
}

// The block that the words have reached; null below what does not exist yet (its fields can still be told).
struct Walk {
  const Message* config;
  const Message* block;
  const google::protobuf::Descriptor* type;
};

const Message* nested(const Message* block, const FieldDescriptor& field, const std::string& key) {
  if (block == nullptr) return nullptr;
  const auto* r = block->GetReflection();
  if (!field.is_repeated()) return r->HasField(*block, &field) ? &r->GetMessage(*block, &field) : nullptr;
  const int index = config::index_of(*block, field, key);
  return index < 0 ? nullptr : &r->GetRepeatedMessage(*block, &field, index);
}

void add_fields(const Walk& walk, Use use, std::vector<Choice>& out) {
  const FieldDescriptor* key = config::key_field(*walk.type);
  for (int i = 0; i < walk.type->field_count(); ++i) {
    const FieldDescriptor* field = walk.type->field(i);
    if (field == key && walk.type != walk.config->GetDescriptor()) continue;  // said already
    if (use == Use::existing && (walk.block == nullptr || !present(*walk.block, *field))) continue;
    out.push_back({field->name(), help_of(*field)});
  }
}

void add_keys(const Walk& walk, const FieldDescriptor& list, Use use, std::vector<Choice>& out) {
  const FieldDescriptor* key = config::key_field(*list.message_type());
  const int count = walk.block == nullptr ? 0 : walk.block->GetReflection()->FieldSize(*walk.block, &list);
  for (int i = 0; i < count; ++i) {
    const Message& entry = walk.block->GetReflection()->GetRepeatedMessage(*walk.block, &list, i);
    std::string said;
    if (const FieldDescriptor* comment = entry.GetDescriptor()->FindFieldByName("comment");
        comment != nullptr && comment->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !comment->is_repeated()) {
      said = entry.GetReflection()->GetString(entry, comment);
      said = said.substr(0, said.find('\n'));
    }
    out.push_back({config::key_of(*walk.block, list, i), said});
  }
  if (use == Use::existing) return;
  if (key != nullptr) {
    out.push_back({"<" + key->name() + ">", "a new " + list.name() + ": " + key->options().GetExtension(v1::help)});
  } else {
    out.push_back({std::to_string(count + 1), "the next " + list.name()});
  }
}

void add_values(const Walk& walk, const FieldDescriptor& field, Use use, std::vector<Choice>& out) {
  if (use == Use::existing) {
    const int count = walk.block == nullptr ? 0
                      : field.is_repeated() ? walk.block->GetReflection()->FieldSize(*walk.block, &field)
                                            : 0;
    for (int i = 0; i < count; ++i) out.push_back({config::value_word(*walk.block, field, i), {}});
    return;
  }
  for (const std::string& word : config::fixed_values(field)) out.push_back({word, config::value_help(field, word)});
  const std::string& list = field.options().GetExtension(v1::reference);
  if (!list.empty()) {
    for (const std::string& name : config::names_in(*walk.config, list)) out.push_back({name, list});
  }
  if (out.empty()) out.push_back({"<" + field.name() + ">", describe_value(field)});
}

}  // namespace

void keep_begun(Choices& choices, const std::string& begun) {
  std::erase_if(choices.next,
                [&](const Choice& choice) { return choice.is_word() && !choice.word.starts_with(begun); });
}

std::string describe_value(const FieldDescriptor& field) {
  const auto& options = field.options();
  std::string text = options.GetExtension(v1::help);
  const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
  if (options.HasExtension(v1::range_max)) {
    const std::string& unit = options.GetExtension(v1::unit);
    add(std::to_string(options.GetExtension(v1::range_min)) + " to " +
        std::to_string(options.GetExtension(v1::range_max)) + (unit.empty() ? "" : " " + unit));
  }
  if (options.GetExtension(v1::format) == v1::FORMAT_ADDRESS) add("an IPv4 or IPv6 address");
  if (options.GetExtension(v1::format) == v1::FORMAT_PREFIX) add("ADDRESS/LENGTH");
  if (options.HasExtension(v1::pattern)) add("matches " + options.GetExtension(v1::pattern));
  if (options.HasExtension(v1::default_text)) add("default " + options.GetExtension(v1::default_text));
  return text;
}

Choices choices(const Message& config, const Words& words, Use use) {
  Walk walk{&config, &config, config.GetDescriptor()};
  Choices out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const FieldDescriptor* field = walk.type->FindFieldByName(words[i]);
    if (field == nullptr) return {};
    const bool last = i + 1 == words.size();
    if (field->message_type() == nullptr) {
      if (last) {
        add_values(walk, *field, use, out.next);
        out.end = use == Use::existing;
        return out;
      }
      out.end = i + 2 == words.size();
      return out;
    }
    if (field->is_repeated()) {
      if (last) {
        add_keys(walk, *field, use, out.next);
        out.end = use == Use::existing;
        return out;
      }
      walk.block = nested(walk.block, *field, words[++i]);
    } else {
      walk.block = nested(walk.block, *field, {});
    }
    if (use == Use::existing && walk.block == nullptr) return {};
    walk.type = field->message_type();
  }
  add_fields(walk, use, out.next);
  out.end = !words.empty();
  return out;
}

}  // namespace headgate::console
