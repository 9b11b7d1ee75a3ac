#include "controlplane/compile/compile.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>

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
INSTANTIATE_TEST_SUITE_P(Files, Golden, testing::Values("lab", "everything"),
                         [](const auto& file) { return file.param; });

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
