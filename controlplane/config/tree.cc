#include "controlplane/config/tree.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <string_view>
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

// Calls `line(path)` for each line of a configuration. A path takes words with push_back() and pop_back(), like Words.
template <class Path, class Line>
class Flattener {
 public:
  Flattener(Secrets secrets, Path path, Line line)
      : secrets_(secrets), line_(std::move(line)), path_(std::move(path)) {}

  void message(const Message& message, const FieldDescriptor* key) {
    const auto* reflection = message.GetReflection();
    const std::size_t before = lines_;
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message.GetDescriptor()->field(i);
      const int count =
          field->is_repeated() ? reflection->FieldSize(message, field) : reflection->HasField(message, field);
      if (field == key || count == 0) continue;
      push(field->name());
      if (field->message_type() != nullptr) {
        children(message, *field, count);
      } else {
        values(message, *field, count);
      }
      pop();
    }
    if (lines_ == before && depth_ != 0) say();
  }

 private:
  void children(const Message& parent, const FieldDescriptor& field, int count) {
    const auto* reflection = parent.GetReflection();
    if (!field.is_repeated()) return message(reflection->GetMessage(parent, &field), nullptr);
    const FieldDescriptor* key = key_field(*field.message_type());
    for (int i = 0; i < count; ++i) {
      push(key_of(parent, field, key, i));
      message(reflection->GetRepeatedMessage(parent, &field, i), key);
      pop();
    }
  }
  void values(const Message& parent, const FieldDescriptor& field, int count) {
    const bool hidden = secrets_ == Secrets::redacted && field.options().GetExtension(v1::secret);
    for (int i = 0; i < count; ++i) {
      push(hidden ? kRedacted : value_word(parent, field, field.is_repeated() ? i : -1));
      say();
      pop();
    }
  }
  void push(const std::string& word) {
    path_.push_back(word);
    ++depth_;
  }
  void pop() {
    path_.pop_back();
    --depth_;
  }
  void say() {
    ++lines_;
    line_(std::as_const(path_));
  }

  const Secrets secrets_;
  Line line_;
  Path path_;
  std::size_t depth_ = 0, lines_ = 0;
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
  Flattener(secrets, Words(), [&](const Words& words) { lines.push_back(words); }).message(message, nullptr);
  return lines;
}

namespace {

bool is_plain(const std::string& word) {
  static constexpr auto kQuoted = [] {
    std::array<bool, 256> quoted{};
    for (const char c : std::string_view(" \t\n\"'\\|#?;")) quoted[static_cast<unsigned char>(c)] = true;
    return quoted;
  }();
  return !word.empty() &&
         std::none_of(word.begin(), word.end(), [](char c) { return kQuoted[static_cast<unsigned char>(c)]; });
}

void append(const std::string& word, std::string& line) {
  if (!line.empty()) line += ' ';
  if (is_plain(word)) {
    line += word;
    return;
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

// A path as a command has it, quoted once however many lines begin with it.
struct CommandPath {
  std::string text;
  std::vector<std::size_t> ends{};  // of `text` before each word

  void push_back(const std::string& word) {
    ends.push_back(text.size());
    append(word, text);
  }
  void pop_back() {
    text.resize(ends.back());
    ends.pop_back();
  }
};

}  // namespace

std::string join(const Words& words) {
  std::string line;
  for (const std::string& word : words) append(word, line);
  return line;
}

std::string set_commands(const Message& config, Secrets secrets) {
  std::string text;
  Flattener(secrets, CommandPath{"set"}, [&](const CommandPath& path) {
    text += path.text;
    text += '\n';
  }).message(config, nullptr);
  return text;
}

namespace {

const Words* key_of_line(const Words& line) {
  return &line;
}
const Words* key_of_line(const std::pair<const Words, std::size_t>& line) {
  return &line.first;
}

}  // namespace

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
  // "pool web" alone stands for an entry with nothing in it. Where the other side has the entry with more, nothing
  // appeared or went.
  const auto has_more = [](const auto& lines, const Words& words) {
    const auto next = lines.upper_bound(words);
    if (next == lines.end()) return false;
    const Words& longer = *key_of_line(*next);
    return longer.size() > words.size() && std::equal(words.begin(), words.end(), longer.begin());
  };
  const auto say = [&](char sign, Words words) {
    if (sign == '+' ? has_more(was, words) : has_more(is, words)) return;
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
