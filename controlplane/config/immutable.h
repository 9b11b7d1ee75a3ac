// Fields that cannot change while their entry exists (the option `immutable`): what hangs on them would silently become
// something else. A return to an older revision is not asked: it must always be possible.
#pragma once

#include <google/protobuf/message.h>

#include <functional>

#include "controlplane/config/document.h"

namespace headgate::config {

// Says where and what is wrong, for each such field that differs between two entries of the same name.
void find_immutable_changes(const google::protobuf::Message& before, const Node& after,
                            const std::function<void(Location, std::string)>& wrong);

// Adds errors to document.diagnostics.
void check_immutable(const google::protobuf::Message& before, Document& document);

}  // namespace headgate::config
