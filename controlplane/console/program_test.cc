// The real program against a server of the dataplane's contract.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "dataplane/api/dataplane.grpc.pb.h"

namespace headgate::console {
namespace {

using namespace dataplane::v1;
using testing::HasSubstr;

class TestDataplane : public Dataplane::Service {
 public:
  grpc::Status Stats(grpc::ServerContext*, const StatsRequest*, StatsReply* reply) override {
    for (const std::uint32_t id : {3u, 4u}) {
      auto& service = *reply->add_service();
      service.set_id(id);
      service.set_name(id == 3 ? "web" : "dns");
    }
    for (const std::uint32_t id : {1u, 2u}) {
      auto& backend = *reply->add_backend();
      backend.set_id(id);
      backend.set_name("web1");
    }
    return grpc::Status::OK;
  }
  grpc::Status StreamStats(grpc::ServerContext* context, const StatsRequest*,
                           grpc::ServerWriter<StatsReply>* writer) override {
    StatsReply reply;
    while (!context->IsCancelled() && writer->Write(reply)) usleep(1000);
    return grpc::Status::OK;
  }
  grpc::Status ListFlows(grpc::ServerContext*, const FlowFilter* filter, FlowsReply* reply) override {
    auto& flow = *reply->add_flow();
    flow.set_client(filter->client());
    flow.set_service(std::to_string(filter->service_id()) + ":" + Protocol_Name(filter->protocol()));
    return grpc::Status::OK;
  }
  grpc::Status ClearFlows(grpc::ServerContext*, const FlowFilter* filter, ClearFlowsReply* reply) override {
    reply->set_cleared(filter->service_id());
    return grpc::Status::OK;
  }
  grpc::Status Capture(grpc::ServerContext*, const CaptureRequest* request,
                       grpc::ServerWriter<CapturedPacket>* writer) override {
    CapturedPacket packet;
    packet.set_data(request->host());
    for (std::uint32_t i = 0; i < request->packets_max(); ++i) writer->Write(packet);
    return grpc::Status::OK;
  }
  grpc::Status Explain(grpc::ServerContext*, const ExplainRequest* request, ExplainReply* reply) override {
    if (request->source() == "x") return {grpc::StatusCode::INVALID_ARGUMENT, "x is no address"};
    auto& step = *reply->add_step();
    step.set_stage("parse");
    step.set_text(request->ShortDebugString());
    reply->set_verdict("forwarded");
    return grpc::Status::OK;
  }
};

class ConsoleTest : public testing::Test {
 protected:
  ConsoleTest() : path_(testing::TempDir() + "console." + std::to_string(getpid()) + ".sock") {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + path_, grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~ConsoleTest() override { server_->Shutdown(std::chrono::system_clock::now()); }

  // Both streams together; the exit status in status_.
  std::string run(const std::string& arguments, const std::string& socket = {}) {
    const std::string command =
        std::string(CONSOLE) + " --dataplane " + (socket.empty() ? path_ : socket) + " " + arguments + " 2>&1";
    FILE* pipe = popen(command.c_str(), "r");
    std::string output;
    std::array<char, 4096> buffer;
    for (std::size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), n);
    status_ = WEXITSTATUS(pclose(pipe));
    return output;
  }

  std::string path_;
  TestDataplane service_;
  std::unique_ptr<grpc::Server> server_;
  int status_ = -1;
};

TEST_F(ConsoleTest, ShowsTablesAndJson) {
  EXPECT_THAT(run("show services"), HasSubstr(" 3  web"));
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(run("show services --json"), HasSubstr("\"name\":\"web\""));
}

TEST_F(ConsoleTest, FiltersFlowsByNameOrId) {
  EXPECT_THAT(run("show flows --client 192.0.2.10 --service web --protocol udp"), HasSubstr("  192.0.2.10 > 3:UDP\n"));
  EXPECT_EQ(run("clear flows --service 4"), "4 flows cleared\n");
  EXPECT_EQ(run("show flows --service nope"), "headgate: there is no service nope; see headgate show services\n");
  EXPECT_EQ(status_, 1);
  EXPECT_EQ(run("show flows --backend web1"),
            "headgate: several backends are named web1; give the id, see headgate show backends\n");
}

TEST_F(ConsoleTest, ExplainsPackets) {
  EXPECT_THAT(
      run("explain tcp 192.0.2.10 40000 192.0.2.100 80 --established"),
      HasSubstr("parse  protocol: \"tcp\" source: \"192.0.2.10\" source_port: 40000 destination: \"192.0.2.100\" "
                "destination_port: 80 established: true\nverdict: forwarded"));
  EXPECT_THAT(run("explain icmp 192.0.2.10 192.0.2.100"), HasSubstr("protocol: \"icmp\""));
  EXPECT_EQ(run("explain tcp 192.0.2.10 192.0.2.100"),
            "headgate: write: headgate explain tcp SOURCE PORT DESTINATION PORT\n");
  EXPECT_EQ(run("explain tcp x 1 y 2"), "headgate: x is no address\n");
  EXPECT_EQ(status_, 1);
}

TEST_F(ConsoleTest, CapturesToAFile) {
  const std::string file = path_ + ".pcap";
  EXPECT_EQ(run("capture --host 192.0.2.10 --count 5 -w " + file), "5 packets to " + file + ", 0 lost\n");
  EXPECT_EQ(std::filesystem::file_size(file), 24 + 5 * (16 + 10));
  std::filesystem::remove(file);
}

TEST_F(ConsoleTest, WatchesForAsManySamplesAsAsked) {
  run("watch stats --count 3");
  EXPECT_EQ(status_, 0);
  const std::string json = run("watch stats --count 3 --json");
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 3);
}

TEST_F(ConsoleTest, SaysWhenTheDataplaneDoesNotAnswer) {
  EXPECT_THAT(run("show services", "/nonexistent.sock"),
              HasSubstr("headgate: the dataplane at unix:/nonexistent.sock does not answer"));
  EXPECT_EQ(status_, 1);
  run("capture -w /tmp/x.pcap", "/nonexistent.sock");
  EXPECT_EQ(status_, 1);
}

}  // namespace
}  // namespace headgate::console
