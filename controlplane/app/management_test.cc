// The management API over its socket, with a stand-in only for the dataplane's process (its real gRPC contract).
#include "controlplane/app/management.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grp.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <set>
#include <sstream>
#include <thread>

#include "controlplane/app/daemon.h"
#include "controlplane/app/test_site.h"
#include "controlplane/config/tree.h"

namespace headgate::app {
namespace {

namespace pb = management::v1;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

class ManagementTest : public SiteTest {
 protected:
  explicit ManagementTest(const Groups& groups = {}) {
    dataplane.listen(socket);
    write_site();
    daemon_ =
        std::make_unique<Daemon>(io_, Options{.config = config_path(), .dataplane = socket, .state_dir = dir}, disk);
    EXPECT_TRUE(daemon_->start());
    Management::Options options;
    options.socket = dir + "/management.sock";
    options.dataplane = socket;
    options.groups = groups;
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

  pb::ConfigReply config(std::uint64_t revision = 0, bool set_commands = false) {
    grpc::ClientContext context;
    pb::ConfigRequest request;
    request.set_revision(revision);
    request.set_set_commands(set_commands);
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

TEST_F(ManagementTest, ARevisionIsToldAsCommandsToo) {
  ASSERT_EQ(commit(with_weight(config().text(), 7), 1).outcome(), pb::CommitReply::COMMITTED);
  for (const std::uint64_t revision : {0u, 1u, 2u}) {
    const config::Document document = config::parse("revision", config(revision).text());
    const pb::ConfigReply reply = config(revision, true);
    EXPECT_EQ(reply.revision().number(), revision == 0 ? 2 : revision);
    EXPECT_EQ(reply.text(), config::set_commands(document.config));
    EXPECT_EQ(reply.text().find("weight 7") == std::string::npos, revision == 1);
  }
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

TEST_F(ManagementTest, FailoverIsForAdministratorsToMoveAndForAllToSee) {
  EXPECT_EQ(role_of("SwitchGroup"), pb::ADMIN);
  EXPECT_EQ(role_of("PauseGroup"), pb::ADMIN);
  EXPECT_EQ(role_of("Failover"), pb::OPERATOR);
  EXPECT_EQ(role_of("WhatIf"), pb::OPERATOR);
  for (const char* method : {"PairBox", "UnpairBox", "RotateKey", "AdoptConfig", "ClearFlows", "ClearSessions"})
    EXPECT_EQ(role_of(method), pb::ADMIN);
  for (const char* method : {"ListConnections", "HttpRoutes", "Explain"}) EXPECT_EQ(role_of(method), pb::OPERATOR);
  dataplane::v1::FailoverState state;
  state.add_group()->set_name("main");
  state.mutable_group(0)->set_role(dataplane::v1::ROLE_ACTIVE);
  dataplane.set_failover(state);
  std::string text = config().text();
  text.replace(text.find("prefix: \"192.0.2.0/24\""), 22, "prefix: \"192.0.2.0/24\" address: \"192.0.2.11\"");
  ASSERT_EQ(commit(text + "group { name: \"main\" router { interface: \"front\" vrid: 51 } }\n"
                          "failover { side: A }\n",
                   1)
                .outcome(),
            pb::CommitReply::COMMITTED);
  const auto end = std::chrono::steady_clock::now() + 10s;
  pb::FailoverReply reply;
  while (reply.group_size() == 0 || !reply.group(0).has_state()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    grpc::ClientContext context;
    reply.Clear();
    ASSERT_TRUE(stub_->Failover(&context, {}, &reply).ok());
  }
  EXPECT_EQ(reply.side(), "A");
  EXPECT_FALSE(reply.pair());
  EXPECT_EQ(reply.group(0).state().role(), dataplane::v1::ROLE_ACTIVE);
  EXPECT_EQ(reply.group(0).arithmetic(0), "priority 200 of box A, box B has 150");
  const auto switch_group = [&](const char* name, bool dry_run, pb::SwitchReply& answer) {
    grpc::ClientContext context;
    pb::SwitchRequest request;
    request.set_group(name);
    request.set_dry_run(dry_run);
    return stub_->SwitchGroup(&context, request, &answer);
  };
  pb::SwitchReply answer;
  EXPECT_EQ(switch_group("x", false, answer).error_message(), "there is no group x");
  EXPECT_TRUE(switch_group("main", true, answer).ok());
  EXPECT_TRUE(answer.done());
  EXPECT_TRUE(switch_group("main", false, answer).ok());  // this dataplane gives nothing up
  EXPECT_FALSE(answer.done());
  EXPECT_EQ(answer.text(), "group main not switched: the dataplane did not give it up; nothing has changed");
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

// gRPC does not survive a fork; a program of its own asks every method, as user and group nobody. The methods that were
// refused for the role.
std::set<std::string> refused_to_nobody(const std::string& socket_path) {
  std::string methods;
  const auto* service = pb::Empty::descriptor()->file()->FindServiceByName("Management");
  for (int i = 0; i < service->method_count(); ++i) methods += service->method(i)->name() + "\n";
  constexpr const char* kProgram = R"(
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1])
for method in sys.argv[2].split():
    call = channel.unary_stream("/headgate.management.v1.Management/" + method, request_serializer=bytes, response_deserializer=bytes)
    try:
        list(call(b"", timeout=5))
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.PERMISSION_DENIED:
            print(method)
        elif error.code() == grpc.StatusCode.UNAUTHENTICATED:
            sys.exit(1)
print("done")
)";
  int out[2];
  EXPECT_EQ(::pipe(out), 0);
  const pid_t child = fork();
  if (child == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    execl("/usr/bin/setpriv", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3",
          "-c", kProgram, ("unix:" + socket_path).c_str(), methods.c_str(), nullptr);
    _exit(127);
  }
  ::close(out[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = ::read(out[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<std::size_t>(n));
  ::close(out[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  std::istringstream words(said);
  std::set<std::string> refused;
  for (std::string word; words >> word;) refused.insert(word);
  EXPECT_EQ(refused.erase("done"), 1u) << "not all were asked: " << said;
  return refused;
}

// The methods that take more than this role.
std::set<std::string> above(pb::Role role) {
  std::set<std::string> methods;
  const auto* service = pb::Empty::descriptor()->file()->FindServiceByName("Management");
  for (int i = 0; i < service->method_count(); ++i) {
    const std::string& name = service->method(i)->name();
    EXPECT_NE(role_of(name), pb::ROLE_UNSPECIFIED) << name << " names no role";
    if (role_of(name) > role) methods.insert(name);
  }
  return methods;
}

class RoleTest : public ManagementTest {
 protected:
  explicit RoleTest(const Groups& groups = {}) : ManagementTest(groups) {
    // The file's mode is the first door, these tests are about the second.
    EXPECT_EQ(::chmod(dir.c_str(), 0755), 0);
    EXPECT_EQ(::chmod(socket_path().c_str(), 0666), 0);
  }
};

// Users of group 65534 are operators.
class OperatorTest : public RoleTest {
 protected:
  OperatorTest() : RoleTest({.admin = "headgate-admin", .operators = ::getgrgid(65534)->gr_name}) {}
};

TEST_F(RoleTest, AStrangerMayCallNothing) {
  EXPECT_EQ(refused_to_nobody(socket_path()), above(pb::ROLE_UNSPECIFIED));
}

TEST_F(OperatorTest, AnOperatorMayCallWhatTheSchemaSaysAndNoMore) {
  const auto refused = refused_to_nobody(socket_path());
  EXPECT_EQ(refused, above(pb::OPERATOR));
  EXPECT_TRUE(refused.contains("Commit") && refused.contains("Reboot"));
  EXPECT_FALSE(refused.contains("System"));
}

TEST_F(ManagementTest, ALoginIsAnEventWhateverItCallsFirst) {
  config();
  config();
  std::vector<std::string> logins;
  for (const Event& event : daemon_->events().last(1000)) {
    if (event.kind == "login") logins.push_back(event.text);
  }
  EXPECT_EQ(logins, std::vector<std::string>{"root on the socket (ADMIN)"});
}

// The test dataplane has 12 flows on the backend that goes.
TEST_F(ManagementTest, ACommitSaysHowManyFlowsItTouches) {
  {
    const std::lock_guard lock(dataplane.mutex);
    auto& stats = dataplane.stats;
    stats.add_pool()->set_id(1);
    stats.mutable_pool(0)->set_name("web");
    auto& loaded = *stats.add_backend();
    loaded.set_pool_id(1);
    loaded.set_name("web1");
    loaded.mutable_traffic()->set_flows_now(12);
  }
  std::string text = config().text();
  text.insert(text.find("weight: "), "drain: true ");
  grpc::ClientContext context;
  pb::CheckRequest request;
  request.set_text(text);
  pb::CheckReply reply;
  ASSERT_TRUE(stub_->Check(&context, request, &reply).ok());
  EXPECT_THAT(reply.effect(),
              ::testing::Contains("pool web backend web1: drained, it gets no new flows; flows now: 12; they go on"));
  EXPECT_THAT(commit(text, 1).effect(), ::testing::Contains(HasSubstr("flows now: 12")));
}

TEST_F(ManagementTest, AnHttpServiceIsShownAndARouteThatLeadsNowhereIsAProblem) {
  const pb::CommitReply committed =
      commit(config().text() + R"(pool { name: "api" backend { name: "api1" address: "192.0.2.22" weight: 0 } }
service { name: "shop" address: "192.0.2.100" port: 8080 protocol: HTTP pool: "web"
  http { route { name: "api" path_prefix: "/api" pool: "api" } route { name: "b" path: "/b" pool: "api" } } })",
             1);
  EXPECT_EQ(committed.outcome(), pb::CommitReply::COMMITTED);
  EXPECT_TRUE(committed.runs());
  grpc::ClientContext of_services, of_system, of_backends;
  pb::ServicesReply services;
  ASSERT_TRUE(stub_->Services(&of_services, {}, &services).ok());
  ASSERT_EQ(services.service_size(), 2);
  EXPECT_EQ(services.service(1).name(), "shop");
  EXPECT_EQ(services.service(1).address(), "192.0.2.100:8080");
  EXPECT_EQ(services.service(1).protocol(), "http");
  EXPECT_EQ(services.service(1).mode(), "proxy");
  EXPECT_EQ(services.service(1).routes(), 2u);
  pb::SystemReply system;
  ASSERT_TRUE(stub_->System(&of_system, {}, &system).ok());
  EXPECT_THAT(system.problem(),
              ::testing::Contains("service shop route api and 1 more of the same pool have no backend that can serve"));
  pb::BackendsReply backends;
  ASSERT_TRUE(stub_->Backends(&of_backends, {}, &backends).ok());
  EXPECT_EQ(backends.backend(1).address(), "192.0.2.22:8080") << "the port of the service whose route uses its pool";
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
