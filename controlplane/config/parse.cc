// parse(): protobuf's parser stops at the first value it cannot read. So a field with such a value is noted, blanked
// (what follows keeps its place) and the text read again, until it reads or an error is none of a single field: a
// syntax error.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "controlplane/config/document.h"
#include "controlplane/config/nearest.h"
#include "controlplane/config/tokens.h"

namespace headgate::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FieldOptions;

constexpr int kUnreadableMax = 100;  // each costs reading the file once more
constexpr int kDepthMax = 20;        // of blocks

struct Finding {
  int line, column;  // from 0; -1: none
  std::string message;
};

// What protobuf says about a text.
struct Findings {
  std::vector<Finding> unknown_fields;  // it skips them
  std::optional<Finding> error;         // the first one: it stops there
};

class Collector : public google::protobuf::io::ErrorCollector {
 public:
  explicit Collector(Findings& findings) : findings_(findings) {}
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (!findings_.error) findings_.error = Finding{line, column, message};
  }
  void AddWarning(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    findings_.unknown_fields.push_back({line, column, message});
  }

 private:
  Findings& findings_;
};

// Where unknown fields are let pass, so are numbers in their place. That is a syntax error, and what follows guesswork.
void refuse_numbers_as_names(Findings& findings, const Tokens& tokens) {
  for (auto finding = findings.unknown_fields.begin(); finding != findings.unknown_fields.end(); ++finding) {
    const std::size_t next = tokens.at(finding->line, finding->column);
    if (next == 0 || tokens[next - 1].kind == Token::Kind::identifier) continue;
    const Token& number = tokens[next - 1];
    findings.error = Finding{number.line, number.column, "Expected identifier, got: " + number.text};
    findings.unknown_fields.erase(finding, findings.unknown_fields.end());
    return;
  }
}

Findings read(const std::string& text, const Tokens& tokens, Document& document) {
  Findings findings;
  Collector collector(findings);
  document.tree = std::make_unique<Node::Tree>();
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&collector);
  parser.WriteLocationsTo(document.tree.get());
  parser.SetRecursionLimit(kDepthMax);
  parser.AllowUnknownField(true);
  if (!parser.ParseFromString(text, &document.config) && !findings.error)
    findings.error = Finding{-1, -1, "cannot be parsed; check the text format"};
  refuse_numbers_as_names(findings, tokens);
  return findings;
}

std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const std::size_t start = text.find(before);
  if (start == std::string_view::npos) return {};
  const std::size_t from = start + before.size();
  const std::size_t end = text.find(after, from);
  return end == std::string_view::npos ? std::string_view{} : text.substr(from, end - from);
}

// "did you mean port? possible are name, port", the first part only when there is something near.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string near = nearest(word, candidates);
  std::string text = near.empty() ? "possible are " : "did you mean " + near + "? possible are ";
  for (const std::string& candidate : candidates) text += (&candidate == candidates.data() ? "" : ", ") + candidate;
  return text;
}

std::vector<std::string> fields_of(const Descriptor& message) {
  std::vector<std::string> names;
  for (int i = 0; i < message.field_count(); ++i) names.push_back(message.field(i)->name());
  return names;
}

std::vector<std::string> values_of(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
  return names;
}

const FieldDescriptor* descriptor_of(const Tokens& tokens, std::size_t name) {
  const Descriptor* message = v1::Config::descriptor();
  for (const std::size_t block : tokens.blocks_around(name)) {
    const FieldDescriptor* field = message->FindFieldByName(tokens[block].text);
    if (field == nullptr || field->message_type() == nullptr) return nullptr;
    message = field->message_type();
  }
  return message->FindFieldByName(tokens[name].text);
}

// What the field wants instead of what was written.
std::string wanted(const FieldDescriptor& field, const std::string& written) {
  const FieldOptions& options = field.options();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "write a block, " + field.name() + " { ... }";
    case FieldDescriptor::CPPTYPE_ENUM:
      return (written[0] == '"' ? "leave out the quotes; " : "") + suggestion(written, values_of(*field.enum_type()));
    case FieldDescriptor::CPPTYPE_BOOL:
      return "use true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return "write a text in quotes";
    default:
      break;
  }
  const std::string& unit = options.GetExtension(v1::unit);
  if (!options.HasExtension(v1::range_max)) return "use a whole number";
  return "use a whole number, " + std::to_string(options.GetExtension(v1::range_min)) + " to " +
         std::to_string(options.GetExtension(v1::range_max)) + (unit.empty() ? "" : " " + unit);
}

// A field that could not be read: what is wrong with it, and the tokens to do without.
struct Unreadable {
  WrittenField field;
  std::size_t where;  // token
  std::string message;
};

std::optional<Unreadable> unreadable_field(const Tokens& tokens, const Finding& error) {
  const std::size_t at = tokens.at(error.line, error.column);
  if (error.message.starts_with("Non-repeated field ")) {  // reported behind the name
    const auto field = at == 0 ? std::nullopt : tokens.field_of_name(at - 1);
    if (!field) return std::nullopt;
    return Unreadable{*field, field->name,
                      "a second " + tokens[field->name].text + " in this block; remove one of the two"};
  }
  // A word that is no value of its type is reported behind itself.
  const bool behind = error.message.starts_with("Unknown enumeration value of ") ||
                      error.message.starts_with("Invalid value for boolean field ");
  if (behind && at == 0) return std::nullopt;
  const std::size_t value = behind ? at - 1 : at;
  const auto field = tokens.field_of_value(value);
  const FieldDescriptor* descriptor = field ? descriptor_of(tokens, field->name) : nullptr;
  if (descriptor == nullptr) return std::nullopt;
  const bool secret = descriptor->options().GetExtension(v1::secret);
  const std::string written = secret                  ? "a value that is not shown"
                              : tokens[value].opens() ? "a block or list"
                              : tokens[value].is('-') ? "-" + tokens[value + 1].text
                                                      : tokens[value].text;
  const std::string what = behind && descriptor->enum_type() != nullptr
                               ? "unknown value " + written + " of " + descriptor->name()
                               : descriptor->name() + " is " + written;
  return Unreadable{*field, value, what + "; " + wanted(*descriptor, written)};
}

void blank(std::string& text, const Tokens& tokens, const WrittenField& field) {
  const Token& last = tokens[field.end - 1];
  for (std::size_t i = tokens[field.name].offset; i < last.offset + last.text.size(); ++i) {
    if (text[i] != '\n' && text[i] != '\t') text[i] = ' ';
  }
}

void collect_secret_names(const Descriptor& message, std::set<std::string_view>& names) {
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.options().GetExtension(v1::secret)) names.insert(field.name());
    if (field.message_type() != nullptr) collect_secret_names(*field.message_type(), names);  // a schema is a tree
  }
}

// A secret that was not quoted, or whose quote is not closed, is in pieces that are no value of its field. What is said
// about the line it stands in, or the one below, says none of the text. Lines from 0.
class SecretLines {
 public:
  explicit SecretLines(const Tokens& tokens) {
    std::set<std::string_view> names;
    collect_secret_names(*v1::Config::descriptor(), names);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].kind == Token::Kind::identifier && names.contains(tokens[i].text)) lines_.insert(tokens[i].line);
    }
  }
  bool near(int line) const { return lines_.contains(line) || lines_.contains(line - 1); }

 private:
  std::set<int> lines_;
};

// Protobuf reports an unknown name at the token behind it, which may be lines below.
Diagnostic unknown_field(const std::string& file, const Tokens& tokens, const SecretLines& secrets,
                         const Finding& finding) {
  const std::size_t next = tokens.at(finding.line, finding.column);
  const Location where = next > 0 ? tokens[next - 1].location() : Location{finding.line + 1, finding.column + 1};
  const std::string name(between(finding.message, "has no field named \"", "\""));
  const std::string type(between(finding.message, "Message type \"", "\""));
  const Descriptor* block = v1::Config::descriptor()->file()->pool()->FindMessageTypeByName(type);
  if (name.empty() || block == nullptr) return {Severity::error, file, where, finding.message};
  if (secrets.near(where.line - 1))
    return {Severity::error, file, where, "unknown field in or behind a line with a secret; quote its value"};
  const char* place = block == v1::Config::descriptor() ? "at the top level" : "in this block";
  return {Severity::error, file, where,
          "unknown field \"" + name + "\" " + place + "; " + suggestion(name, fields_of(*block))};
}

// The error after which nothing more can be said.
Diagnostic last_error(const std::string& file, const Tokens& tokens, const SecretLines& secrets, const Finding& error) {
  if (secrets.near(error.line)) {
    return {Severity::error, file, Location{error.line + 1, error.column + 1},
            "syntax error in or behind a line with a secret; check its quotes"};
  }
  const bool too_many = unreadable_field(tokens, error).has_value();
  return {Severity::error, file, Location{error.line + 1, error.column + 1},
          too_many ? "more than " + std::to_string(kUnreadableMax) + " values cannot be read; correct those above first"
                   : "syntax error: " + error.message};
}

void note(Document& document, const Tokens& tokens, const Unreadable& problem) {
  document.diagnostics.push_back({Severity::error, document.file, tokens[problem.where].location(), problem.message});
  const auto blocks = tokens.blocks_around(problem.field.name);
  const Location block = blocks.empty() ? Location{1, 1} : tokens[blocks.back()].location();
  document.unreadable.emplace(block.line, block.column, tokens[problem.field.name].text);
}

}  // namespace

Document parse(std::string file, const std::string& text) {
  Document document;
  document.file = std::move(file);
  const Tokens tokens(text);
  std::string rest = text;
  Findings findings = read(rest, tokens, document);
  for (int i = 0; findings.error && i < kUnreadableMax; ++i) {
    const auto problem = unreadable_field(tokens, *findings.error);
    if (!problem) break;
    note(document, tokens, *problem);
    blank(rest, tokens, problem->field);
    findings = read(rest, tokens, document);
  }
  const SecretLines secrets(tokens);
  for (const Finding& finding : findings.unknown_fields)
    document.diagnostics.push_back(unknown_field(document.file, tokens, secrets, finding));
  document.readable = !findings.error;
  if (findings.error) document.diagnostics.push_back(last_error(document.file, tokens, secrets, *findings.error));
  sort_by_place(document.diagnostics);
  return document;
}

}  // namespace headgate::config
