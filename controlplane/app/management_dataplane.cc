// What the dataplane knows and does.
#include "controlplane/app/management_service.h"
#include "controlplane/app/network_view.h"
#include "controlplane/app/replies.h"
#include "controlplane/app/service_view.h"

namespace headgate::app {
namespace {

std::string captured(const dp::CaptureRequest& request) {
  std::string text;
  if (!request.host().empty()) text += " of host " + request.host().substr(0, 50);
  if (request.port() != 0) text += " of port " + std::to_string(request.port());
  return text;
}

}  // namespace

// " of client 192.0.2.7, service web": which ones an operator meant.
std::string Management::Service::described(const dp::FlowFilter& filter) {
  std::vector<std::string> parts;
  if (!filter.client().empty()) parts.push_back("client " + filter.client().substr(0, 50));
  if (filter.client_port() != 0) parts.push_back("client port " + std::to_string(filter.client_port()));
  if (filter.protocol() != dp::PROTOCOL_UNSPECIFIED) parts.push_back(dp::Protocol_Name(filter.protocol()));
  on_loop([&] {
    for (const auto& service : daemon_.wanted().service()) {
      if (service.id() == filter.service_id()) parts.push_back("service " + service.name());
    }
    for (const auto& pool : daemon_.wanted().pool()) {
      for (const auto& backend : pool.backend()) {
        if (backend.id() == filter.backend_id()) parts.push_back("backend " + backend.name());
      }
    }
  });
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? " of " : ", ") + part;
  return text;
}

#define HEADGATE_PASS_ON(NAME, REQUEST, REPLY)                                                             \
  Status Management::Service::NAME(ServerContext* context, const dp::REQUEST* request, dp::REPLY* reply) { \
    return guarded(context, #NAME, [&](const Caller&) {                                                    \
      const auto onward = grpc::ClientContext::FromServerContext(*context);                                \
      return explained(dataplane_->NAME(onward.get(), *request, reply));                                   \
    });                                                                                                    \
  }
HEADGATE_PASS_ON(Running, RunningRequest, RunningReply)
HEADGATE_PASS_ON(Stats, StatsRequest, StatsReply)
HEADGATE_PASS_ON(ListFlows, FlowFilter, FlowsReply)
HEADGATE_PASS_ON(ListConnections, FlowFilter, ConnectionsReply)
HEADGATE_PASS_ON(Explain, ExplainRequest, ExplainReply)
HEADGATE_PASS_ON(Neighbors, NeighborsRequest, NeighborsReply)
#undef HEADGATE_PASS_ON

Status Management::Service::ClearFlows(ServerContext* context, const dp::FlowFilter* request,
                                       dp::ClearFlowsReply* reply) {
  return guarded(context, "ClearFlows", [&](const Caller& who) {
    const auto onward = grpc::ClientContext::FromServerContext(*context);
    const Status status = explained(dataplane_->ClearFlows(onward.get(), *request, reply));
    if (status.ok())
      daemon_.events().add(
          "operation", std::to_string(reply->cleared()) + " flows cleared" + described(*request) + " by " + who.user,
          Severity::notice, who.user);
    return status;
  });
}

Status Management::Service::ClearSessions(ServerContext* context, const dp::FlowFilter* request,
                                          dp::ClearSessionsReply* reply) {
  return guarded(context, "ClearSessions", [&](const Caller& who) {
    const auto onward = grpc::ClientContext::FromServerContext(*context);
    const Status status = explained(dataplane_->ClearSessions(onward.get(), *request, reply));
    if (status.ok())
      daemon_.events().add(
          "operation", std::to_string(reply->cleared()) + " sessions cleared" + described(*request) + " by " + who.user,
          Severity::notice, who.user);
    return status;
  });
}

Status Management::Service::StreamStats(ServerContext* context, const dp::StatsRequest* request,
                                        grpc::ServerWriter<dp::StatsReply>* writer) {
  return guarded(context, "StreamStats", [&](const Caller&) {
    const auto onward = grpc::ClientContext::FromServerContext(*context);
    return relay<dp::StatsReply>(context, *onward, dataplane_->StreamStats(onward.get(), *request), writer);
  });
}

Status Management::Service::Capture(ServerContext* context, const dp::CaptureRequest* request,
                                    grpc::ServerWriter<dp::CapturedPacket>* writer) {
  return guarded(context, "Capture", [&](const Caller& who) {
    daemon_.events().add("operation", "capture" + captured(*request) + " by " + who.user, Severity::notice, who.user);
    const auto onward = grpc::ClientContext::FromServerContext(*context);
    return relay<dp::CapturedPacket>(context, *onward, dataplane_->Capture(onward.get(), *request), writer);
  });
}

Status Management::Service::Services(ServerContext* context, const pb::Empty*, pb::ServicesReply* reply) {
  return guarded(context, "Services", [&](const Caller&) {
    dp::StatsReply stats;
    const bool known = ask_dataplane([&](auto& onward) { return dataplane_->Stats(&onward, {}, &stats); });
    return on_loop([&] { describe_services(daemon_.wanted(), known ? &stats : nullptr, *reply); });
  });
}

Status Management::Service::Interfaces(ServerContext* context, const pb::Empty*, pb::InterfacesReply* reply) {
  return guarded(context, "Interfaces", [&](const Caller&) {
    dp::StatsReply stats;
    const bool known = ask_dataplane([&](auto& onward) { return dataplane_->Stats(&onward, {}, &stats); });
    return on_loop([&] { describe_interfaces(daemon_.configuration().config(), known ? &stats : nullptr, *reply); });
  });
}

Status Management::Service::Routes(ServerContext* context, const pb::Empty*, pb::RoutesReply* reply) {
  return guarded(context, "Routes", [&](const Caller&) {
    dp::NeighborsReply neighbors;
    const bool known = ask_dataplane([&](auto& onward) { return dataplane_->Neighbors(&onward, {}, &neighbors); });
    return on_loop([&] { describe_routes(daemon_.configuration().config(), known ? &neighbors : nullptr, *reply); });
  });
}

config::FlowsNow Management::Service::flows_now() {
  dp::StatsReply stats;
  const bool known = ask_dataplane([&](auto& onward) { return dataplane_->Stats(&onward, {}, &stats); });
  return known ? flows_of(stats) : config::FlowsNow{};
}

Status Management::Service::explained(const Status& status) {
  if (status.error_code() != StatusCode::UNAVAILABLE || status.error_message().find("worker") != std::string::npos)
    return status;
  return {StatusCode::UNAVAILABLE, "the dataplane does not answer: it is starting, or it does not run (see show log)"};
}

}  // namespace headgate::app
