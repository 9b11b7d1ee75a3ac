// The machine and its daemons.
#include "controlplane/app/management_service.h"
#include "controlplane/app/replies.h"
#include "controlplane/app/support_bundle.h"
#include "controlplane/system/supervisor_client.h"

namespace headgate::app {
namespace {

constexpr std::size_t kBundlePart = 256 << 10;

}  // namespace

Status Management::Service::Ping(ServerContext* context, const pb::PingRequest* request,
                                 grpc::ServerWriter<pb::Line>* writer) {
  return guarded(context, "Ping", [&](const Caller& who) -> Status {
    const unsigned count = request->count() == 0 ? 5 : request->count();
    if (count > system::kPingsMax)
      return {StatusCode::INVALID_ARGUMENT, "at most " + std::to_string(system::kPingsMax) + " pings at once"};
    return tool(context, who, "ping", request->address(), writer,
                [&](const std::string& address) { return system::ping_program(address, count); });
  });
}

Status Management::Service::Traceroute(ServerContext* context, const pb::TracerouteRequest* request,
                                       grpc::ServerWriter<pb::Line>* writer) {
  return guarded(context, "Traceroute", [&](const Caller& who) {
    return tool(context, who, "traceroute", request->address(), writer, system::traceroute_program);
  });
}

Status Management::Service::SupportBundle(ServerContext* context, const pb::Empty*,
                                          grpc::ServerWriter<pb::BundlePart>* writer) {
  return guarded(context, "SupportBundle", [&](const Caller& who) -> Status {
    Streams::Stream stream(streams_, context);
    if (!stream) return Streams::too_many();
    const Slot slot(bundles_, 1);
    if (!slot) return {StatusCode::RESOURCE_EXHAUSTED, "a support bundle is being made already; wait for it"};
    daemon_.events().add("operation", "support bundle by " + who.user, Severity::notice, who.user);
    BundleState state;
    const std::string log = recent_log_ ? recent_log_() : "";
    if (Status ran = on_loop([&] { state = bundle_state(daemon_, log); }); !ran.ok()) return ran;
    const std::string bytes = make_bundle(state, *dataplane_, supervisor_.substr(0, supervisor_.rfind('/')));
    if (bytes.empty()) return {StatusCode::INTERNAL, "the archive could not be made"};
    pb::BundlePart part;
    for (std::size_t at = 0; at < bytes.size(); at += kBundlePart) {
      part.set_data(bytes.substr(at, kBundlePart));
      if (!stream.write(writer, part)) break;
    }
    return Status::OK;
  });
}

Status Management::Service::Restart(ServerContext* context, const pb::RestartRequest* request, pb::Empty*) {
  return guarded(context, "Restart", [&](const Caller& who) -> Status {
    if (request->what() != pb::RestartRequest::DATAPLANE && request->what() != pb::RestartRequest::CONTROLPLANE)
      return {StatusCode::INVALID_ARGUMENT, "say what to restart"};
    const char* what = request->what() == pb::RestartRequest::DATAPLANE ? "dataplane" : "controlplane";
    return supervised(std::string("restart ") + what, std::string("restart of the ") + what, who);
  });
}

Status Management::Service::Reboot(ServerContext* context, const pb::Empty*, pb::Empty*) {
  return guarded(context, "Reboot", [&](const Caller& who) { return supervised("reboot", "reboot", who); });
}

Status Management::Service::supervised(const std::string& request, const std::string& what, const Caller& who) {
  daemon_.events().add("operation", what + " by " + who.user, Severity::warning, who.user);
  const auto done = system::ask_supervisor(supervisor_, request);
  return done ? Status::OK : Status(StatusCode::FAILED_PRECONDITION, done.error().message);
}

}  // namespace headgate::app
