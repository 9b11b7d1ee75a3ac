// A configuration being edited: the schema the server runs, the text that ran when editing began, and what became of
// it.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <memory>
#include <string>

#include "controlplane/config/edit.h"
#include "controlplane/config/result.h"

namespace headgate::console {

class Schema {
 public:
  // `files`: a serialised google.protobuf.FileDescriptorSet; `root`: full name of the root message.
  static config::Result<std::unique_ptr<Schema>> load(const std::string& files, const std::string& root);

  std::unique_ptr<google::protobuf::Message> empty() const;
  // "line:column: what" on error.
  config::Result<std::unique_ptr<google::protobuf::Message>> parse(const std::string& text) const;
  // False: no field that is secret is named anywhere in it, so there is nothing to hide. Costs no parsing.
  bool may_hold_secrets(const std::string& text) const;

 private:
  Schema() : factory_(&pool_) {}
  config::Result<void> parse(const std::string& text, google::protobuf::Message& message) const;
  google::protobuf::DescriptorPool pool_;
  mutable google::protobuf::DynamicMessageFactory factory_;
  const google::protobuf::Message* root_ = nullptr;
};

class Candidate {
 public:
  Candidate(std::unique_ptr<google::protobuf::Message> running, std::uint64_t revision);

  google::protobuf::Message& message() { return *message_; }
  const google::protobuf::Message& message() const { return *message_; }
  std::uint64_t base() const { return revision_; }
  bool changed() const;
  std::string compare() const;                  // with what ran when editing began
  std::string text() const;                     // canonical
  config::Result<std::string> changes() const;  // as commands
  void replace(std::unique_ptr<google::protobuf::Message> message) { message_ = std::move(message); }
  void discard();

 private:
  std::unique_ptr<google::protobuf::Message> running_, message_;
  std::uint64_t revision_;
};

}  // namespace headgate::console
