#include "controlplane/app/management_service.h"

#include <asio/post.hpp>
#include <thread>

#include "controlplane/app/replies.h"
#include "controlplane/app/route_view.h"
#include "controlplane/app/service_view.h"

namespace headgate::app {
namespace {

constexpr std::chrono::seconds kLoopWait{10};

health::Admin admin_of(pb::SetBackendRequest::State state) {
  return state == pb::SetBackendRequest::ENABLE  ? health::Admin::enabled
         : state == pb::SetBackendRequest::DRAIN ? health::Admin::drain
                                                 : health::Admin::disabled;
}

}  // namespace

pb::Role role_of(const std::string& method) {
  static const auto* service = pb::Empty::descriptor()->file()->FindServiceByName("Management");
  const auto* found = service->FindMethodByName(method);
  return found == nullptr ? pb::ROLE_UNSPECIFIED : found->options().GetExtension(pb::role);
}

Management::Service::Service(asio::io_context& io, Daemon& daemon, const Options& options)
    : io_(io), daemon_(daemon), supervisor_(options.supervisor), recent_log_(options.recent_log) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  dataplane_ = dp::Dataplane::NewStub(
      grpc::CreateCustomChannel(options.dataplane, grpc::InsecureChannelCredentials(), arguments));
}

bool Management::Service::collect(monitor::Sample& sample) {
  const Status ran = on_loop([&] {
    daemon_.describe(sample.system);
    daemon_.describe(sample.backends);
    daemon_.failover().describe(sample.failover);
    describe_services(daemon_.wanted(), nullptr, sample.services);
    fill(daemon_.configuration().revision(), rolls_back(), sample.system.mutable_revision());
  });
  if (!ran.ok()) return false;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
  dp::StatsRequest request;
  dp::StatsReply reply;
  if (dataplane_->Stats(&context, request, &reply).ok()) sample.stats = std::move(reply);
  return true;
}

Status Management::Service::WhoAmI(ServerContext* context, const pb::Empty*, pb::Identity* reply) {
  return guarded(context, "WhoAmI", [&](const Caller& who) {
    reply->set_user(who.user);
    reply->set_uid(who.uid);
    reply->set_role(who.role);
    return Status::OK;
  });
}

Status Management::Service::GetSchema(ServerContext* context, const pb::Empty*, pb::Schema* reply) {
  return guarded(context, "GetSchema", [&](const Caller&) {
    google::protobuf::FileDescriptorSet files;
    fill(files);
    files.SerializeToString(reply->mutable_file_descriptor_set());
    reply->set_root(config::v1::Config::descriptor()->full_name());
    return Status::OK;
  });
}

Status Management::Service::System(ServerContext* context, const pb::Empty*, pb::SystemReply* reply) {
  return guarded(context, "System", [&](const Caller&) {
    return on_loop([&] {
      daemon_.describe(*reply);
      fill(daemon_.configuration().revision(), rolls_back(), reply->mutable_revision());
      if (const std::string problem = remote_->problem(); !problem.empty()) reply->add_problem(problem);
    });
  });
}

Status Management::Service::Backends(ServerContext* context, const pb::Empty*, pb::BackendsReply* reply) {
  return guarded(context, "Backends", [&](const Caller&) { return on_loop([&] { daemon_.describe(*reply); }); });
}

Status Management::Service::HttpRoutes(ServerContext* context, const pb::Empty*, pb::HttpRoutesReply* reply) {
  return guarded(context, "HttpRoutes",
                 [&](const Caller&) { return on_loop([&] { describe_routes(daemon_.wanted(), *reply); }); });
}

Status Management::Service::SetBackend(ServerContext* context, const pb::SetBackendRequest* request, pb::Empty*) {
  return guarded(context, "SetBackend", [&](const Caller& who) -> Status {
    if (who.role != pb::ADMIN && admin_of(request->state()) == health::Admin::disabled)
      return {StatusCode::PERMISSION_DENIED,
              who.user + " may drain and enable backends; to disable one takes the role ADMIN"};
    Status status;
    const Status ran = on_loop([&] {
      const auto done = daemon_.set_backend(request->pool(), request->backend(), admin_of(request->state()));
      if (!done) {
        status = {StatusCode::INVALID_ARGUMENT, done.error().message};
        return;
      }
      daemon_.events().add("operation", *done + " " + name_of(request->state()) + " by " + who.user, Severity::notice,
                           who.user);
    });
    return ran.ok() ? status : ran;
  });
}

Status Management::Service::Events(ServerContext* context, const pb::EventsRequest* request,
                                   grpc::ServerWriter<pb::Event>* writer) {
  return guarded(context, "Events", [&](const Caller&) {
    Streams::Stream stream(streams_, context);
    if (!stream) return Streams::too_many();
    std::uint64_t seen = 0;
    const auto write = [&](const std::vector<app::Event>& events) {
      for (const app::Event& event : events) {
        pb::Event out;
        fill(event, &out);
        if (!stream.write(writer, out)) return false;
        seen = event.number;
      }
      return true;
    };
    bool good = write(daemon_.events().last(request->limit() == 0 ? 100 : request->limit()));
    while (good && request->follow() && !context->IsCancelled() && !stopping_)
      good = write(daemon_.events().after(seen, 1000, 500));
    return Status::OK;
  });
}

Status Management::Service::on_loop(const std::function<void()>& task) {
  // Shared with the loop: a caller that gave up must not leave it with a dangling task.
  struct Call {
    std::mutex mutex;
    bool abandoned = false;
    std::promise<void> done;
  };
  const auto call = std::make_shared<Call>();
  asio::post(io_, [call, &task] {
    const std::scoped_lock lock(call->mutex);
    if (!call->abandoned) task();
    call->done.set_value();
  });
  std::future<void> done = call->done.get_future();
  const auto end = std::chrono::steady_clock::now() + kLoopWait;
  while (!stopping_ && std::chrono::steady_clock::now() < end) {  // a loop that has stopped runs nothing any more
    if (done.wait_for(std::chrono::milliseconds(100)) == std::future_status::ready) return Status::OK;
  }
  const std::scoped_lock lock(call->mutex);
  call->abandoned = true;
  return {StatusCode::UNAVAILABLE,
          stopping_ ? "the control plane is stopping" : "the control plane is too busy to answer; try again"};
}

}  // namespace headgate::app
