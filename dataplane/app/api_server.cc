#include "dataplane/app/api_server.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "dataplane/api/dataplane.grpc.pb.h"
#include "dataplane/app/connection_query.h"
#include "dataplane/app/explain_query.h"
#include "dataplane/app/flow_query.h"
#include "dataplane/packet/summary.h"
#include "dataplane/telemetry/capture.h"

namespace headgate::app {

namespace pb = dataplane::v1;

namespace {

constexpr int kMessageMax = 64 << 20;           // a snapshot of the largest tables is a few megabytes
constexpr std::uint32_t kFlowsPerTask = 16384;  // table entries looked at between two bursts
constexpr auto kWatchPoll = std::chrono::milliseconds(100), kWatchInterval = std::chrono::milliseconds(1000);
constexpr auto kCapturePoll = std::chrono::milliseconds(10);

grpc::Status to_status(const Error& error) {
  switch (error.code) {
    case ErrorCode::invalid_argument:
      return {grpc::StatusCode::INVALID_ARGUMENT, error.message};
    case ErrorCode::not_found:
      return {grpc::StatusCode::NOT_FOUND, error.message};
    case ErrorCode::unavailable:
      return {grpc::StatusCode::UNAVAILABLE, error.message};
    default:
      return {grpc::StatusCode::INTERNAL, error.message};
  }
}

Result<telemetry::CaptureFilter> parse_capture(const pb::CaptureRequest& request) {
  telemetry::CaptureFilter filter;
  if (!request.host().empty()) {
    filter.host = parse_prefix(request.host());
    if (!filter.host)
      return fail(ErrorCode::invalid_argument, "host: '" + request.host() + "' is no address or prefix");
  }
  if (request.port() > 65535) return fail(ErrorCode::invalid_argument, "port: at most 65535");
  filter.port = static_cast<std::uint16_t>(request.port());
  if (!request.verdict().empty()) {
    for (unsigned i = 0; i < telemetry::kExits; ++i) {
      if (request.verdict() == telemetry::to_string(static_cast<telemetry::Exit>(i)))
        filter.exit = static_cast<telemetry::Exit>(i);
    }
    if (!filter.exit)
      return fail(ErrorCode::invalid_argument,
                  "verdict: '" + request.verdict() +
                      "' is none of forwarded, answered, consumed, exception, handed_over, held, dropped");
  }
  if (!request.drop_reason().empty()) {
    for (unsigned i = 0; i < telemetry::kDropReasons; ++i) {
      if (request.drop_reason() == telemetry::to_string(static_cast<telemetry::DropReason>(i)))
        filter.drop_reason = static_cast<telemetry::DropReason>(i);
    }
    if (!filter.drop_reason)
      return fail(ErrorCode::invalid_argument, "drop_reason: there is no reason '" + request.drop_reason() + "'");
  }
  if (request.packets_max() > 100'000) return fail(ErrorCode::invalid_argument, "packets_max: at most 100000");
  if (request.seconds_max() > 600) return fail(ErrorCode::invalid_argument, "seconds_max: at most 600");
  if (request.snap_length() > telemetry::kSnapLengthMax)
    return fail(ErrorCode::invalid_argument, "snap_length: at most 2048");
  if (request.snap_length() != 0) filter.snap_length = request.snap_length();
  return filter;
}

}  // namespace

class ApiServer::Service final : public pb::Dataplane::Service {
 public:
  explicit Service(Box& box) : box_(box) {}

  grpc::Status Apply(grpc::ServerContext*, const pb::ApplyRequest* request, pb::ApplyReply* reply) override {
    *reply = box_.apply(request->snapshot());
    return grpc::Status::OK;
  }

  grpc::Status UpdateState(grpc::ServerContext*, const pb::StateUpdate* request, pb::StateReply* reply) override {
    *reply = box_.update_state(*request);
    return grpc::Status::OK;
  }

  grpc::Status SetFailover(grpc::ServerContext*, const pb::FailoverInput* request, pb::FailoverState* reply) override {
    box_.election().input(*request);
    box_.election().describe(*reply);
    return grpc::Status::OK;
  }

  grpc::Status WatchFailover(grpc::ServerContext* context, const pb::WatchRequest*,
                             grpc::ServerWriter<pb::FailoverState>* writer) override {
    std::uint32_t seen = 0;
    auto said = std::chrono::steady_clock::time_point{};
    while (!context->IsCancelled() && !stopping_) {
      const std::uint32_t changes = box_.election().wait_for_change(seen, kWatchPoll);
      const auto now = std::chrono::steady_clock::now();
      if (changes == seen && now - said < kWatchInterval) continue;
      seen = changes;
      said = now;
      pb::FailoverState state;
      box_.election().describe(state);
      if (!writer->Write(state)) break;
    }
    return grpc::Status::OK;
  }

  grpc::Status Running(grpc::ServerContext*, const pb::RunningRequest*, pb::RunningReply* reply) override {
    box_.running(*reply);
    return grpc::Status::OK;
  }

  grpc::Status Stats(grpc::ServerContext*, const pb::StatsRequest* request, pb::StatsReply* reply) override {
    BusyTimes since = box_.busy();
    std::this_thread::sleep_for(std::chrono::milliseconds(std::clamp<std::uint32_t>(request->interval_ms(), 20, 1000)));
    box_.stats(*reply, since);
    return grpc::Status::OK;
  }

  grpc::Status StreamStats(grpc::ServerContext* context, const pb::StatsRequest* request,
                           grpc::ServerWriter<pb::StatsReply>* writer) override {
    const auto interval = std::chrono::milliseconds(
        request->interval_ms() == 0 ? 1000 : std::clamp<std::uint32_t>(request->interval_ms(), 100, 60'000));
    BusyTimes since = box_.busy();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that the first share is one, too
    while (!context->IsCancelled() && !stopping_) {
      pb::StatsReply reply;
      box_.stats(reply, since);
      if (!writer->Write(reply)) break;
      wait(*context, interval);
    }
    return grpc::Status::OK;
  }

  grpc::Status ListFlows(grpc::ServerContext* context, const pb::FlowFilter* request, pb::FlowsReply* reply) override {
    return each_flow(context, *request, false, [&](worker::Worker& worker, flow::Flow& flow, std::uint32_t limit) {
      if (static_cast<std::uint32_t>(reply->flow_size()) >= limit) {
        reply->set_more(true);
        return false;
      }
      describe_flow(worker, flow, reply->add_flow());
      return true;
    });
  }

  grpc::Status ListConnections(grpc::ServerContext* context, const pb::FlowFilter* request,
                               pb::ConnectionsReply* reply) override {
    return each_session(context, *request, [&](worker::Worker& worker, const FlowQuery& query, SessionCursor& cursor) {
      list_connections(worker, query, cursor, *reply);
    });
  }

  grpc::Status ClearSessions(grpc::ServerContext* context, const pb::FlowFilter* request,
                             pb::ClearSessionsReply* reply) override {
    return each_session(context, *request, [&](worker::Worker& worker, const FlowQuery& query, SessionCursor& cursor) {
      clear_sessions(worker, query, cursor, *reply);
    });
  }

  grpc::Status ClearFlows(grpc::ServerContext* context, const pb::FlowFilter* request,
                          pb::ClearFlowsReply* reply) override {
    pb::FlowFilter all = *request;
    return each_flow(context, all, true, [&](worker::Worker& worker, flow::Flow& flow, std::uint32_t) {
      worker.clear_flow(flow);
      reply->set_cleared(reply->cleared() + 1);
      return true;
    });
  }

  grpc::Status Capture(grpc::ServerContext* context, const pb::CaptureRequest* request,
                       grpc::ServerWriter<pb::CapturedPacket>* writer) override {
    const auto filter = parse_capture(*request);
    if (!filter) return to_status(filter.error());
    const std::unique_lock only(capture_mutex_, std::try_to_lock);
    if (!only.owns_lock()) return {grpc::StatusCode::RESOURCE_EXHAUSTED, "another capture runs; stop it first"};
    std::vector<std::unique_ptr<telemetry::Capture>> captures;
    Fleet& fleet = box_.fleet();
    for (unsigned i = 0; i < fleet.size(); ++i) {
      captures.push_back(std::make_unique<telemetry::Capture>(*filter));
      fleet.run(i, [&](worker::Worker& worker) { worker.set_capture(captures[i].get()); });
    }
    const auto until = std::chrono::steady_clock::now() +
                       std::chrono::seconds(request->seconds_max() == 0 ? 30 : request->seconds_max());
    std::uint32_t left = request->packets_max() == 0 ? 1000 : request->packets_max();
    telemetry::CapturedFrame frame;
    while (left != 0 && !context->IsCancelled() && !stopping_ && std::chrono::steady_clock::now() < until) {
      bool any = false;
      for (unsigned i = 0; i < captures.size() && left != 0; ++i) {
        while (left != 0 && captures[i]->take(frame)) {
          any = true;
          --left;
          if (!writer->Write(describe(frame, i, captures[i]->lost()))) left = 0;
        }
      }
      if (!any) std::this_thread::sleep_for(kCapturePoll);
    }
    for (unsigned i = 0; i < fleet.size(); ++i) {
      // A worker that does not answer keeps its pointer: then its capture must live on.
      if (fleet.run(i, [](worker::Worker& worker) { worker.set_capture(nullptr); })) continue;
      [[maybe_unused]] const telemetry::Capture* kept = captures[i].release();
    }
    return grpc::Status::OK;
  }

  grpc::Status Explain(grpc::ServerContext*, const pb::ExplainRequest* request, pb::ExplainReply* reply) override {
    auto answer = explain(box_, *request);
    if (!answer) return to_status(answer.error());
    *reply = std::move(*answer);
    return grpc::Status::OK;
  }

  grpc::Status Neighbors(grpc::ServerContext*, const pb::NeighborsRequest*, pb::NeighborsReply* reply) override {
    const bool answered = box_.fleet().run(0, [&](worker::Worker& worker) {
      worker.neighbors().for_each([&](const neighbor::Neighbor& neighbor) {
        auto* n = reply->add_neighbor();
        n->set_address(to_string(neighbor.address));
        if (neighbor.usable()) n->set_mac(to_string(neighbor.mac));
        n->set_state(neighbor::to_string(neighbor.state));
        n->set_age_ms((worker.now() - neighbor.changed) / kMillisecond);
        for (const auto& interface :
             worker.snapshot() != nullptr ? worker.snapshot()->interfaces : std::vector<snapshot::Interface>{}) {
          if (interface.id == neighbor.interface) n->set_interface(interface.name);
        }
      });
    });
    return answered ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAVAILABLE, "worker 0 does not answer");
  }

  void stop() { stopping_ = true; }

 private:
  void wait(grpc::ServerContext& context, std::chrono::milliseconds span) const {
    const auto until = std::chrono::steady_clock::now() + span;
    while (std::chrono::steady_clock::now() < until && !context.IsCancelled() && !stopping_) {
      std::this_thread::sleep_for(
          std::min<std::chrono::nanoseconds>(std::chrono::milliseconds(50), until - std::chrono::steady_clock::now()));
    }
  }

  pb::CapturedPacket describe(const telemetry::CapturedFrame& frame, unsigned worker, std::uint64_t lost) const {
    pb::CapturedPacket packet;
    // Wall time for people; the worker's clock only gives differences.
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    const Nanos age = box_.fleet().clock().now() - frame.time;
    packet.set_time_ns(static_cast<std::uint64_t>(std::chrono::nanoseconds(wall).count()) - age);
    packet.set_worker(worker);
    packet.set_port(box_.ports()[frame.port].name);
    packet.set_verdict(telemetry::to_string(frame.exit));
    if (frame.reason != telemetry::DropReason::count) packet.set_drop_reason(telemetry::to_string(frame.reason));
    packet.set_length(frame.length);
    packet.set_data(frame.data.data(), frame.captured);
    packet.set_summary(packet::summary({frame.data.data(), frame.captured}, frame.length));
    packet.set_lost(lost);
    return packet;
  }

  // In slices between the worker's bursts; a flow that moves meanwhile may be seen twice or not at all. `resets`: what
  // `visit` does sends RST, so a slice ends when the worker's step can send no more.
  template <class F>
  grpc::Status each_flow(grpc::ServerContext* context, const pb::FlowFilter& filter, bool resets, F&& visit) {
    const auto snapshot = box_.current();
    const auto query = parse_flow_query(filter, snapshot.get());
    if (!query) return to_status(query.error());
    bool more = true;
    for (unsigned i = 0; i < box_.fleet().size() && more; ++i) {
      flow::FlowIndex next = 0;
      bool end = false;
      while (!end && more && !context->IsCancelled()) {
        const bool answered = box_.fleet().run(i, [&](worker::Worker& worker) {
          flow::FlowTable& flows = worker.flows();
          const flow::FlowIndex stop = std::min(flows.high_water(), next + kFlowsPerTask);
          for (; next < stop && more && (!resets || worker.resets_left() != 0); ++next) {
            if (query->matches(flows.at(next))) more = visit(worker, flows.at(next), query->limit);
          }
          end = next >= flows.high_water();
        });
        if (!answered) return {grpc::StatusCode::UNAVAILABLE, "worker " + std::to_string(i) + " does not answer"};
      }
    }
    return grpc::Status::OK;
  }

  // The same through sessions; `visit` moves the cursor by a slice.
  template <class F>
  grpc::Status each_session(grpc::ServerContext* context, const pb::FlowFilter& filter, F&& visit) {
    const auto snapshot = box_.current();
    const auto query = parse_flow_query(filter, snapshot.get());
    if (!query) return to_status(query.error());
    for (unsigned i = 0; i < box_.fleet().size(); ++i) {
      SessionCursor cursor;
      while (!cursor.at_end() && !context->IsCancelled()) {
        if (!box_.fleet().run(i, [&](worker::Worker& worker) { visit(worker, *query, cursor); }))
          return {grpc::StatusCode::UNAVAILABLE, "worker " + std::to_string(i) + " does not answer"};
      }
    }
    return grpc::Status::OK;
  }

  Box& box_;
  std::atomic<bool> stopping_{false};
  std::mutex capture_mutex_;
};

ApiServer::ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::start(Box& box, const std::string& socket, gid_t group) {
  std::unique_ptr<ApiServer> server(new ApiServer());
  server->socket_ = socket;
  server->service_ = std::make_unique<Service>(box);
  ::unlink(socket.c_str());  // of an earlier life; main holds the lock that says nobody else uses it
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  builder.RegisterService(server->service_.get());
  builder.SetMaxReceiveMessageSize(kMessageMax);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 2);
  grpc::ResourceQuota quota("api");
  quota.SetMaxThreads(32);
  builder.SetResourceQuota(quota);
  const mode_t mask = umask(0117);
  server->server_ = builder.BuildAndStart();
  umask(mask);
  if (!server->server_)
    return fail(ErrorCode::unavailable,
                "cannot listen on " + socket + ": check that its directory exists and may be written");
  if (group != static_cast<gid_t>(-1) && chown(socket.c_str(), static_cast<uid_t>(-1), group) != 0) {
    return fail(ErrorCode::permission_denied,
                "cannot give " + socket + " to group " + std::to_string(group) + ": " + std::strerror(errno));
  }
  return server;
}

ApiServer::~ApiServer() {
  if (service_) service_->stop();
  if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
  ::unlink(socket_.c_str());
}

}  // namespace headgate::app
