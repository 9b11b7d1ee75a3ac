// A configuration text, parsed: the message and where each of its fields was written. Unknown fields and values that
// are none of their field's are all reported, and what else there is can be judged by validate.h. A syntax error is
// reported at its first place only, since what follows one is guesswork.
#pragma once

#include <google/protobuf/text_format.h>

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "controlplane/api/config.pb.h"
#include "controlplane/config/diagnostic.h"

namespace headgate::config {

// A message together with its place in the text. Cheap to copy; borrows both from the Document.
class Node {
 public:
  using Tree = google::protobuf::TextFormat::ParseInfoTree;
  Node(const google::protobuf::Message& message, const Tree* tree, Location location)
      : message_(&message), tree_(tree), location_(location) {}

  const google::protobuf::Message& message() const { return *message_; }
  Location location() const { return location_; }
  // Where the field was written; the place of this message when it was not.
  Location location_of(const google::protobuf::FieldDescriptor& field, int index = -1) const;
  Location location_of(const char* field, int index = -1) const;  // Requires: the message has such a field
  // Requires: a message field; index = -1 for a singular one.
  Node child(const google::protobuf::FieldDescriptor& field, int index = -1) const;
  Node child(const char* field, int index = -1) const;

 private:
  const google::protobuf::FieldDescriptor& field_named(const char* field) const;

  const google::protobuf::Message* message_;
  const Tree* tree_;  // null when not from a text
  Location location_;
};

struct Document {
  std::string file;
  v1::Config config;
  std::unique_ptr<Node::Tree> tree;
  std::vector<Diagnostic> diagnostics;  // by place; validate() adds its own
  bool readable = false;                // up to its end; false after a syntax error
  // Fields that were written with a value that could not be read, by the place of their block: they are not missing.
  std::set<std::tuple<int, int, std::string>> unreadable;

  Node root() const { return {config, tree.get(), Location{1, 1}}; }
  bool ok() const { return !has_errors(diagnostics); }
};

Document parse(std::string file, const std::string& text);
void sort_by_place(std::vector<Diagnostic>& diagnostics);  // equal places keep their order

}  // namespace headgate::config
