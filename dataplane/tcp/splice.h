// What one connection receives is what another sends: pieces move from queue to queue, bytes stay where they are. The
// receiver's window opens when data moves, and data moves while the sender's queue is below its mark: a slow reader
// slows the fast writer on the other side.
#pragma once

#include "dataplane/tcp/core.h"

namespace headgate::tcp {

void splice(Core& k, Connection& from, Connection& to);
// Moves what may move. Called for a dirty connection.
void pull_splice(Core& k, Connection& from);
// Ends both directions that `c` takes part in.
void unsplice(Core& k, Connection& c);

}  // namespace headgate::tcp
