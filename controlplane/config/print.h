// The canonical text of a configuration: fields in the order of the schema, one per line, comments as `#` lines above
// the entry they belong to. Printing what was read from a printed text gives the same text.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "controlplane/config/document.h"
#include "controlplane/config/tree.h"

namespace headgate::config {

std::string print(const google::protobuf::Message& config, Secrets secrets = Secrets::shown);

// The same for a message of any schema, with the places its parser recorded. Returns the places of comments that are
// not kept.
std::vector<Location> attach_comments(google::protobuf::Message& root, const Node::Tree& tree, const std::string& text);

// `#` lines directly above an entry become its `comment`. Comments elsewhere are not kept: a warning names their line.
// Requires: document came from parse(text).
void attach_comments(Document& document, const std::string& text);

}  // namespace headgate::config
