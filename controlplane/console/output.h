// What a command prints, taken on its way to the terminal: for filters after `|` and for the pager.
#pragma once

#include <functional>
#include <string>

#include "controlplane/console/words.h"

namespace headgate::console {

// Runs the command with standard output going to `text`.
int with_output_taken(const std::function<int()>& command, std::string& text);

// match WORD, except WORD, count, json (done by the command itself). The reason when it is no such filter.
std::string filter_problem(const Words& filter);
std::string filtered(const std::string& text, const Words& filter);

// Through $PAGER, or less, when it is longer than the terminal; else as it is.
void page(const std::string& text);

}  // namespace headgate::console
