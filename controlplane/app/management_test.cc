// The management API over its socket, with a stand-in only for the dataplane's process (its real gRPC contract).
#include "controlplane/app/management.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grp.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <thread>

#include "controlplane/app/daemon.h"
#include "controlplane/app/test_site.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

class ManagementTest : public SiteTest {
 protected:
  ManagementTest() {
    dataplane.listen(socket);
    write_site();
    daemon_ = std::make_unique<Daemon>(io_, Options{.config = config_path(), .dataplane = socket, .state_dir = dir});
    EXPECT_TRUE(daemon_->start());
    Management::Options options;
    options.socket = dir + "/management.sock";
    options.dataplane = socket;
    auto started = Management::start(io_, *daemon_, options);
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
    management_ = std::move(*started);
    loop_ = std::thread([this] { io_.run(); });
    stub_ = pb::Management::NewStub(grpc::CreateChannel("unix:" + options.socket, grpc::InsecureChannelCredentials()));
  }
  ~ManagementTest() override {
    stub_.reset();
    io_.stop();
    loop_.join();
    management_.reset();
    daemon_.reset();
    dataplane.die();
  }
  std::string socket_path() const { return dir + "/management.sock"; }

  pb::ConfigReply config(std::uint64_t revision = 0) {
    grpc::ClientContext context;
    pb::ConfigRequest request;
    request.set_revision(revision);
    pb::ConfigReply reply;
    const grpc::Status status = stub_->GetConfig(&context, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }
  pb::CommitReply commit(const std::string& text, std::uint64_t base, std::uint32_t confirm_s = 0) {
    grpc::ClientContext context;
    pb::CommitRequest request;
    request.set_text(text);
    request.set_base_revision(base);
    request.set_confirm_s(confirm_s);
    request.set_comment("test");
    pb::CommitReply reply;
    const grpc::Status status = stub_->Commit(&context, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }
  static std::string with_weight(std::string text, unsigned weight) {
    const std::size_t at = text.find("weight: ");
    return text.replace(at, text.find('\n', at) - at, "weight: " + std::to_string(weight));
  }

  asio::io_context io_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Management> management_;
  std::thread loop_;
  std::unique_ptr<pb::Management::Stub> stub_;
};

TEST_F(ManagementTest, ACommitRunsOnTheWorkersWhenItReturns) {
  const pb::ConfigReply before = config();
  EXPECT_EQ(before.revision().number(), 1u);
  const pb::CommitReply reply = commit(with_weight(before.text(), 7), 1);
  EXPECT_EQ(reply.outcome(), pb::CommitReply::COMMITTED);
  EXPECT_TRUE(reply.runs());
  EXPECT_EQ(weight(), 7);
  EXPECT_EQ(reply.revision().number(), 2u);
  EXPECT_EQ(reply.revision().user(), "root");
  EXPECT_EQ(reply.effect(0), "pool web: 2 lines changed");
  EXPECT_EQ(commit(with_weight(before.text(), 9), 1).outcome(), pb::CommitReply::CONFLICT);
  EXPECT_EQ(commit(with_weight(before.text(), 7), 2).outcome(), pb::CommitReply::UNCHANGED);
  const pb::CommitReply bad = commit("pool { name: \"a\" weihgt: 3 }", 2);
  EXPECT_EQ(bad.outcome(), pb::CommitReply::INVALID);
  EXPECT_EQ(bad.diagnostic(0).line(), 1);
}

TEST_F(ManagementTest, WhatTheDataplaneRefusesIsTakenBackAndSaid) {
  dataplane.port = "front";
  std::string text = config().text();
  text.replace(text.find("port: \"front\""), 13, "port: \"fornt\"");
  const pb::CommitReply reply = commit(text, 1);
  EXPECT_EQ(reply.outcome(), pb::CommitReply::REFUSED);
  EXPECT_EQ(reply.revision().number(), 3u);
  EXPECT_EQ(reply.revision().rolled_back_from(), 2u);
  ASSERT_EQ(reply.diagnostic_size(), 1);
  EXPECT_THAT(config().text(), HasSubstr("port: \"front\""));
}

TEST_F(ManagementTest, AnUnconfirmedCommitGoesBack) {
  const pb::CommitReply reply = commit(with_weight(config().text(), 7), 1, 1);
  EXPECT_EQ(reply.outcome(), pb::CommitReply::COMMITTED);
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (weight() != 1 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(weight(), 1);
  EXPECT_EQ(config().revision().number(), 3u);
}

TEST_F(ManagementTest, ADrainedBackendStaysDrained) {
  grpc::ClientContext context, wrong;
  pb::SetBackendRequest request;
  request.set_backend("web1");
  request.set_state(pb::SetBackendRequest::DRAIN);
  pb::Empty empty;
  ASSERT_TRUE(stub_->SetBackend(&context, request, &empty).ok());
  const auto drained = [&] {
    return locked<bool>(
        [](const auto& d) { return d.running.pool_size() > 0 && d.running.pool(0).backend(0).drain(); });
  };
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!drained() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(drained());
  EXPECT_TRUE(commit(with_weight(config().text(), 7), 1).runs());
  EXPECT_TRUE(drained());
  request.set_backend("web9");
  EXPECT_THAT(stub_->SetBackend(&wrong, request, &empty).error_message(), HasSubstr("there is no backend web9"));
}

TEST_F(ManagementTest, ServesTheSchemaItRuns) {
  grpc::ClientContext context;
  pb::Schema schema;
  ASSERT_TRUE(stub_->GetSchema(&context, {}, &schema).ok());
  google::protobuf::FileDescriptorSet files;
  ASSERT_TRUE(files.ParseFromString(schema.file_descriptor_set()));
  EXPECT_EQ(files.file(files.file_size() - 1).name(), "controlplane/api/config.proto");
  EXPECT_EQ(schema.root(), "headgate.config.v1.Config");
}

// Every method, asked by somebody who may nothing, and by an operator: the roles are those of the schema.
TEST_F(ManagementTest, EveryMethodAsksForItsRole) {
  ASSERT_EQ(::chmod(dir.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(socket_path().c_str(), 0666),
            0);  // the file's mode is the first door, this test is about the second
  const auto* service = pb::Empty::descriptor()->file()->FindServiceByName("Management");
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* method = service->method(i);
    EXPECT_NE(role_of(method->name()), pb::ROLE_UNSPECIFIED) << method->name() << " names no role";
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // gRPC does not survive a fork; a program of its own asks, as nobody.
      execl("/usr/bin/setpriv", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3",
            "-c", R"(
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1])
call = channel.unary_stream("/headgate.management.v1.Management/" + sys.argv[2], request_serializer=bytes, response_deserializer=bytes)
try:
    list(call(b"", timeout=5))
    sys.exit(0)
except grpc.RpcError as error:
    sys.exit(10 if error.code() == grpc.StatusCode.PERMISSION_DENIED else 11)
)",
            ("unix:" + socket_path()).c_str(), method->name().c_str(), nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 10) << method->name();
  }
}

TEST(Identify, RootMayEverythingAndAStrangerNothing) {
  EXPECT_EQ(identify(0, 0, {}).role, pb::ADMIN);
  EXPECT_EQ(identify(0, 0, {}).user, "root");
  EXPECT_EQ(identify(54321, 54321, {}).role, pb::ROLE_UNSPECIFIED);
  // Group root, as a stand-in for the operators' group, by primary membership.
  EXPECT_EQ(identify(54321, 0, {.admin = "headgate-admin", .operators = "root"}).role, pb::OPERATOR);
  EXPECT_EQ(identify(54321, 0, {.admin = "root", .operators = "headgate"}).role, pb::ADMIN);
}

}  // namespace
}  // namespace headgate::app
