// Changes to a configuration in the words of tree.h, by reflection alone: what the console's `set`, `delete` and
// `rename` do. The message may be of a schema that this program has never seen.
#pragma once

#include <google/protobuf/message.h>

#include "controlplane/config/result.h"
#include "controlplane/config/tree.h"

namespace headgate::config {

// Where a row of words leads.
struct Place {
  google::protobuf::Message* message = nullptr;              // the block reached
  const google::protobuf::FieldDescriptor* field = nullptr;  // a field of it, when the words end in or after one
  int index = -1;                                            // entry or value of a repeated field; -1: none named
  const google::protobuf::FieldDescriptor* via = nullptr;    // the list or field by which `message` was reached
  std::string key;                                           // of the entry of `via`
};

// {"pool","web","backend","web1","weight","5"}: missing entries are made. {"pool","web"} makes just the entry; a
// repeated value is added unless it is there. Checks what the field says about itself: type, range, format,
// enumerators. References are left to validation: what they name may come later.
Result<void> set(google::protobuf::Message& config, const Words& words);

// {"pool","web"}: the entry; {"pool","web","algorithm"}: the value; {"service","s","address","192.0.2.1"}: one of
// several.
Result<void> remove(google::protobuf::Message& config, const Words& words);

// The set and delete commands that make `after` of `before`, and the same changes in a configuration that differs from
// `before` elsewhere. With secrets. An error when there are none, as for another order of entries.
Result<std::string> change_commands(const google::protobuf::Message& before, const google::protobuf::Message& after);

// {"pool","web"} to "www". Every reference to it follows: names are what holds a configuration together. How many did.
Result<unsigned> rename(google::protobuf::Message& config, const Words& words, const std::string& name);

// What is wrong with a word as a value of the field: one sentence that says what would be right; empty when nothing is.
std::string value_problem(const google::protobuf::FieldDescriptor& field, const std::string& word);

// Enumerators in lower case; "true", "false"; empty for others.
std::vector<std::string> fixed_values(const google::protobuf::FieldDescriptor& field);
// What one of them means, "silence; default"; empty: its name says it.
std::string value_help(const google::protobuf::FieldDescriptor& field, const std::string& word);

// Names of the entries of the top-level list `list`.
std::vector<std::string> names_in(const google::protobuf::Message& config, const std::string& list);

}  // namespace headgate::config
