// The calls of the management API (management.h), in a file for each part of them: management_service.cc what all share
// and what needs no other, management_config.cc, management_dataplane.cc what the dataplane knows,
// management_failover.cc, management_machine.cc.
#pragma once

#include <spdlog/spdlog.h>

#include <atomic>
#include <future>

#include "controlplane/app/daemon.h"
#include "controlplane/app/logins.h"
#include "controlplane/app/management.h"
#include "controlplane/app/streams.h"
#include "controlplane/config/address.h"
#include "controlplane/system/program.h"

namespace headgate::app {

namespace pb = management::v1;
namespace dp = dataplane::v1;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

class Management::Service final : public pb::Management::Service {
 public:
  Service(asio::io_context& io, Daemon& daemon, const Options& options);

  void set_doors(const Door* door, const RemoteDoor* remote) {
    door_ = door;
    remote_ = remote;
  }

  Streams& streams() { return streams_; }
  void stop() { stopping_ = true; }

  // For monitoring; any thread. False when the event loop does not answer.
  bool collect(monitor::Sample& sample);

  Status WhoAmI(ServerContext* context, const pb::Empty*, pb::Identity* reply) override;
  Status GetSchema(ServerContext* context, const pb::Empty*, pb::Schema* reply) override;
  Status System(ServerContext* context, const pb::Empty*, pb::SystemReply* reply) override;
  Status GetConfig(ServerContext* context, const pb::ConfigRequest* request, pb::ConfigReply* reply) override;
  Status Check(ServerContext* context, const pb::CheckRequest* request, pb::CheckReply* reply) override;
  Status Commit(ServerContext* context, const pb::CommitRequest* request, pb::CommitReply* reply) override;
  Status Confirm(ServerContext* context, const pb::Empty*, pb::ConfirmReply* reply) override;
  Status History(ServerContext* context, const pb::HistoryRequest* request, pb::HistoryReply* reply) override;
  Status Backends(ServerContext* context, const pb::Empty*, pb::BackendsReply* reply) override;
  Status HttpRoutes(ServerContext* context, const pb::Empty*, pb::HttpRoutesReply* reply) override;
  Status SetBackend(ServerContext* context, const pb::SetBackendRequest* request, pb::Empty*) override;
  Status Events(ServerContext* context, const pb::EventsRequest* request,
                grpc::ServerWriter<pb::Event>* writer) override;
  // What the dataplane knows, passed on.
  Status Running(ServerContext* context, const dp::RunningRequest* request, dp::RunningReply* reply) override;
  Status Stats(ServerContext* context, const dp::StatsRequest* request, dp::StatsReply* reply) override;
  Status ListFlows(ServerContext* context, const dp::FlowFilter* request, dp::FlowsReply* reply) override;
  Status ListConnections(ServerContext* context, const dp::FlowFilter* request, dp::ConnectionsReply* reply) override;
  Status Explain(ServerContext* context, const dp::ExplainRequest* request, dp::ExplainReply* reply) override;
  Status Neighbors(ServerContext* context, const dp::NeighborsRequest* request, dp::NeighborsReply* reply) override;
  Status ClearFlows(ServerContext* context, const dp::FlowFilter* request, dp::ClearFlowsReply* reply) override;
  Status ClearSessions(ServerContext* context, const dp::FlowFilter* request, dp::ClearSessionsReply* reply) override;
  Status StreamStats(ServerContext* context, const dp::StatsRequest* request,
                     grpc::ServerWriter<dp::StatsReply>* writer) override;
  Status Capture(ServerContext* context, const dp::CaptureRequest* request,
                 grpc::ServerWriter<dp::CapturedPacket>* writer) override;
  Status PairBox(ServerContext* context, const pb::PairRequest* request, pb::PairReply* reply) override;
  Status UnpairBox(ServerContext* context, const pb::Empty*, pb::PairReply* reply) override;
  Status RotateKey(ServerContext* context, const pb::Empty*, pb::PairReply* reply) override;
  Status AdoptConfig(ServerContext* context, const pb::AdoptRequest* request, pb::PairReply* reply) override;
  Status Failover(ServerContext* context, const pb::Empty*, pb::FailoverReply* reply) override;
  Status SwitchGroup(ServerContext* context, const pb::SwitchRequest* request, pb::SwitchReply* reply) override;
  Status PauseGroup(ServerContext* context, const pb::PauseRequest* request, pb::Empty*) override;
  Status WhatIf(ServerContext* context, const pb::WhatIfRequest* request, pb::WhatIfReply* reply) override;
  Status Services(ServerContext* context, const pb::Empty*, pb::ServicesReply* reply) override;
  Status Interfaces(ServerContext* context, const pb::Empty*, pb::InterfacesReply* reply) override;
  Status Routes(ServerContext* context, const pb::Empty*, pb::RoutesReply* reply) override;
  Status Ping(ServerContext* context, const pb::PingRequest* request, grpc::ServerWriter<pb::Line>* writer) override;
  Status Traceroute(ServerContext* context, const pb::TracerouteRequest* request,
                    grpc::ServerWriter<pb::Line>* writer) override;
  Status SupportBundle(ServerContext* context, const pb::Empty*, grpc::ServerWriter<pb::BundlePart>* writer) override;
  Status Restart(ServerContext* context, const pb::RestartRequest* request, pb::Empty*) override;
  Status Reboot(ServerContext* context, const pb::Empty*, pb::Empty*) override;

 private:
  static constexpr unsigned kToolsMax = 4;                  // pings and traceroutes at once
  static constexpr std::chrono::seconds kDataplaneWait{2};  // for what an answer can do without
  static constexpr std::chrono::seconds kPeerWait{25};      // the link bounds each step of what it does

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

  config::FlowsNow flows_now();
  std::string described(const dp::FlowFilter& filter);

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
    if (!ended) return {StatusCode::UNAVAILABLE, ended.error().message};
    if (ended->good() || ended->stopped) return Status::OK;
    return {StatusCode::NOT_FOUND, address->to_string() + " was not reached"};
  }

  Status supervised(const std::string& request, const std::string& what, const Caller& who);

  template <class Run>
  Status guarded(ServerContext* context, const char* method, Run run) {
    auto who = door_->caller(context->peer());
    if (!who) who = remote_->caller(*context);
    if (!who) return {StatusCode::UNAUTHENTICATED, "who asks is not known"};
    if (const std::string login = logins_.note(who->user, context->peer(), Logins::Clock::now()); !login.empty())
      daemon_.events().add("login", login + " (" + pb::Role_Name(who->role) + ")", Severity::info, who->user);
    const pb::Role least = role_of(method);
    if (least == pb::ROLE_UNSPECIFIED || who->role < least) {
      spdlog::warn("management: {} ({}) may not call {}", who->user, pb::Role_Name(who->role), method);
      return {StatusCode::PERMISSION_DENIED, who->user + " may not do this: it takes the role " + pb::Role_Name(least) +
                                                 "; ask to be put into the group that has it"};
    }
    return run(*who);
  }

  // Runs on the event loop; the caller waits.
  Status on_loop(const std::function<void()>& task);

  // What the event loop begins and something else ends, like the peer's answer.
  template <class Result, class Begin>
  Status later(Begin begin, Result& result) {
    const auto answer = std::make_shared<std::promise<Result>>();  // the answer may come when nobody waits any more
    std::future<Result> came = answer->get_future();
    const std::function<void(Result)> done = [answer](Result what) { answer->set_value(std::move(what)); };
    if (Status ran = on_loop([&] { begin(done); }); !ran.ok()) return ran;
    const auto end = std::chrono::steady_clock::now() + kPeerWait;
    while (!stopping_ && std::chrono::steady_clock::now() < end) {
      if (came.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) continue;
      result = came.get();
      return Status::OK;
    }
    return {StatusCode::UNAVAILABLE, "what came of it is not known: show log"};
  }

  template <class Begin>
  Status said(pb::PairReply& reply, Begin begin) {
    config::Result<std::string> result;
    if (Status ran = later<config::Result<std::string>>(begin, result); !ran.ok()) return ran;
    if (!result) return {StatusCode::FAILED_PRECONDITION, result.error().message};
    reply.set_text(*result);
    return Status::OK;
  }

  // The dataplane's word on what was committed, for as long as an operator likes to wait.
  Status await_trial(pb::CommitReply& reply);

  // What came of a planned switch. The director bounds it in time; a commit that removes the group does not.
  Status await_switch(const std::string& group, pb::SwitchReply& reply);

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

  static Status explained(const Status& status);
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
  Logins logins_;
  std::unique_ptr<dp::Dataplane::Stub> dataplane_;
  const std::string supervisor_;
  const std::function<std::string()> recent_log_;
  std::atomic<unsigned> tools_{0}, bundles_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace headgate::app
