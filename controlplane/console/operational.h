// Operational commands: looking at a running box and acting on it. The grammar is a CLI11 App, built anew for every
// command; help and completion are read from it.
#pragma once

#include "controlplane/console/client.h"
#include "controlplane/console/grammar.h"

namespace headgate::console {

// Prints; 0, or 1 after saying what was wrong. json: machine-readable output, as with --json.
int operational(Client& client, const Words& words);

// Prints over time, or asks: its output goes to the terminal as it comes, past the pager. Requires: there is a word.
bool is_direct(const Words& words);

// What can follow `words`; names come from the running system.
Choices operational_choices(Client& client, const Words& words);

}  // namespace headgate::console
