// A configuration as paths of words, by reflection alone: a new field of the schema needs nothing here.
//
//   pool { name: "web" backend { name: "web1" port: 80 } }      ->      pool web backend web1 port 80
//
// Entries of a list are told apart by their key field, else by their position from 1. The same words are what the
// console takes after `set`.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

namespace headgate::config {

using Words = std::vector<std::string>;

// `name`, else the first required text field; null when entries are told apart by position.
const google::protobuf::FieldDescriptor* key_field(const google::protobuf::Descriptor& entry);
// Requires: `list` is a repeated message field of `parent`.
std::string key_of(const google::protobuf::Message& parent, const google::protobuf::FieldDescriptor& list, int index);
// -1 when there is no such entry.
int index_of(const google::protobuf::Message& parent, const google::protobuf::FieldDescriptor& list,
             const std::string& key);

// A value as a word: enumerators in lower case, texts as they are. `index`: of a repeated field, else -1.
std::string value_word(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
                       int index);

enum class Secrets { shown, redacted };
inline constexpr const char* kRedacted = "(secret)";

// The words lead to a value that is marked `secret` ({"management","key_passphrase","..."}), or to its field.
bool is_secret(const google::protobuf::Descriptor* root, const Words& words);

// The words that would set each value, in the order of the schema and of the text. An entry with nothing but its key,
// and an empty message that is present, have a path of their own.
std::vector<Words> flatten(const google::protobuf::Message& message, Secrets secrets = Secrets::shown);

// Words in one line; what a reader of words could misread is quoted.
std::string join(const Words& words);

// "set pool web algorithm maglev" lines.
std::string set_commands(const google::protobuf::Message& config, Secrets secrets = Secrets::redacted);

// What leads from one to the other: "- pool web algorithm maglev" and "+ ..." lines, a removed value beside the one
// that takes its place. Empty when they say the same. A changed secret shows as changed, not as what it is.
std::string compare(const google::protobuf::Message& before, const google::protobuf::Message& after);

}  // namespace headgate::config
