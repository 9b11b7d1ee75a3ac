// The interactive console: lines from a terminal, edited with libedit; history, Tab and ?.
#pragma once

#include "controlplane/console/session.h"

namespace headgate::console {

// Until the session ends or the input does.
int interact(Session& session);

// What Tab makes of a line: the longest way on that all choices share, and a space when there is just one. Where a new
// name may follow as well, only a word that is begun goes on, to those that exist.
std::string completed(const std::string& line, const std::string& begun, const Choices& choices);

// The help that ? shows.
std::string help_text(const Choices& choices);

}  // namespace headgate::console
