#include "controlplane/config/edit.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <limits>
#include <memory>
#include <set>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/format.h"

namespace headgate::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

const EnumValueDescriptor* enumerator(const FieldDescriptor& field, const std::string& word) {
  for (int i = 0; i < field.enum_type()->value_count(); ++i) {
    if (lower(field.enum_type()->value(i)->name()) == lower(word)) return field.enum_type()->value(i);
  }
  return nullptr;
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string fields_of(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return listed(names);
}

template <class Number>
bool parse_number(const std::string& word, Number& out) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
  return error == std::errc{} && end == word.data() + word.size() && !word.empty();
}

std::string number_problem(const FieldDescriptor& field, const std::string& word) {
  const auto& options = field.options();
  const bool narrow = field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32;
  const std::uint64_t low = options.GetExtension(v1::range_min);
  const std::uint64_t high = options.HasExtension(v1::range_max) ? options.GetExtension(v1::range_max)
                             : narrow                            ? std::numeric_limits<std::uint32_t>::max()
                                                                 : std::numeric_limits<std::uint64_t>::max();
  std::uint64_t value = 0;
  if (parse_number(word, value) && value >= low && value <= high) return {};
  const std::string& unit = options.GetExtension(v1::unit);
  return field.name() + " is a number from " + std::to_string(low) + " to " + std::to_string(high) +
         (unit.empty() ? "" : " (" + unit + ")") + ", not " + join({word});
}

// Requires: value_problem() is empty.
void put(Message& message, const FieldDescriptor& field, const std::string& word) {
  const auto* r = message.GetReflection();
  const bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? r->AddString(&message, &field, word) : r->SetString(&message, &field, word);
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool value = word == "true";
      return many ? r->AddBool(&message, &field, value) : r->SetBool(&message, &field, value);
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const EnumValueDescriptor* value = enumerator(field, word);
      return many ? r->AddEnum(&message, &field, value) : r->SetEnum(&message, &field, value);
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      std::uint32_t value = 0;
      parse_number(word, value);
      return many ? r->AddUInt32(&message, &field, value) : r->SetUInt32(&message, &field, value);
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      std::uint64_t value = 0;
      parse_number(word, value);
      return many ? r->AddUInt64(&message, &field, value) : r->SetUInt64(&message, &field, value);
    }
    default:
      break;
  }
}

Message* entry_of(Message& parent, const FieldDescriptor& list, const std::string& key, bool make) {
  const auto* r = parent.GetReflection();
  const int index = index_of(parent, list, key);
  if (index >= 0) return r->MutableRepeatedMessage(&parent, &list, index);
  if (!make) return nullptr;
  const FieldDescriptor* name = key_field(*list.message_type());
  if (name == nullptr && key != std::to_string(r->FieldSize(parent, &list) + 1)) return nullptr;
  Message* entry = r->AddMessage(&parent, &list);
  if (name != nullptr) entry->GetReflection()->SetString(entry, name, key);
  return entry;
}

// The first part of a path that was not there and was made; everything made after it is inside of it.
struct Made {
  Message* parent = nullptr;
  const FieldDescriptor* field = nullptr;
  void note(Message& by, const FieldDescriptor& part) {
    if (parent == nullptr) *this = {&by, &part};
  }
  void undo() const {
    if (parent == nullptr) return;
    const auto* r = parent->GetReflection();
    field->is_repeated() ? r->RemoveLast(parent, field) : r->ClearField(parent, field);
  }
};

// Follows the words as far as they go. made: what is missing is made, and noted there; null: an error.
Result<Place> follow(Message& config, const Words& words, Made* made) {
  const bool make = made != nullptr;
  Place place;
  place.message = &config;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const FieldDescriptor* field = place.message->GetDescriptor()->FindFieldByName(words[i]);
    if (field == nullptr) {
      const std::string where =
          i == 0 ? "" : " in " + join(Words(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i)));
      return fail("there is no " + join({words[i]}) + where + "; possible are " +
                  fields_of(*place.message->GetDescriptor()));
    }
    place.field = field;
    place.index = -1;
    if (field->message_type() == nullptr) {
      if (i + 2 < words.size()) {
        const bool secret = field->options().GetExtension(v1::secret);
        return fail((secret ? kRedacted : join({words[i + 2]})) + " is one word too many after " + field->name());
      }
      return place;
    }
    const auto* r = place.message->GetReflection();
    if (!field->is_repeated()) {
      if (!r->HasField(*place.message, field)) {
        if (!make) return fail(field->name() + " is not set");
        made->note(*place.message, *field);
      }
      place.via = field;
      place.key.clear();
      place.message = r->MutableMessage(place.message, field);
      place.field = nullptr;
      continue;
    }
    if (++i == words.size()) return place;  // the whole list
    if (make) {
      const FieldDescriptor* key = key_field(*field->message_type());
      if (const std::string problem = key == nullptr ? "" : value_problem(*key, words[i]); !problem.empty())
        return fail(problem);
    }
    const int before = r->FieldSize(*place.message, field);
    Message* entry = entry_of(*place.message, *field, words[i], make);
    if (make && r->FieldSize(*place.message, field) != before) made->note(*place.message, *field);
    if (entry == nullptr) {
      const std::string counted = make ? "; entries of " + field->name() + " are counted from 1, the next is " +
                                             std::to_string(r->FieldSize(*place.message, field) + 1)
                                       : "";
      return fail("there is no " + field->name() + " " + join({words[i]}) + counted);
    }
    place.via = field;
    place.key = words[i];
    place.message = entry;
    place.field = nullptr;
  }
  return place;
}

void remove_at(Message& message, const FieldDescriptor& field, int index) {
  const auto* r = message.GetReflection();
  for (int i = index; i + 1 < r->FieldSize(message, &field); ++i) r->SwapElements(&message, &field, i, i + 1);
  r->RemoveLast(&message, &field);
}

int value_index(const Message& message, const FieldDescriptor& field, const std::string& word) {
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    if (value_word(message, field, i) == word) return i;
  }
  return -1;
}

unsigned follow_references(Message& message, const std::string& list, const std::string& from, const std::string& to) {
  unsigned changed = 0;
  const auto* r = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const int count = field->is_repeated() ? r->FieldSize(message, field) : r->HasField(message, field);
    for (int k = 0; k < count; ++k) {
      if (field->message_type() != nullptr) {
        Message* below =
            field->is_repeated() ? r->MutableRepeatedMessage(&message, field, k) : r->MutableMessage(&message, field);
        changed += follow_references(*below, list, from, to);
      } else if (field->options().GetExtension(v1::reference) == list &&
                 value_word(message, *field, field->is_repeated() ? k : -1) == from) {
        if (field->is_repeated()) {
          r->SetRepeatedString(&message, field, k, to);
        } else {
          r->SetString(&message, field, to);
        }
        ++changed;
      }
    }
  }
  return changed;
}

}  // namespace

namespace {

std::string problem_of(const FieldDescriptor& field, const std::string& word) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      const auto problem = format_problem(field.options().GetExtension(v1::format), word);
      if (problem) return problem->what + ": " + problem->action;
      const std::string& pattern = field.options().GetExtension(v1::pattern);
      if (pattern.empty() || Patterns().match(pattern, word)) return {};
      return field.name() + " is " + field.options().GetExtension(v1::help) + ", not " + join({word}) +
             "; it matches " + pattern;
    }
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return number_problem(field, word);
    case FieldDescriptor::CPPTYPE_BOOL:
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto values = fixed_values(field);
      if (std::find(values.begin(), values.end(), lower(word)) != values.end()) return {};
      return field.name() + " is one of " + listed(values) + ", not " + join({word});
    }
    default:
      return field.name() + " has a type that cannot be set here";
  }
}

// A value as errors may say it.
std::string said(const FieldDescriptor& field, const std::string& word) {
  return field.options().GetExtension(v1::secret) ? kRedacted : word;
}

}  // namespace

std::string value_problem(const FieldDescriptor& field, const std::string& word) {
  std::string problem = problem_of(field, word);
  if (problem.empty() || !field.options().GetExtension(v1::secret)) return problem;
  return field.name() + " cannot be what was written; it is " + field.options().GetExtension(v1::help);
}

std::vector<std::string> fixed_values(const FieldDescriptor& field) {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) return {"true", "false"};
  std::vector<std::string> values;
  if (field.enum_type() == nullptr) return values;
  for (int i = 0; i < field.enum_type()->value_count(); ++i)
    values.push_back(lower(field.enum_type()->value(i)->name()));
  return values;
}

std::string value_help(const FieldDescriptor& field, const std::string& word) {
  std::string help;
  if (field.enum_type() != nullptr) {
    const EnumValueDescriptor* value = enumerator(field, word);
    if (value != nullptr) help = value->options().GetExtension(v1::value_help);
  }
  const bool usual = lower(field.options().GetExtension(v1::default_text)) == word;
  return usual ? help + (help.empty() ? "" : "; ") + "default" : help;
}

std::vector<std::string> names_in(const Message& config, const std::string& list) {
  std::vector<std::string> names;
  const FieldDescriptor* field = config.GetDescriptor()->FindFieldByName(list);
  if (field == nullptr || !field->is_repeated() || field->message_type() == nullptr) return names;
  for (int i = 0; i < config.GetReflection()->FieldSize(config, field); ++i) names.push_back(key_of(config, *field, i));
  return names;
}

namespace {

Result<void> set_at(const Place& place, const Words& words) {
  if (place.field == nullptr) return {};
  const FieldDescriptor& field = *place.field;
  if (field.message_type() != nullptr) return fail("name the " + field.name() + " to set");
  if (words.back() == field.name() && (words.size() < 2 || words[words.size() - 2] != field.name()))
    return fail(field.name() + " needs a value: " + field.options().GetExtension(v1::help));
  const std::string problem = value_problem(field, words.back());
  if (!problem.empty()) return fail(problem);
  const std::string word = fixed_values(field).empty() ? words.back() : lower(words.back());
  if (!field.is_repeated() || value_index(*place.message, field, word) < 0) put(*place.message, field, word);
  return {};
}

}  // namespace

Result<void> set(Message& config, const Words& words) {
  if (words.empty()) return fail("set what? possible are " + fields_of(*config.GetDescriptor()));
  Made made;
  const auto place = follow(config, words, &made);
  Result<void> done = place ? set_at(*place, words) : fail(place.error().message);
  if (!done) made.undo();  // half a path must not stay behind when its end is wrong
  return done;
}

Result<void> remove(Message& config, const Words& words) {
  if (words.empty()) return fail("delete what? name it");
  const auto place = follow(config, words, nullptr);
  if (!place) return fail(place.error().message);
  if (place->field == nullptr) {  // an entry, or a block
    const auto parent = follow(config, Words(words.begin(), words.end() - (place->key.empty() ? 1 : 2)), nullptr);
    if (!parent) return fail(parent.error().message);
    if (place->key.empty()) {
      parent->message->GetReflection()->ClearField(parent->message, place->via);
    } else {
      remove_at(*parent->message, *place->via, index_of(*parent->message, *place->via, place->key));
    }
    return {};
  }
  const FieldDescriptor& field = *place->field;
  const auto* r = place->message->GetReflection();
  const bool value_named = field.message_type() == nullptr && words.back() != field.name();
  if (!field.is_repeated() ? !r->HasField(*place->message, &field) : r->FieldSize(*place->message, &field) == 0)
    return fail(field.name() + " is not set");
  if (!value_named) {
    r->ClearField(place->message, &field);
  } else if (!field.is_repeated()) {
    if (value_word(*place->message, field, -1) != words.back())
      return fail(field.name() + " is " + said(field, value_word(*place->message, field, -1)));
    r->ClearField(place->message, &field);
  } else {
    const int index = value_index(*place->message, field, words.back());
    if (index < 0) return fail("there is no " + field.name() + " " + join({said(field, words.back())}));
    remove_at(*place->message, field, index);
  }
  return {};
}

Result<std::string> change_commands(const Message& before, const Message& after) {
  const std::vector<Words> old_lines = flatten(before), new_lines = flatten(after);
  const std::set<Words> was(old_lines.begin(), old_lines.end()), is(new_lines.begin(), new_lines.end());
  const auto in_after = [&is](const Words& path) {
    const auto next = is.lower_bound(path);
    return next != is.end() && next->size() >= path.size() && std::equal(path.begin(), path.end(), next->begin());
  };
  const std::unique_ptr<Message> copy(before.New());
  copy->CopyFrom(before);
  std::string commands;
  // Of what is gone the largest part: an entry, not each of its values. What only changed is set below.
  for (const Words& line : old_lines) {
    if (is.contains(line)) continue;
    const auto place = follow(*copy, line, nullptr);
    const bool one_value = place && place->field != nullptr && !place->field->is_repeated();
    if (one_value && in_after(Words(line.begin(), line.end() - 1))) continue;
    for (std::size_t size = 1; size <= line.size(); ++size) {
      const Words path(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(size));
      if (in_after(path)) continue;
      const auto part = follow(*copy, path, nullptr);
      const bool whole_list = part && part->field != nullptr && part->field->message_type() != nullptr;
      if (whole_list || !remove(*copy, path)) continue;  // others may have added to it
      commands += "delete " + join(path) + "\n";
      break;
    }
  }
  for (const Words& line : new_lines) {
    if (was.contains(line)) continue;
    if (const auto done = set(*copy, line); !done) return fail("set " + join(line) + ": " + done.error().message);
    commands += "set " + join(line) + "\n";
  }
  if (!compare(*copy, after).empty())
    return fail("these changes cannot be said as commands; save FILE keeps all of it");
  return commands;
}

Result<unsigned> rename(Message& config, const Words& words, const std::string& name) {
  const auto place = follow(config, words, nullptr);
  if (!place) return fail(place.error().message);
  const FieldDescriptor* key =
      place->field == nullptr && !place->key.empty() ? key_field(*place->message->GetDescriptor()) : nullptr;
  if (key == nullptr) return fail(join(words) + " has no name to change");
  if (const std::string problem = value_problem(*key, name); !problem.empty()) return fail(problem);
  const auto parent = follow(config, Words(words.begin(), words.end() - 2), nullptr);
  if (!parent) return fail(parent.error().message);
  if (index_of(*parent->message, *place->via, name) >= 0)
    return fail("there is a " + place->via->name() + " " + name + " already");
  place->message->GetReflection()->SetString(place->message, key, name);
  return words.size() == 2 ? follow_references(config, place->via->name(), place->key, name) : 0u;
}

}  // namespace headgate::config
