#include "controlplane/app/management.h"

#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <spdlog/spdlog.h>

#include <asio/post.hpp>
#include <future>
#include <thread>

#include "controlplane/app/daemon.h"
#include "controlplane/config/print.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;
namespace dp = dataplane::v1;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

constexpr int kMessageMax = 16 << 20;  // bytes of a request
constexpr int kThreadsMax = 64;        // of gRPC; streams hold one each
constexpr std::size_t kTextMax = 8 << 20;
constexpr std::chrono::seconds kLoopWait{10};
constexpr std::chrono::seconds kTrialWait{3};  // thousands of new maglev tables take longer; then the console says so

void fill(const config::Revision& from, std::uint64_t rolls_back_in_s, pb::Revision* out) {
  out->set_number(from.number);
  out->set_time_s(from.time_s);
  out->set_user(from.user);
  out->set_comment(from.comment);
  out->set_digest(from.digest);
  out->set_rolls_back_in_s(static_cast<std::uint32_t>(rolls_back_in_s));
  out->set_rolled_back_from(from.rolled_back_from);
}

template <class Repeated>
void fill(const std::vector<config::Diagnostic>& from, Repeated* out) {
  for (const config::Diagnostic& diagnostic : from) {
    auto* d = out->Add();
    d->set_warning(diagnostic.severity == config::Severity::warning);
    d->set_file(diagnostic.file);
    d->set_line(diagnostic.location.line);
    d->set_column(diagnostic.location.column);
    d->set_message(diagnostic.message);
  }
}

pb::CommitReply::Outcome outcome_of(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::committed:
      return pb::CommitReply::COMMITTED;
    case Verdict::Kind::invalid:
      return pb::CommitReply::INVALID;
    case Verdict::Kind::conflict:
      return pb::CommitReply::CONFLICT;
    case Verdict::Kind::not_written:
      return pb::CommitReply::NOT_WRITTEN;
    case Verdict::Kind::unchanged:
      return pb::CommitReply::UNCHANGED;
  }
  return pb::CommitReply::INVALID;
}

void add_file(const google::protobuf::FileDescriptor* file, google::protobuf::FileDescriptorSet& out) {
  for (const auto& known : out.file()) {
    if (known.name() == file->name()) return;
  }
  for (int i = 0; i < file->dependency_count(); ++i) add_file(file->dependency(i), out);
  file->CopyTo(out.add_file());
}

health::Admin admin_of(pb::SetBackendRequest::State state) {
  return state == pb::SetBackendRequest::ENABLE  ? health::Admin::enabled
         : state == pb::SetBackendRequest::DRAIN ? health::Admin::drain
                                                 : health::Admin::disabled;
}

const char* name_of(pb::SetBackendRequest::State state) {
  return state == pb::SetBackendRequest::ENABLE  ? "enabled"
         : state == pb::SetBackendRequest::DRAIN ? "drained"
                                                 : "disabled";
}

}  // namespace

pb::Role role_of(const std::string& method) {
  static const auto* service = pb::Empty::descriptor()->file()->FindServiceByName("Management");
  const auto* found = service->FindMethodByName(method);
  return found == nullptr ? pb::ROLE_UNSPECIFIED : found->options().GetExtension(pb::role);
}

class Management::Service final : public pb::Management::Service {
 public:
  Service(asio::io_context& io, Daemon& daemon, const std::string& dataplane) : io_(io), daemon_(daemon) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    dataplane_ =
        dp::Dataplane::NewStub(grpc::CreateCustomChannel(dataplane, grpc::InsecureChannelCredentials(), arguments));
  }
  void set_door(const Door* door) { door_ = door; }
  void stop() { stopping_ = true; }
  // For monitoring; any thread. False when the event loop does not answer.
  bool collect(monitor::Sample& sample) {
    const Status ran = on_loop([&] {
      daemon_.describe(sample.system);
      daemon_.describe(sample.backends);
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

  Status WhoAmI(ServerContext* context, const pb::Empty*, pb::Identity* reply) override {
    return guarded(context, "WhoAmI", [&](const Caller& who) {
      reply->set_user(who.user);
      reply->set_uid(who.uid);
      reply->set_role(who.role);
      daemon_.events().add("login", who.user + " (" + pb::Role_Name(who.role) + ")");
      return Status::OK;
    });
  }

  Status GetSchema(ServerContext* context, const pb::Empty*, pb::Schema* reply) override {
    return guarded(context, "GetSchema", [&](const Caller&) {
      google::protobuf::FileDescriptorSet files;
      add_file(config::v1::Config::descriptor()->file(), files);
      files.SerializeToString(reply->mutable_file_descriptor_set());
      reply->set_root(config::v1::Config::descriptor()->full_name());
      return Status::OK;
    });
  }

  Status System(ServerContext* context, const pb::Empty*, pb::SystemReply* reply) override {
    return guarded(context, "System", [&](const Caller&) {
      return on_loop([&] {
        daemon_.describe(*reply);
        fill(daemon_.configuration().revision(), rolls_back(), reply->mutable_revision());
      });
    });
  }

  Status GetConfig(ServerContext* context, const pb::ConfigRequest* request, pb::ConfigReply* reply) override {
    return guarded(context, "GetConfig", [&](const Caller& who) {
      Status status;
      const Status ran = on_loop([&] {
        Configuration& configuration = daemon_.configuration();
        const std::uint64_t number = request->revision() == 0 ? configuration.revision().number : request->revision();
        const auto text = configuration.history().text(number);
        if (!text) {
          status = {StatusCode::NOT_FOUND, text.error().message};
          return;
        }
        fill(*configuration.history().find(number), number == configuration.revision().number ? rolls_back() : 0,
             reply->mutable_revision());
        // An operator sees no secrets; an administrator needs them to edit.
        if (who.role == pb::ADMIN) {
          reply->set_text(*text);
          return;
        }
        const config::Document document = config::load_text("revision", *text);
        reply->set_text(document.ok() ? config::print(document.config, config::Secrets::redacted) : *text);
      });
      return ran.ok() ? status : ran;
    });
  }

  Status Check(ServerContext* context, const pb::CheckRequest* request, pb::CheckReply* reply) override {
    return guarded(context, "Check", [&](const Caller&) {
      if (request->text().size() > kTextMax) return too_large();
      return on_loop([&] {
        const Verdict verdict = daemon_.configuration().check(proposal(request->text(), request->file()));
        fill(verdict.diagnostics, reply->mutable_diagnostic());
        for (const std::string& effect : verdict.effects) reply->add_effect(effect);
        if (request->canonical() && verdict.kind != Verdict::Kind::invalid) {
          config::Document document = config::load_text(request->file(), request->text());
          config::attach_comments(document, request->text());
          reply->set_canonical_text(config::print(document.config));
        }
      });
    });
  }

  Status Commit(ServerContext* context, const pb::CommitRequest* request, pb::CommitReply* reply) override {
    return guarded(context, "Commit", [&](const Caller& who) {
      if (request->text().size() > kTextMax) return too_large();
      Status ran = on_loop([&] {
        Proposal wanted = proposal(request->text(), "candidate");
        if (request->base_revision() != 0) wanted.base = request->base_revision();
        wanted.user = who.user;
        wanted.comment = request->comment();
        wanted.confirm_s = request->confirm_s();
        const Verdict verdict = daemon_.commit(wanted);
        reply->set_outcome(outcome_of(verdict.kind));
        fill(daemon_.configuration().revision(), rolls_back(), reply->mutable_revision());
        fill(verdict.diagnostics, reply->mutable_diagnostic());
        reply->set_difference(verdict.difference);
        reply->set_cause(verdict.cause);
        for (const std::string& effect : verdict.effects) reply->add_effect(effect);
      });
      if (ran.ok() && reply->outcome() == pb::CommitReply::COMMITTED) ran = await_trial(*reply);
      return ran;
    });
  }

  Status Confirm(ServerContext* context, const pb::Empty*, pb::ConfirmReply* reply) override {
    return guarded(context, "Confirm", [&](const Caller& who) {
      Status status;
      const Status ran = on_loop([&] {
        const auto done = daemon_.confirm(who.user);
        if (!done) status = {StatusCode::FAILED_PRECONDITION, done.error().message};
        fill(daemon_.configuration().revision(), rolls_back(), reply->mutable_revision());
      });
      return ran.ok() ? status : ran;
    });
  }

  Status History(ServerContext* context, const pb::HistoryRequest* request, pb::HistoryReply* reply) override {
    return guarded(context, "History", [&](const Caller&) {
      return on_loop([&] {
        std::uint32_t left = request->limit() == 0 ? UINT32_MAX : request->limit();
        bool newest = true;
        for (const config::Revision& revision : daemon_.configuration().history().list()) {
          if (left-- == 0) break;
          fill(revision, newest ? rolls_back() : 0, reply->add_revision());
          newest = false;
        }
      });
    });
  }

  Status Backends(ServerContext* context, const pb::Empty*, pb::BackendsReply* reply) override {
    return guarded(context, "Backends", [&](const Caller&) { return on_loop([&] { daemon_.describe(*reply); }); });
  }

  Status SetBackend(ServerContext* context, const pb::SetBackendRequest* request, pb::Empty*) override {
    return guarded(context, "SetBackend", [&](const Caller& who) {
      Status status;
      const Status ran = on_loop([&] {
        const auto done = daemon_.set_backend(request->pool(), request->backend(), admin_of(request->state()));
        if (!done) {
          status = {StatusCode::INVALID_ARGUMENT, done.error().message};
          return;
        }
        daemon_.events().add("operation", *done + " " + name_of(request->state()) + " by " + who.user);
      });
      return ran.ok() ? status : ran;
    });
  }

  Status Events(ServerContext* context, const pb::EventsRequest* request,
                grpc::ServerWriter<pb::Event>* writer) override {
    return guarded(context, "Events", [&](const Caller&) {
      std::uint64_t seen = 0;
      const auto write = [&](const std::vector<app::Event>& events) {
        for (const app::Event& event : events) {
          pb::Event out;
          out.set_number(event.number);
          out.set_time_ms(event.time_ms);
          out.set_kind(event.kind);
          out.set_text(event.text);
          if (!writer->Write(out)) return false;
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

  // What the dataplane knows, passed on.
#define HEADGATE_PASS_ON(NAME, REQUEST, REPLY)                                                 \
  Status NAME(ServerContext* context, const dp::REQUEST* request, dp::REPLY* reply) override { \
    return guarded(context, #NAME, [&](const Caller&) {                                        \
      const auto onward = grpc::ClientContext::FromServerContext(*context);                    \
      return explained(dataplane_->NAME(onward.get(), *request, reply));                       \
    });                                                                                        \
  }
  HEADGATE_PASS_ON(Running, RunningRequest, RunningReply)
  HEADGATE_PASS_ON(Stats, StatsRequest, StatsReply)
  HEADGATE_PASS_ON(ListFlows, FlowFilter, FlowsReply)
  HEADGATE_PASS_ON(Explain, ExplainRequest, ExplainReply)
  HEADGATE_PASS_ON(Neighbors, NeighborsRequest, NeighborsReply)
#undef HEADGATE_PASS_ON

  Status ClearFlows(ServerContext* context, const dp::FlowFilter* request, dp::ClearFlowsReply* reply) override {
    return guarded(context, "ClearFlows", [&](const Caller& who) {
      const auto onward = grpc::ClientContext::FromServerContext(*context);
      const Status status = explained(dataplane_->ClearFlows(onward.get(), *request, reply));
      if (status.ok())
        daemon_.events().add("operation", std::to_string(reply->cleared()) + " flows cleared by " + who.user);
      return status;
    });
  }
  Status StreamStats(ServerContext* context, const dp::StatsRequest* request,
                     grpc::ServerWriter<dp::StatsReply>* writer) override {
    return guarded(context, "StreamStats", [&](const Caller&) {
      const auto onward = grpc::ClientContext::FromServerContext(*context);
      return relay<dp::StatsReply>(*onward, dataplane_->StreamStats(onward.get(), *request), writer);
    });
  }
  Status Capture(ServerContext* context, const dp::CaptureRequest* request,
                 grpc::ServerWriter<dp::CapturedPacket>* writer) override {
    return guarded(context, "Capture", [&](const Caller& who) {
      daemon_.events().add("operation", "capture by " + who.user);
      const auto onward = grpc::ClientContext::FromServerContext(*context);
      return relay<dp::CapturedPacket>(*onward, dataplane_->Capture(onward.get(), *request), writer);
    });
  }

 private:
  template <class Run>
  Status guarded(ServerContext* context, const char* method, Run run) {
    const auto who = door_->caller(context->peer());
    if (!who) return {StatusCode::UNAUTHENTICATED, "who asks is not known"};
    const pb::Role least = role_of(method);
    if (least == pb::ROLE_UNSPECIFIED || who->role < least) {
      spdlog::warn("management: {} ({}) may not call {}", who->user, pb::Role_Name(who->role), method);
      return {StatusCode::PERMISSION_DENIED, who->user + " may not do this: it takes the role " + pb::Role_Name(least) +
                                                 "; ask to be put into the group that has it"};
    }
    return run(*who);
  }

  // Runs on the event loop; the caller waits.
  Status on_loop(const std::function<void()>& task) {
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

  // The dataplane's word on what was committed, for as long as an operator likes to wait.
  Status await_trial(pb::CommitReply& reply) {
    const std::uint64_t revision = reply.revision().number();
    const auto end = std::chrono::steady_clock::now() + kTrialWait;
    for (;;) {
      Daemon::Trial trial;
      Status ran = on_loop([&] {
        trial = daemon_.trial(revision);
        if (trial.state == Daemon::Trial::State::refused)
          fill(daemon_.configuration().revision(), rolls_back(), reply.mutable_revision());
      });
      if (!ran.ok()) return ran;
      reply.set_runs(trial.state == Daemon::Trial::State::runs);
      if (trial.state == Daemon::Trial::State::refused) {
        reply.set_outcome(pb::CommitReply::REFUSED);
        fill(trial.errors, reply.mutable_diagnostic());
      }
      if (trial.state != Daemon::Trial::State::waiting || std::chrono::steady_clock::now() > end) return Status::OK;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  template <class Reply, class Reader>
  Status relay(grpc::ClientContext& onward, Reader reader, grpc::ServerWriter<Reply>* writer) {
    Reply reply;
    while (reader->Read(&reply)) {
      if (!writer->Write(reply) || stopping_) onward.TryCancel();
    }
    return explained(reader->Finish());
  }

  static Status explained(const Status& status) {
    if (status.error_code() != StatusCode::UNAVAILABLE || status.error_message().find("worker") != std::string::npos)
      return status;
    return {StatusCode::UNAVAILABLE,
            "the dataplane does not answer: it is starting, or it does not run (see show log)"};
  }
  static Status too_large() { return {StatusCode::INVALID_ARGUMENT, "the configuration is larger than 8 MiB"}; }
  std::uint64_t rolls_back() const { return daemon_.configuration().rolls_back_in_s(machine_now()).value_or(0); }
  static Proposal proposal(const std::string& text, const std::string& file) {
    Proposal wanted;
    wanted.text = text;
    if (!file.empty()) wanted.file = file;
    return wanted;
  }

  asio::io_context& io_;
  Daemon& daemon_;
  const Door* door_ = nullptr;
  std::unique_ptr<dp::Dataplane::Stub> dataplane_;
  std::atomic<bool> stopping_{false};
};

Management::Management() = default;

Management::~Management() {
  if (service_) service_->stop();
  exporter_.reset();
  if (server_) {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server_->Wait();
  }
}

config::Result<std::unique_ptr<Management>> Management::start(asio::io_context& io, Daemon& daemon,
                                                              const Options& options) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::unique_ptr<Management> management(new Management());
  management->service_ = std::make_unique<Service>(io, daemon, options.dataplane);
  grpc::ServerBuilder builder;
  grpc::ResourceQuota quota("management");
  quota.SetMaxThreads(kThreadsMax);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(kMessageMax);
  builder.RegisterService(management->service_.get());
  management->server_ = builder.BuildAndStart();
  if (!management->server_) return config::fail("the management API could not be started");
  auto door = Door::open(io, options.socket, *management->server_, options.groups);
  if (!door) return config::fail(door.error().message);
  management->door_ = std::move(*door);
  management->service_->set_door(management->door_.get());
  if (!options.metrics.empty()) {
    auto exporter = monitor::Exporter::start(
        options.metrics,
        [service = management->service_.get()](monitor::Sample& sample) { return service->collect(sample); });
    if (!exporter) return config::fail(exporter.error().message);
    management->exporter_ = std::move(*exporter);
  }
  return management;
}

}  // namespace headgate::app
