// What the dataplane found wrong with a snapshot, in the words of the file it was compiled from.
#pragma once

#include <string>

#include "controlplane/config/document.h"
#include "dataplane/api/dataplane.pb.h"

namespace headgate::app {

// "site.txtpb:3:25: interface[0].port: no such port". Without a place when the entry was not written there, as parts of
// an expansion are not.
std::string describe_refusal(const config::Document& document, const dataplane::v1::Snapshot& snapshot,
                             const dataplane::v1::SnapshotError& error);

}  // namespace headgate::app
