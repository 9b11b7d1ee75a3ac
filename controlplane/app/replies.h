// What the daemon's own types look like in answers of the management API.
#pragma once

#include <google/protobuf/descriptor.pb.h>

#include <string>
#include <vector>

#include "controlplane/api/management.pb.h"
#include "controlplane/app/configuration.h"
#include "controlplane/app/events.h"
#include "controlplane/app/support_bundle.h"

namespace headgate::app {

class Daemon;

void fill(const config::Revision& from, std::uint64_t rolls_back_in_s, management::v1::Revision* out);
void fill(const std::vector<config::Diagnostic>& from,
          google::protobuf::RepeatedPtrField<management::v1::Diagnostic>* out);
void fill(const Event& from, management::v1::Event* out);
// By the names of the configuration: what the dataplane calls web/v4 and web/v6 is its web.
config::FlowsNow flows_of(const dataplane::v1::StatsReply& stats);
management::v1::CommitReply::Outcome outcome_of(Verdict::Kind kind);
const char* name_of(management::v1::SetBackendRequest::State state);
// config.proto and what it imports.
void fill(google::protobuf::FileDescriptorSet& out);

// The daemon's share of a support bundle. Thread: the daemon's.
BundleState bundle_state(Daemon& daemon, const std::string& log);

}  // namespace headgate::app
