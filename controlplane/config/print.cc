#include "controlplane/config/print.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>

#include <map>
#include <sstream>

#include "controlplane/api/options.pb.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const FieldDescriptor* comment_field(const Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName("comment");
  const bool text = field != nullptr && !field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  return text ? field : nullptr;
}

// Can stand in `#` lines and be read back.
bool printable(const std::string& text) {
  for (const char c : text) {
    if (c != '\n' && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)) return false;
  }
  return !text.empty();
}

class Printer {
 public:
  explicit Printer(Secrets secrets) : secrets_(secrets) { values_.SetUseUtf8StringEscaping(true); }

  void fields(const Message& message, const std::string& indent) {
    const auto* reflection = message.GetReflection();
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = message.GetDescriptor()->field(i);
      const int count =
          field->is_repeated() ? reflection->FieldSize(message, field) : reflection->HasField(message, field);
      for (int k = 0; k < count; ++k) {
        const int index = field->is_repeated() ? k : -1;
        if (field->message_type() != nullptr) {
          entry(index < 0 ? reflection->GetMessage(message, field) : reflection->GetRepeatedMessage(message, field, k),
                field->name(), indent);
        } else if (field != said_above_) {
          value(message, *field, index, indent);
        }
      }
    }
  }
  std::string take() { return std::move(text_); }

 private:
  void entry(const Message& message, const std::string& name, const std::string& indent) {
    if (indent.empty() && !text_.empty()) text_ += '\n';
    const FieldDescriptor* comment = comment_field(message);
    const FieldDescriptor* above = nullptr;
    if (comment != nullptr && message.GetReflection()->HasField(message, comment)) {
      const std::string said = message.GetReflection()->GetString(message, comment);
      if (printable(said)) {
        lines(said, indent);
        above = comment;
      } else if (said.empty()) {
        above = comment;  // says nothing
      }
    }
    text_ += indent + name + " {\n";
    const FieldDescriptor* outer = std::exchange(said_above_, above);
    fields(message, indent + "  ");
    said_above_ = outer;
    text_ += indent + "}\n";
  }
  void lines(const std::string& said, const std::string& indent) {
    std::size_t from = 0;
    for (;;) {
      const std::size_t end = said.find('\n', from);
      const std::string line = said.substr(from, end - from);
      text_ += indent + (line.empty() ? "#" : "# " + line) + "\n";
      if (end == std::string::npos) return;
      from = end + 1;
    }
  }
  void value(const Message& message, const FieldDescriptor& field, int index, const std::string& indent) {
    std::string word;
    if (secrets_ == Secrets::redacted && field.options().GetExtension(v1::secret)) {
      word = "\"" + std::string(kRedacted) + "\"";
    } else {
      values_.PrintFieldValueToString(message, &field, index, &word);
    }
    text_ += indent + field.name() + ": " + word + "\n";
  }

  const Secrets secrets_;
  google::protobuf::TextFormat::Printer values_;
  std::string text_;
  const FieldDescriptor* said_above_ = nullptr;  // the comment field of the message in hand, when printed above it
};

using Entries = std::map<int, Message*>;  // entries that can have a comment, by the line they begin in

void collect(const Node& node, Message& message, Entries& entries) {
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (field->message_type() == nullptr) continue;
    const int count =
        field->is_repeated() ? reflection->FieldSize(message, field) : reflection->HasField(message, field);
    for (int k = 0; k < count; ++k) {
      const Node child = node.child(*field, field->is_repeated() ? k : -1);
      Message* below = field->is_repeated() ? reflection->MutableRepeatedMessage(&message, field, k)
                                            : reflection->MutableMessage(&message, field);
      if (comment_field(*below) != nullptr) entries.emplace(child.location().line, below);
      collect(child, *below, entries);
    }
  }
}

// Where a comment begins in a line, outside of quotes; npos: none.
std::size_t comment_start(const std::string& line) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == '\\') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#') {
      return i;
    }
  }
  return std::string::npos;
}

}  // namespace

std::string print(const Message& config, Secrets secrets) {
  Printer printer(secrets);
  printer.fields(config, "");
  return printer.take();
}

std::vector<Location> attach_comments(Message& root, const Node::Tree& tree, const std::string& text) {
  Entries entries;
  collect(Node(root, &tree, Location{1, 1}), root, entries);
  std::vector<Location> lost;
  std::string said;
  Location first;  // of the block of comments in hand; line 0: none
  const auto end_block = [&](int next_line) {
    if (first.line == 0) return;
    const auto entry = entries.find(next_line);
    const FieldDescriptor* field = entry == entries.end() ? nullptr : comment_field(*entry->second);
    if (field == nullptr || entry->second->GetReflection()->HasField(*entry->second, field)) {
      lost.push_back(first);
    } else {
      entry->second->GetReflection()->SetString(entry->second, field, said);
    }
    first = Location{};
  };
  std::istringstream stream(text);
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const std::size_t start = line.find_first_not_of(" \t");
    if (start != std::string::npos && line[start] == '#') {
      std::string words = line.substr(start + 1);
      if (!words.empty() && words[0] == ' ') words.erase(0, 1);
      said = first.line == 0 ? words : said + "\n" + words;
      if (first.line == 0) first = {number, static_cast<int>(start) + 1};
      continue;
    }
    end_block(number);
    if (const std::size_t trailing = comment_start(line); trailing != std::string::npos)
      lost.push_back({number, static_cast<int>(trailing) + 1});
  }
  end_block(0);
  return lost;
}

void attach_comments(Document& document, const std::string& text) {
  if (!document.readable) return;
  for (const Location where : attach_comments(document.config, *document.tree, text)) {
    document.diagnostics.push_back(
        {Severity::warning, document.file, where,
         "this comment is not kept; put it on lines of its own directly above an entry that has a name"});
  }
}

}  // namespace headgate::config
