#include "controlplane/compile/compile.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "controlplane/config/address.h"
#include "controlplane/config/durable_file.h"
#include "controlplane/config/validate.h"

namespace headgate::compile {
namespace {

config::Document load(const std::string& name) {
  return config::load_file(std::string(GOLDEN_DIR) + "/" + name + ".config.txtpb");
}

std::string text_of(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return text;
}

std::string text_of(const std::vector<health::Target>& targets) {
  std::string text;
  for (const health::Target& target : targets) {
    text += "# probe " + std::to_string(target.backend_id) + " " + target.name + " by " +
            config::endpoint_text(target.endpoint.address(), target.endpoint.port()) +
            (target.via_path ? "" : " from the kernel") + "\n";
  }
  return text;
}

class Golden : public testing::TestWithParam<std::string> {};

// HEADGATE_UPDATE_GOLDEN=1 writes what comes out now; read the difference before committing it.
TEST_P(Golden, SnapshotIsAsRecorded) {
  const config::Document document = load(GetParam());
  for (const config::Diagnostic& d : document.diagnostics) {
    EXPECT_EQ(d.severity, config::Severity::warning) << d.to_string();
  }
  ASSERT_TRUE(document.ok());
  IdTable ids;
  assign_ids(document.config, ids);
  const std::string actual = text_of(compile(document.config, ids)) + text_of(probe_targets(document.config, ids));
  const std::string path = std::string(GOLDEN_DIR) + "/" + GetParam() + ".snapshot.txtpb";
  if (std::getenv("HEADGATE_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(config::write_file_durably(path, actual));
  }
  EXPECT_EQ(actual, config::read_file(path).value_or(""));
}
INSTANTIATE_TEST_SUITE_P(Files, Golden, testing::Values("lab", "everything", "http", "pair"),
                         [](const auto& file) { return file.param; });

// The other box of a pair: the same text but for what is its own.
config::Document load_box_b() {
  std::string text = config::read_file(std::string(GOLDEN_DIR) + "/pair.config.txtpb").value_or("");
  const auto replace = [&](const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  };
  replace("side: A", "side: B");
  replace(R"(address: "10.20.0.1" peer_address: "10.20.0.2")", R"(address: "10.20.0.2" peer_address: "10.20.0.1")");
  replace(R"(source: "fe80::a" source: "192.0.2.21")", R"(source: "fe80::b" source: "192.0.2.12")");
  replace(R"(address: "192.0.2.11" address: "192.0.2.21")", R"(address: "192.0.2.12")");
  replace(R"(peer: "192.0.2.12" peer: "fe80::b")", R"(peer: "192.0.2.11" peer: "fe80::a")");
  replace(R"(address: "10.10.0.11")", R"(address: "10.10.0.12")");
  replace(R"(address: "10.70.0.11")", R"(address: "10.70.0.12")");
  return config::load_text("b", text);
}

TEST(Compile, TheOtherBoxDiffersInWhatIsItsOwn) {
  const config::Document document = load_box_b();
  for (const config::Diagnostic& d : document.diagnostics) ADD_FAILURE() << d.to_string();
  ASSERT_TRUE(document.ok());
  IdTable ids;
  assign_ids(document.config, ids);
  const dataplane::v1::Snapshot snapshot = compile(document.config, ids);
  ASSERT_EQ(snapshot.failover().group_size(), 2);
  const auto& main = snapshot.failover().group(0);
  EXPECT_EQ(main.priority(), 150u);
  EXPECT_EQ(main.degraded_priority(), 75u);
  EXPECT_EQ(main.router(0).source(), "192.0.2.12");
  EXPECT_EQ(snapshot.failover().group(1).priority(), 240u);
  std::map<std::string, const dataplane::v1::LocalAddress*> locals;
  for (const auto& local : snapshot.local_address()) locals[local.address()] = &local;
  EXPECT_FALSE(locals.contains("10.10.0.13")) << "box A's own, which never leaves it";
  ASSERT_TRUE(locals.contains("10.10.0.14"));
  EXPECT_EQ(locals["10.10.0.14"]->group_id(), 0u);
  EXPECT_TRUE(locals["10.10.0.64"]->allocate_elsewhere());
  EXPECT_FALSE(locals["10.10.0.80"]->allocate_elsewhere());
  EXPECT_EQ(snapshot.service(0).local_address_id_size(), 2) << "box B's of the group, not A's nor the second group's";
}

TEST(Compile, IsTheSameEveryTime) {
  const config::Document document = load("lab");
  IdTable ids;
  EXPECT_TRUE(assign_ids(document.config, ids));
  EXPECT_FALSE(assign_ids(document.config, ids));
  EXPECT_EQ(text_of(compile(document.config, ids)), text_of(compile(document.config, ids)));
}

TEST(Compile, DigestIgnoresStatesAndGenerationAndNothingElse) {
  const config::Document document = load("lab");
  IdTable ids;
  assign_ids(document.config, ids);
  const auto up = compile(document.config, ids);
  auto down = up;
  down.mutable_pool(0)->mutable_backend(0)->set_health(dataplane::v1::DOWN);
  EXPECT_EQ(digest_of(down), up.digest());
  EXPECT_EQ(up.digest().size(), 64u);
  auto other = up;
  other.set_generation(9);
  EXPECT_EQ(digest_of(other), up.digest());
  other.mutable_pool(0)->mutable_backend(0)->set_weight(2);
  other.mutable_pool(0)->mutable_backend(1)->set_drain(true);
  EXPECT_EQ(digest_of(other), up.digest());
  other.mutable_pool(0)->mutable_backend(0)->set_max_connections(2);
  EXPECT_NE(digest_of(other), up.digest());
}

TEST(Compile, IdsSurviveReorderingRemovalAndASecondFamily) {
  const config::Document document = load("lab");
  IdTable ids;
  assign_ids(document.config, ids);
  const std::uint32_t web2 = ids.find(Kind::backend, "web/v4/web2");
  const std::uint32_t dns = ids.find(Kind::service, "dns/v6");
  ASSERT_NE(web2, 0u);
  config::v1::Config changed = document.config;
  changed.mutable_pool(0)->mutable_backend()->DeleteSubrange(0, 1);
  changed.mutable_service()->SwapElements(0, 2);
  changed.mutable_service(0)->mutable_address()->RemoveLast();
  auto& added = *changed.mutable_pool(0)->add_backend();
  added.set_name("web4");
  added.add_address("10.10.0.24");
  EXPECT_TRUE(assign_ids(changed, ids));
  const auto snapshot = compile(changed, ids);
  EXPECT_EQ(snapshot.pool(0).backend(0).id(), web2);
  EXPECT_GT(snapshot.pool(0).backend(2).id(), 6u) << "a removed backend's id is not reused";
  assign_ids(document.config, ids);
  EXPECT_EQ(ids.find(Kind::service, "dns/v6"), dns);
}

TEST(Compile, ARoutesIdHangsOnItsNameAndItsServices) {
  const config::Document document = load("http");
  IdTable ids;
  assign_ids(document.config, ids);
  const std::uint32_t beta = ids.find(Kind::route, "shop/beta");
  ASSERT_NE(beta, 0u);
  config::v1::Config changed = document.config;
  auto& shop = *changed.mutable_service(0);
  shop.mutable_address()->RemoveLast();
  auto& routes = *shop.mutable_http()->mutable_route();
  routes.DeleteSubrange(0, 1);
  routes.SwapElements(0, 2);
  routes.Mutable(2)->set_host("other.example.com");
  auto& other = *changed.add_service();
  other = shop;
  other.set_name("other");
  EXPECT_TRUE(assign_ids(changed, ids));
  const auto snapshot = compile(changed, ids);
  EXPECT_EQ(snapshot.service(0).http().route(2).name(), "beta");
  EXPECT_EQ(snapshot.service(0).http().route(2).id(), beta);
  EXPECT_NE(snapshot.service(3).http().route(2).id(), beta) << "of another service";
  EXPECT_EQ(ids.find(Kind::route, "shop/api"), 1u) << "of a removed route, not given away";
}

TEST(Compile, BothFamiliesOfAServiceHaveTheSameRoutesWithTheirOwnPools) {
  const config::Document document = load("http");
  IdTable ids;
  assign_ids(document.config, ids);
  const auto snapshot = compile(document.config, ids);
  ASSERT_EQ(snapshot.service(1).name(), "shop/v6");
  const auto &v4 = snapshot.service(0).http(), &v6 = snapshot.service(1).http();
  ASSERT_EQ(v4.route_size(), v6.route_size());
  for (int i = 0; i < v4.route_size(); ++i) EXPECT_EQ(v4.route(i).id(), v6.route(i).id());
  EXPECT_EQ(v4.route(0).pool_id(), ids.find(Kind::pool, "api/v4"));
  EXPECT_EQ(v6.route(0).pool_id(), ids.find(Kind::pool, "api/v6"));
  EXPECT_EQ(v6.route(1).pool_id(), ids.find(Kind::pool, "beta/v6"));
  EXPECT_EQ(v6.route(2).pool_id(), ids.find(Kind::pool, "api/v6"));
}

TEST(Compile, KeysOfCookiesGoWhereAServiceSetsSomeAndChangeTheDigest) {
  const std::vector<std::string> keys{std::string(16, 'a'), std::string(16, 'b')}, other{std::string(16, 'c')};
  for (const char* name : {"http", "lab"}) {
    const config::Document document = load(name);
    IdTable ids;
    assign_ids(document.config, ids);
    const auto with = compile(document.config, ids, keys), without = compile(document.config, ids);
    const bool cookies = std::string(name) == "http";
    EXPECT_EQ(with.cookie_key_size(), cookies ? 2 : 0) << name;
    EXPECT_EQ(with.digest() == without.digest(), !cookies) << name;
    EXPECT_EQ(with.digest() == compile(document.config, ids, other).digest(), !cookies) << name;
    if (cookies) {
      EXPECT_EQ(with.cookie_key(1), keys[1]);
    }
  }
}

TEST(ProbePrefix, MustHaveAnAddressForTheHighestId) {
  const config::Document document = load("lab");
  IdTable ids;
  assign_ids(document.config, ids);
  EXPECT_EQ(probe_prefix_problem(document.config, ids), "");
  IdTable full;
  for (int i = 0; i < 131'070; ++i) full.assign(Kind::backend, "old" + std::to_string(i));
  assign_ids(document.config, full);
  EXPECT_EQ(probe_prefix_problem(document.config, full),
            "probe prefix 198.18.0.0/15 has no address for backend id 131076; use a shorter prefix");
}

}  // namespace
}  // namespace headgate::compile
