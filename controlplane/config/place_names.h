// Which entry or field a diagnostic is about, in the words of a command.
#pragma once

#include <string>

#include "controlplane/config/document.h"

namespace headgate::config {

// Fills in the path of all diagnostics that have a place and no path yet: of what begins there, or else of the block
// around it. `text`: what the document was parsed from.
void name_places(Document& document, const std::string& text);

}  // namespace headgate::config
