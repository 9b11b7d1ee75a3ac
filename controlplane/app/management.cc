#include "controlplane/app/management.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <spdlog/spdlog.h>

#include <asio/post.hpp>
#include <future>
#include <thread>

#include "controlplane/app/credentials.h"
#include "controlplane/app/daemon.h"
#include "controlplane/app/network_view.h"
#include "controlplane/app/remote_door.h"
#include "controlplane/app/replies.h"
#include "controlplane/app/streams.h"
#include "controlplane/app/support_bundle.h"
#include "controlplane/config/address.h"
#include "controlplane/config/print.h"
#include "controlplane/system/program.h"
#include "controlplane/system/supervisor_client.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;
namespace dp = dataplane::v1;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

constexpr int kMessageMax = 16 << 20;          // bytes of a request
constexpr int kThreadsMax = 64;                // of gRPC; streams hold one each (streams.h)
constexpr std::size_t kMemoryMax = 256 << 20;  // bytes of all messages under way
constexpr int kCallsOfConnectionMax = 16;      // a quarter of the threads: reflection's streams ask for no role
constexpr std::size_t kTextMax = 8 << 20;
constexpr unsigned kToolsMax = 4;  // pings and traceroutes at once
constexpr std::size_t kBundlePart = 256 << 10;
constexpr std::chrono::seconds kLoopWait{10};
constexpr std::chrono::seconds kDataplaneWait{2};  // for what an answer can do without
constexpr std::chrono::seconds kTrialWait{3};  // thousands of new maglev tables take longer; then the console says so

health::Admin admin_of(pb::SetBackendRequest::State state) {
  return state == pb::SetBackendRequest::ENABLE  ? health::Admin::enabled
         : state == pb::SetBackendRequest::DRAIN ? health::Admin::drain
                                                 : health::Admin::disabled;
}

// Files that do not fit are told before a commit, not found after it.
std::vector<config::Diagnostic> credential_problems(const std::string& text, const std::string& file) {
  if (text.find("management") == std::string::npos) return {};
  const config::Document document = config::load_text(file, text);
  if (!document.ok() || !document.config.has_management()) return {};
  const auto loaded = load_credentials(document.config.management());
  if (loaded) return {};
  const config::Location where = document.root().child("management").location();
  return {{config::Severity::error, file, where, loaded.error().message}};
}

}  // namespace

pb::Role role_of(const std::string& method) {
  static const auto* service = pb::Empty::descriptor()->file()->FindServiceByName("Management");
  const auto* found = service->FindMethodByName(method);
  return found == nullptr ? pb::ROLE_UNSPECIFIED : found->options().GetExtension(pb::role);
}

class Management::Service final : public pb::Management::Service {
 public:
  Service(asio::io_context& io, Daemon& daemon, const Options& options)
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
  void set_doors(const Door* door, const RemoteDoor* remote) {
    door_ = door;
    remote_ = remote;
  }
  Streams& streams() { return streams_; }
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
      daemon_.events().add("login", who.user + " (" + pb::Role_Name(who.role) + ")", Severity::info, who.user);
      return Status::OK;
    });
  }

  Status GetSchema(ServerContext* context, const pb::Empty*, pb::Schema* reply) override {
    return guarded(context, "GetSchema", [&](const Caller&) {
      google::protobuf::FileDescriptorSet files;
      fill(files);
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
        if (const std::string problem = remote_->problem(); !problem.empty()) reply->add_problem(problem);
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
        config::Document document = config::parse("revision", *text);
        if (!document.readable) {
          status = {StatusCode::FAILED_PRECONDITION,
                    "revision " + std::to_string(number) + " does not fit this version; an administrator can read it"};
          return;
        }
        config::attach_comments(document, *text);
        reply->set_text(config::print(document.config, config::Secrets::redacted));
      });
      return ran.ok() ? status : ran;
    });
  }

  Status Check(ServerContext* context, const pb::CheckRequest* request, pb::CheckReply* reply) override {
    return guarded(context, "Check", [&](const Caller& who) {
      if (request->text().size() > kTextMax) return too_large();
      // The text names the files: what is in them, or whether there are any, is not for an operator to learn.
      std::vector<config::Diagnostic> problems;
      if (who.role == pb::ADMIN) problems = credential_problems(request->text(), request->file());
      return on_loop([&] {
        const Verdict verdict = daemon_.configuration().check(proposal(request->text(), request->file()));
        fill(verdict.diagnostics, reply->mutable_diagnostic());
        fill(problems, reply->mutable_diagnostic());
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
      if (const auto problems = credential_problems(request->text(), "candidate"); !problems.empty()) {
        reply->set_outcome(pb::CommitReply::INVALID);
        fill(problems, reply->mutable_diagnostic());
        return on_loop([&] { fill(daemon_.configuration().revision(), rolls_back(), reply->mutable_revision()); });
      }
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
        daemon_.events().add("operation", *done + " " + name_of(request->state()) + " by " + who.user, Severity::notice,
                             who.user);
      });
      return ran.ok() ? status : ran;
    });
  }

  Status Events(ServerContext* context, const pb::EventsRequest* request,
                grpc::ServerWriter<pb::Event>* writer) override {
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
        daemon_.events().add("operation", std::to_string(reply->cleared()) + " flows cleared by " + who.user,
                             Severity::notice, who.user);
      return status;
    });
  }
  Status StreamStats(ServerContext* context, const dp::StatsRequest* request,
                     grpc::ServerWriter<dp::StatsReply>* writer) override {
    return guarded(context, "StreamStats", [&](const Caller&) {
      const auto onward = grpc::ClientContext::FromServerContext(*context);
      return relay<dp::StatsReply>(context, *onward, dataplane_->StreamStats(onward.get(), *request), writer);
    });
  }
  Status Capture(ServerContext* context, const dp::CaptureRequest* request,
                 grpc::ServerWriter<dp::CapturedPacket>* writer) override {
    return guarded(context, "Capture", [&](const Caller& who) {
      daemon_.events().add("operation", "capture by " + who.user, Severity::notice, who.user);
      const auto onward = grpc::ClientContext::FromServerContext(*context);
      return relay<dp::CapturedPacket>(context, *onward, dataplane_->Capture(onward.get(), *request), writer);
    });
  }

  Status Interfaces(ServerContext* context, const pb::Empty*, pb::InterfacesReply* reply) override {
    return guarded(context, "Interfaces", [&](const Caller&) {
      dp::StatsReply stats;
      const bool known = ask_dataplane([&](auto& onward) { return dataplane_->Stats(&onward, {}, &stats); });
      return on_loop([&] { describe_interfaces(daemon_.configuration().config(), known ? &stats : nullptr, *reply); });
    });
  }
  Status Routes(ServerContext* context, const pb::Empty*, pb::RoutesReply* reply) override {
    return guarded(context, "Routes", [&](const Caller&) {
      dp::NeighborsReply neighbors;
      const bool known = ask_dataplane([&](auto& onward) { return dataplane_->Neighbors(&onward, {}, &neighbors); });
      return on_loop([&] { describe_routes(daemon_.configuration().config(), known ? &neighbors : nullptr, *reply); });
    });
  }

  Status Ping(ServerContext* context, const pb::PingRequest* request, grpc::ServerWriter<pb::Line>* writer) override {
    return guarded(context, "Ping", [&](const Caller& who) -> Status {
      const unsigned count = request->count() == 0 ? 5 : request->count();
      if (count > system::kPingsMax)
        return {StatusCode::INVALID_ARGUMENT, "at most " + std::to_string(system::kPingsMax) + " pings at once"};
      return tool(context, who, "ping", request->address(), writer,
                  [&](const std::string& address) { return system::ping_program(address, count); });
    });
  }
  Status Traceroute(ServerContext* context, const pb::TracerouteRequest* request,
                    grpc::ServerWriter<pb::Line>* writer) override {
    return guarded(context, "Traceroute", [&](const Caller& who) {
      return tool(context, who, "traceroute", request->address(), writer, system::traceroute_program);
    });
  }

  Status SupportBundle(ServerContext* context, const pb::Empty*, grpc::ServerWriter<pb::BundlePart>* writer) override {
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

  Status Restart(ServerContext* context, const pb::RestartRequest* request, pb::Empty*) override {
    return guarded(context, "Restart", [&](const Caller& who) -> Status {
      if (request->what() != pb::RestartRequest::DATAPLANE && request->what() != pb::RestartRequest::CONTROLPLANE)
        return {StatusCode::INVALID_ARGUMENT, "say what to restart"};
      const char* what = request->what() == pb::RestartRequest::DATAPLANE ? "dataplane" : "controlplane";
      return supervised(std::string("restart ") + what, std::string("restart of the ") + what, who);
    });
  }
  Status Reboot(ServerContext* context, const pb::Empty*, pb::Empty*) override {
    return guarded(context, "Reboot", [&](const Caller& who) { return supervised("reboot", "reboot", who); });
  }

 private:
  // One of so many; false when all are taken.
  class Slot {
   public:
    Slot(std::atomic<unsigned>& taken, unsigned most) : taken_(taken), got_(taken.fetch_add(1) < most) {}
    ~Slot() { taken_.fetch_sub(1); }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    explicit operator bool() const { return got_; }

   private:
    std::atomic<unsigned>& taken_;
    const bool got_;
  };

  template <class Call>
  bool ask_dataplane(Call call) {
    grpc::ClientContext onward;
    onward.set_deadline(std::chrono::system_clock::now() + kDataplaneWait);
    return call(onward).ok();
  }

  // The address as we write it, so that nothing of what was sent reaches the program's command line.
  template <class MakeProgram>
  Status tool(ServerContext* context, const Caller& who, const char* name, const std::string& text,
              grpc::ServerWriter<pb::Line>* writer, MakeProgram program) {
    const auto address = config::parse_address(text);
    if (!address) return {StatusCode::INVALID_ARGUMENT, "'" + text.substr(0, 100) + "' is no IP address"};
    Streams::Stream stream(streams_, context);
    if (!stream) return Streams::too_many();
    const Slot slot(tools_, kToolsMax);
    if (!slot)
      return {StatusCode::RESOURCE_EXHAUSTED, std::to_string(kToolsMax) + " such commands run already; try again"};
    daemon_.events().add("operation", std::string(name) + " " + address->to_string() + " by " + who.user,
                         Severity::info, who.user);
    const auto ended = system::run(program(address->to_string()), [&](std::string_view line) {
      if (context->IsCancelled() || stopping_) return false;
      if (line.data() == nullptr) return true;
      pb::Line out;
      out.set_text(std::string(line));
      return stream.write(writer, out);
    });
    return ended ? Status::OK : Status(StatusCode::UNAVAILABLE, ended.error().message);
  }

  Status supervised(const std::string& request, const std::string& what, const Caller& who) {
    daemon_.events().add("operation", what + " by " + who.user, Severity::warning, who.user);
    const auto done = system::ask_supervisor(supervisor_, request);
    return done ? Status::OK : Status(StatusCode::FAILED_PRECONDITION, done.error().message);
  }

  template <class Run>
  Status guarded(ServerContext* context, const char* method, Run run) {
    auto who = door_->caller(context->peer());
    if (!who) who = remote_->caller(*context);
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
  Status relay(ServerContext* context, grpc::ClientContext& onward, Reader reader, grpc::ServerWriter<Reply>* writer) {
    Streams::Stream stream(streams_, context);
    if (!stream) {
      onward.TryCancel();
      static_cast<void>(reader->Finish());
      return Streams::too_many();
    }
    Reply reply;
    while (reader->Read(&reply)) {
      if (!stream.write(writer, reply) || stopping_) onward.TryCancel();
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
  const RemoteDoor* remote_ = nullptr;
  Streams streams_;
  std::unique_ptr<dp::Dataplane::Stub> dataplane_;
  const std::string supervisor_;
  const std::function<std::string()> recent_log_;
  std::atomic<unsigned> tools_{0}, bundles_{0};
  std::atomic<bool> stopping_{false};
};

Management::Management(asio::io_context& io) : timer_(io) {}

Management::~Management() {
  if (service_) service_->stop();
  exporter_.reset();
  remote_.reset();
  if (server_) {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server_->Wait();
  }
}

void Management::tick() {
  remote_->retry();
  if (const unsigned ended = service_->streams().end_slow(Streams::Clock::now()); ended > 0)
    spdlog::warn("management: {} streaming calls ended: nobody read them", ended);
  timer_.expires_after(std::chrono::seconds(1));
  timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) tick();
  });
}

void Management::adopt(const config::v1::Config& config) {
  remote_->adopt(config);
}

config::Result<std::unique_ptr<Management>> Management::start(asio::io_context& io, Daemon& daemon,
                                                              const Options& options) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::unique_ptr<Management> management(new Management(io));
  management->service_ = std::make_unique<Service>(io, daemon, options);
  const auto prepare = [service = management->service_.get()](grpc::ServerBuilder& builder) {
    grpc::ResourceQuota quota("management");
    quota.SetMaxThreads(kThreadsMax).Resize(kMemoryMax);
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(kMessageMax);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kCallsOfConnectionMax);
    builder.RegisterService(service);
  };
  grpc::ServerBuilder builder;
  prepare(builder);
  management->server_ = builder.BuildAndStart();
  if (!management->server_) return config::fail("the management API could not be started");
  auto door = Door::open(io, options.socket, *management->server_, options.groups);
  if (!door) return config::fail(door.error().message);
  management->door_ = std::move(*door);
  management->remote_ = std::make_unique<RemoteDoor>(prepare, daemon.events());
  management->service_->set_doors(management->door_.get(), management->remote_.get());
  management->adopt(daemon.configuration().config());
  management->tick();
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
