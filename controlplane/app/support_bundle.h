// support-bundle: everything that a second engineer needs to understand a box, in one tar.gz without secrets.
//
// Bounded: each program runs for seconds at most, each file and the whole have a size (system/archive.h), and after
// kBundleTime what is left is noted in the manifest instead.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controlplane/api/management.pb.h"
#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::app {

inline constexpr std::chrono::seconds kBundleTime{60};

// What the event loop knows, taken there at once.
struct BundleState {
  std::vector<std::pair<std::string, std::string>> files;  // name, content
  std::vector<std::string> secrets;                        // of all kept revisions: taken out of every file
};

// Calls the dataplane and runs programs: not on the event loop.
std::string make_bundle(const BundleState& state, dataplane::v1::Dataplane::Stub& dataplane,
                        const std::string& run_dir);

}  // namespace headgate::app
