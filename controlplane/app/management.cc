#include "controlplane/app/management.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <spdlog/spdlog.h>

#include "controlplane/app/management_service.h"

namespace headgate::app {
namespace {

constexpr int kMessageMax = 16 << 20;          // bytes of a request
constexpr int kThreadsMax = 64;                // of gRPC; streams hold one each (streams.h)
constexpr std::size_t kMemoryMax = 256 << 20;  // bytes of all messages under way
constexpr int kCallsOfConnectionMax = 16;      // a quarter of the threads: reflection's streams ask for no role

}  // namespace

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
