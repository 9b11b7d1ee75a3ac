// Answers of the dataplane as text for people. Pure functions; --json bypasses them.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "dataplane/api/dataplane.pb.h"

namespace headgate::console {

std::string render_services(const dataplane::v1::StatsReply& stats);
std::string render_pools(const dataplane::v1::StatsReply& stats);
std::string render_backends(const dataplane::v1::StatsReply& stats);
std::string render_ports(const dataplane::v1::StatsReply& stats);
std::string render_workers(const dataplane::v1::StatsReply& stats);
std::string render_drops(const dataplane::v1::StatsReply& stats);  // of all workers together, the most frequent first
std::string render_flows(const dataplane::v1::FlowsReply& flows);
std::string render_neighbors(const dataplane::v1::NeighborsReply& neighbors);
std::string render_running(const dataplane::v1::RunningReply& running);
std::string render_explanation(const dataplane::v1::ExplainReply& reply);
// What changed since the previous sample, per second.
std::string render_rates(const dataplane::v1::StatsReply& before, const dataplane::v1::StatsReply& now, double seconds);

std::string to_json(const google::protobuf::Message& message);  // one line, field names as in the .proto

}  // namespace headgate::console
