// A command line taken apart: words, quotes, and the filters after `|`.
#pragma once

#include <string>
#include <vector>

#include "controlplane/config/tree.h"

namespace headgate::console {

using config::Words;

struct Line {
  std::vector<Words> parts;  // the command, then each filter; at least one
  bool open_quote = false;   // ends inside a quoted word
  bool open_word = false;    // ends in a word, not behind one: what completion completes
};

// '#' begins a comment where a word could begin. "two words" and \x as in a shell; \n in quotes is a line end.
Line split(const std::string& text);

}  // namespace headgate::console
