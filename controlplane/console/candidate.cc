#include "controlplane/console/candidate.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <set>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/edit.h"
#include "controlplane/config/print.h"

namespace headgate::console {
namespace {

using google::protobuf::Message;

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (text.empty()) text = std::to_string(line + 1) + ":" + std::to_string(column + 1) + ": " + message;
  }
  std::string text;
};

std::unique_ptr<Message> copy(const Message& message) {
  std::unique_ptr<Message> other(message.New());
  other->CopyFrom(message);
  return other;
}

using Types = std::set<const google::protobuf::Descriptor*>;

bool names_secret(const google::protobuf::Descriptor& type, const std::string& text, Types& seen) {
  if (!seen.insert(&type).second) return false;
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    if (field.options().GetExtension(config::v1::secret) && text.find(field.name()) != std::string::npos) return true;
    if (field.message_type() != nullptr && names_secret(*field.message_type(), text, seen)) return true;
  }
  return false;
}

}  // namespace

config::Result<std::unique_ptr<Schema>> Schema::load(const std::string& files, const std::string& root) {
  std::unique_ptr<Schema> schema(new Schema());
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromString(files)) return config::fail("the server's schema cannot be read");
  for (const auto& file : set.file()) {
    if (schema->pool_.BuildFile(file) == nullptr)
      return config::fail("the server's schema does not build: " + file.name());
  }
  const auto* type = schema->pool_.FindMessageTypeByName(root);
  if (type == nullptr) return config::fail("the server's schema has no " + root);
  schema->root_ = schema->factory_.GetPrototype(type);
  return schema;
}

std::unique_ptr<Message> Schema::empty() const {
  return std::unique_ptr<Message>(root_->New());
}

bool Schema::may_hold_secrets(const std::string& text) const {
  Types seen;
  return names_secret(*root_->GetDescriptor(), text, seen);
}

config::Result<std::unique_ptr<Message>> Schema::parse(const std::string& text) const {
  std::unique_ptr<Message> message = empty();
  if (auto parsed = parse(text, *message); !parsed) return config::fail(parsed.error().message);
  return message;
}

config::Result<void> Schema::parse(const std::string& text, Message& message) const {
  FirstError error;
  config::Node::Tree tree;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  const bool commented = text.find('#') != std::string::npos;
  if (commented) parser.WriteLocationsTo(&tree);  // costs as much as the rest
  parser.SetRecursionLimit(20);
  if (!parser.ParseFromString(text, &message)) return config::fail(error.text);
  if (commented) config::attach_comments(message, tree, text);
  return {};
}

Candidate::Candidate(std::unique_ptr<Message> running, std::uint64_t revision)
    : running_(std::move(running)), message_(copy(*running_)), revision_(revision) {}

bool Candidate::changed() const {
  return text() != config::print(*running_);
}

std::string Candidate::compare() const {
  const std::string lines = config::compare(*running_, *message_);
  return lines.empty() && changed() ? "the same entries in another order\n" : lines;
}

config::Result<std::string> Candidate::changes() const {
  return config::change_commands(*running_, *message_);
}

std::string Candidate::text() const {
  return config::print(*message_);
}

void Candidate::discard() {
  message_ = copy(*running_);
}

}  // namespace headgate::console
