#include "controlplane/config/document.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>

#include <algorithm>
#include <string_view>

namespace headgate::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const std::size_t start = text.find(before);
  if (start == std::string_view::npos) return {};
  const std::size_t from = start + before.size();
  const std::size_t end = text.find(after, from);
  return end == std::string_view::npos ? std::string_view{} : text.substr(from, end - from);
}

std::string fields_of(const Descriptor& message) {
  std::string names;
  for (int i = 0; i < message.field_count(); ++i) names += (i == 0 ? "" : ", ") + message.field(i)->name();
  return names;
}

std::string values_of(const EnumDescriptor& type) {
  std::string names;
  for (int i = 0; i < type.value_count(); ++i) names += (i == 0 ? "" : ", ") + type.value(i)->name();
  return names;
}

// The enumeration of the first field of that name, searched in all messages of the schema.
const EnumDescriptor* enum_of_field(const std::string& name) {
  const auto* file = v1::Config::descriptor()->file();
  for (int i = 0; i < file->message_type_count(); ++i) {
    const FieldDescriptor* field = file->message_type(i)->FindFieldByName(name);
    if (field != nullptr && field->enum_type() != nullptr) return field->enum_type();
  }
  return nullptr;
}

// Protobuf's sentences, turned into ours where they would leave an operator alone.
std::string explain(const std::string& message) {
  const std::string_view unknown = between(message, "has no field named \"", "\"");
  if (!unknown.empty()) {
    const std::string type(between(message, "Message type \"", "\""));
    const Descriptor* descriptor = v1::Config::descriptor()->file()->pool()->FindMessageTypeByName(type);
    if (descriptor == nullptr) return message;
    const std::string place = descriptor == v1::Config::descriptor() ? "at the top level" : "in this block";
    return "unknown field \"" + std::string(unknown) + "\" " + place + "; possible are " + fields_of(*descriptor);
  }
  const std::string value(between(message, "Unknown enumeration value of \"", "\""));
  const std::string field(between(message, "for field \"", "\""));
  if (const EnumDescriptor* type = value.empty() ? nullptr : enum_of_field(field)) {
    return "unknown value " + value + " of " + field + "; possible are " + values_of(*type);
  }
  return "syntax error: " + message;
}

// Protobuf reports an unknown name at the token after it, which may be lines below. The place of the name itself is
// what the operator looks for.
Location place_of_name(std::string_view text, int line, int column, std::string_view name) {
  std::size_t start = 0;
  for (int i = 0; i < line; ++i) start = text.find('\n', start) + 1;
  const std::size_t found =
      name.empty() ? std::string::npos : text.rfind(name, start + static_cast<std::size_t>(column));
  if (found == std::string::npos) return {line + 1, column + 1};
  const std::string_view before = text.substr(0, found);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 = 0
  return {static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<int>(found - line_start) + 1};
}

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  FirstError(Document& document, const std::string& text) : document_(document), text_(text) {}
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (!document_.diagnostics.empty()) return;
    std::string_view name = between(message, "has no field named \"", "\"");
    if (name.empty()) name = between(message, "Unknown enumeration value of \"", "\"");
    const Location location = line < 0 ? Location{} : place_of_name(text_, line, column, name);
    document_.diagnostics.push_back({Severity::error, document_.file, location, explain(message)});
  }

 private:
  Document& document_;
  const std::string& text_;
};

}  // namespace

const FieldDescriptor& Node::field_named(const char* field) const {
  return *message_->GetDescriptor()->FindFieldByName(field);
}

Location Node::location_of(const FieldDescriptor& field, int index) const {
  if (tree_ == nullptr) return location_;
  const int count = field.is_repeated() ? index : -1;
  // `address: ["a", "b"]` is recorded once, for its first value.
  for (int i = count; i >= (field.is_repeated() ? 0 : -1); --i) {
    const auto place = tree_->GetLocation(&field, i);
    if (place.line >= 0) return {place.line + 1, place.column + 1};
  }
  return location_;
}

Location Node::location_of(const char* field, int index) const {
  return location_of(field_named(field), index);
}

Node Node::child(const FieldDescriptor& field, int index) const {
  const auto* reflection = message_->GetReflection();
  const google::protobuf::Message& message = field.is_repeated()
                                                 ? reflection->GetRepeatedMessage(*message_, &field, index)
                                                 : reflection->GetMessage(*message_, &field);
  const Tree* tree = tree_ == nullptr ? nullptr : tree_->GetTreeForNested(&field, field.is_repeated() ? index : -1);
  return {message, tree, location_of(field, index)};
}

Node Node::child(const char* field, int index) const {
  return child(field_named(field), index);
}

Document parse(std::string file, const std::string& text) {
  Document document;
  document.file = std::move(file);
  document.tree = std::make_unique<Node::Tree>();
  FirstError first_error(document, text);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&first_error);
  parser.WriteLocationsTo(document.tree.get());
  parser.SetRecursionLimit(20);
  if (!parser.ParseFromString(text, &document.config) && document.diagnostics.empty()) {
    document.diagnostics.push_back({Severity::error, document.file, {}, "cannot be parsed; check the text format"});
  }
  return document;
}

}  // namespace headgate::config
