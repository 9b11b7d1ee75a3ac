// What may be typed after `set`, `delete` and the like, from the schema's descriptors and the candidate alone. The
// schema may be one this program was not built with.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "controlplane/console/words.h"

namespace headgate::console {

struct Choice {
  std::string word;  // to type; "<...>" stands for something of the operator's own
  std::string help;
  bool is_word() const { return !word.starts_with('<'); }
};

enum class Use {
  set,       // may name what does not exist yet
  existing,  // delete, show: only what is there
};

// What can follow `words`, in the order of the schema. `end`: the words are complete as they are. Empty, with `end`
// false, when they lead nowhere.
struct Choices {
  std::vector<Choice> next;
  bool end = false;
};
Choices choices(const google::protobuf::Message& config, const Words& words, Use use);

// Drops the words that do not begin so; what stands for an operator's own stays.
void keep_begun(Choices& choices, const std::string& begun);

// "seconds, 1 to 3600, default 10": what a field says about its values.
std::string describe_value(const google::protobuf::FieldDescriptor& field);

}  // namespace headgate::console
