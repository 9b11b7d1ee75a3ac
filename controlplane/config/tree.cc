#include "controlplane/config/tree.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "controlplane/api/options.pb.h"

namespace headgate::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string key_of(const Message& parent, const FieldDescriptor& list, const FieldDescriptor* key, int index) {
  if (key != nullptr) {
    const Message& entry = parent.GetReflection()->GetRepeatedMessage(parent, &list, index);
    std::string text = entry.GetReflection()->GetString(entry, key);
    if (!text.empty()) return text;
  }
  return std::to_string(index + 1);
}

// Calls `line(words)` for each line of a configuration.
template <class Line>
class Flattener {
 public:
  Flattener(Secrets secrets, Line line) : secrets_(secrets), line_(std::move(line)) {}

  void message(const Message& message, const FieldDescriptor* key) {
    const auto* reflection = message.GetReflection();
    const std::size_t before = lines_;
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message.GetDescriptor()->field(i);
      const int count =
          field->is_repeated() ? reflection->FieldSize(message, field) : reflection->HasField(message, field);
      if (field == key || count == 0) continue;
      path_.push_back(field->name());
      if (field->message_type() != nullptr) {
        children(message, *field, count);
      } else {
        values(message, *field, count);
      }
      path_.pop_back();
    }
    if (lines_ == before && !path_.empty()) say();
  }

 private:
  void children(const Message& parent, const FieldDescriptor& field, int count) {
    const auto* reflection = parent.GetReflection();
    if (!field.is_repeated()) return message(reflection->GetMessage(parent, &field), nullptr);
    const FieldDescriptor* key = key_field(*field.message_type());
    for (int i = 0; i < count; ++i) {
      path_.push_back(key_of(parent, field, key, i));
      message(reflection->GetRepeatedMessage(parent, &field, i), key);
      path_.pop_back();
    }
  }
  void values(const Message& parent, const FieldDescriptor& field, int count) {
    const bool hidden = secrets_ == Secrets::redacted && field.options().GetExtension(v1::secret);
    for (int i = 0; i < count; ++i) {
      path_.push_back(hidden ? kRedacted : value_word(parent, field, field.is_repeated() ? i : -1));
      say();
      path_.pop_back();
    }
  }
  void say() {
    ++lines_;
    line_(std::as_const(path_));
  }

  const Secrets secrets_;
  Line line_;
  Words path_;
  std::size_t lines_ = 0;
};

// All words but the value: lines with equal ones are about the same thing.
Words subject(const Words& words) {
  return {words.begin(), words.end() - (words.empty() ? 0 : 1)};
}

}  // namespace

bool is_secret(const Descriptor* type, const Words& words) {
  bool key_next = false;
  const FieldDescriptor* field = nullptr;
  for (const std::string& word : words) {
    if (key_next) {
      key_next = false;
      continue;
    }
    if (type == nullptr) break;
    field = type->FindFieldByName(word);
    if (field == nullptr) return false;
    type = field->message_type();
    key_next = type != nullptr && field->is_repeated();
  }
  return field != nullptr && field->message_type() == nullptr && field->options().GetExtension(v1::secret);
}

const FieldDescriptor* key_field(const Descriptor& entry) {
  const auto is_text = [](const FieldDescriptor* field) {
    return field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field->is_repeated();
  };
  if (const FieldDescriptor* name = entry.FindFieldByName("name"); is_text(name)) return name;
  for (int i = 0; i < entry.field_count(); ++i) {
    if (is_text(entry.field(i)) && entry.field(i)->options().GetExtension(v1::required)) return entry.field(i);
  }
  return nullptr;
}

std::string key_of(const Message& parent, const FieldDescriptor& list, int index) {
  return key_of(parent, list, key_field(*list.message_type()), index);
}

int index_of(const Message& parent, const FieldDescriptor& list, const std::string& key) {
  const int count = parent.GetReflection()->FieldSize(parent, &list);
  const FieldDescriptor* named_by = key_field(*list.message_type());
  for (int i = 0; i < count; ++i) {
    if (key_of(parent, list, named_by, i) == key) return i;
  }
  return -1;
}

std::string value_word(const Message& message, const FieldDescriptor& field, int index) {
  const auto* r = message.GetReflection();
  const bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? r->GetRepeatedString(message, &field, index) : r->GetString(message, &field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return (many ? r->GetRepeatedBool(message, &field, index) : r->GetBool(message, &field)) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return lower((many ? r->GetRepeatedEnum(message, &field, index) : r->GetEnum(message, &field))->name());
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(many ? r->GetRepeatedUInt32(message, &field, index) : r->GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(many ? r->GetRepeatedUInt64(message, &field, index) : r->GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(many ? r->GetRepeatedInt32(message, &field, index) : r->GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(many ? r->GetRepeatedInt64(message, &field, index) : r->GetInt64(message, &field));
    default:
      return "?";  // the schema has no fractions
  }
}

std::vector<Words> flatten(const Message& message, Secrets secrets) {
  std::vector<Words> lines;
  Flattener(secrets, [&](const Words& words) { lines.push_back(words); }).message(message, nullptr);
  return lines;
}

namespace {

// Behind what `line` holds already.
void append(const Words& words, std::string& line) {
  for (const std::string& word : words) {
    if (!line.empty() && line.back() != '\n') line += ' ';
    const bool plain = !word.empty() && word.find_first_of(" \t\n\"'\\|#?;") == std::string::npos;
    if (plain) {
      line += word;
      continue;
    }
    line += '"';
    for (const char c : word) {
      if (c == '"' || c == '\\') line += '\\';
      if (c == '\n') {
        line += "\\n";
      } else {
        line += c;
      }
    }
    line += '"';
  }
}

}  // namespace

std::string join(const Words& words) {
  std::string line;
  append(words, line);
  return line;
}

std::string set_commands(const Message& config, Secrets secrets) {
  std::string text;
  Flattener(secrets, [&](const Words& words) {
    text += "set";
    append(words, text);
    text += '\n';
  }).message(config, nullptr);
  return text;
}

std::string compare(const Message& before, const Message& after) {
  const std::vector<Words> old_lines = flatten(before), new_lines = flatten(after);
  const std::set<Words> is(new_lines.begin(), new_lines.end());
  std::map<Words, std::size_t> was;                      // line -> where it stood
  std::map<Words, std::vector<std::size_t>> by_subject;  // of lines that are gone
  for (std::size_t i = 0; i < old_lines.size(); ++i) {
    was.emplace(old_lines[i], i);
    if (!is.contains(old_lines[i])) by_subject[subject(old_lines[i])].push_back(i);
  }
  std::string text;
  const auto say = [&](char sign, Words words) {
    if (is_secret(before.GetDescriptor(), words)) words.back() = kRedacted;
    text += std::string(1, sign) + " " + join(words) + "\n";
  };
  std::vector<bool> said(old_lines.size(), false);
  const auto say_removed = [&](std::size_t i) {
    if (!said[i] && !is.contains(old_lines[i])) say('-', old_lines[i]);
    said[i] = true;
  };
  // In the order of the new one. What only the old one has stands before a new line about the same thing, else where it
  // stood: before the next line that both have.
  std::size_t passed = 0;
  for (const Words& words : new_lines) {
    if (const auto same = was.find(words); same != was.end()) {
      for (; passed < same->second; ++passed) say_removed(passed);
      continue;
    }
    if (const auto gone = by_subject.find(subject(words)); gone != by_subject.end()) {
      for (const std::size_t i : gone->second) say_removed(i);
    }
    say('+', words);
  }
  for (; passed < old_lines.size(); ++passed) say_removed(passed);
  return text;
}

}  // namespace headgate::config
