#include "controlplane/config/shared.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <random>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/print.h"
#include "controlplane/config/tree.h"
#include "tests/seed.h"

namespace headgate::config {
namespace {

v1::Config read(const std::string& text) {
  v1::Config config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &config)) << text;
  return config;
}

constexpr const char* kBoxA = R"(
  interface { name: "front" port: "eth1" prefix: "192.0.2.0/24" address: "192.0.2.11" }
  interface { name: "back" port: "eth2" prefix: "10.10.0.0/24" mtu: 9000 }
  pool { name: "web" backend { name: "web1" address: "10.10.0.21" } }
  probe { port: "probe0" }
  group { name: "main" router { interface: "front" vrid: 1 source: "192.0.2.11" peer: "192.0.2.12" } }
  failover { side: A ha_link { address: "10.20.0.1" peer_address: "10.20.0.2" heartbeat_ms: 50 } witness: "192.0.2.1" }
  management { address: "192.0.2.11" certificate: "/c" key: "/k" key_passphrase: "secret" client_ca: "/ca" })";

constexpr const char* kBoxB = R"(
  interface { name: "front" port: "ens4" prefix: "192.0.2.0/24" address: "192.0.2.12" }
  probe { port: "p" prefix_v4: "198.18.0.0/16" }
  group { name: "main" router { interface: "front" vrid: 1 source: "192.0.2.12" peer: "192.0.2.11" } }
  failover { side: B ha_link { address: "10.20.0.2" peer_address: "10.20.0.1" } })";

TEST(SharedPart, HasNothingOfOneBoxAlone) {
  EXPECT_EQ(print(shared_part(read(kBoxA))), print(read(R"(
    interface { name: "front" prefix: "192.0.2.0/24" }
    interface { name: "back" prefix: "10.10.0.0/24" mtu: 9000 }
    pool { name: "web" backend { name: "web1" address: "10.10.0.21" } }
    probe {}
    group { name: "main" router { interface: "front" vrid: 1 } }
    failover { ha_link { heartbeat_ms: 50 } witness: "192.0.2.1" })")));
}

TEST(SharedPart, NothingOfItIsASecretOfOneBox) {
  EXPECT_EQ(print(offered_part(read(kBoxA))).find("secret"), std::string::npos);
}

TEST(Merge, KeepsWhatIsThisBoxsOwnAndTakesTheRest) {
  EXPECT_EQ(print(merge(offered_part(read(kBoxA)), read(kBoxB))), print(read(R"(
    interface { name: "front" port: "ens4" prefix: "192.0.2.0/24" address: "192.0.2.12" }
    interface { name: "back" port: "eth2" prefix: "10.10.0.0/24" mtu: 9000 }
    pool { name: "web" backend { name: "web1" address: "10.10.0.21" } }
    probe { port: "p" }
    group { name: "main" router { interface: "front" vrid: 1 source: "192.0.2.12" peer: "192.0.2.11" } }
    failover { side: B ha_link { address: "10.20.0.2" peer_address: "10.20.0.1" heartbeat_ms: 50 } witness: "192.0.2.1" })")))
      << "a new interface begins with the other box's port";
}

TEST(Merge, WhatOneBoxHasForItselfStaysWhenTheOtherHasNone) {
  const v1::Config merged = merge(offered_part(read(kBoxB)), read(kBoxA));
  EXPECT_EQ(merged.management().key_passphrase(), "secret");
  EXPECT_EQ(merged.interface_size(), 1);
}

TEST(SharedDigest, IsEqualExactlyWhenTheSharedPartIs) {
  v1::Config a = read(kBoxA);
  const std::string before = shared_digest(a);
  a.mutable_interface(0)->set_port("eth9");
  a.mutable_failover()->set_side(v1::B);
  a.clear_management();
  EXPECT_EQ(shared_digest(a), before);
  a.mutable_failover()->mutable_ha_link()->set_heartbeat_ms(51);
  EXPECT_NE(shared_digest(a), before);
}

// Any configuration, valid or not.
void fill_randomly(google::protobuf::Message& message, std::mt19937& random, int depth) {
  const auto* r = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const auto* field = message.GetDescriptor()->field(i);
    if (random() % 3 == 0) continue;
    const std::string word(1, static_cast<char>('a' + random() % 4));
    const int count = field->is_repeated() ? static_cast<int>(random() % 3) : 1;
    for (int n = 0; n < count; ++n) {
      if (field->message_type() != nullptr) {
        if (depth == 0) continue;
        auto& inner = field->is_repeated() ? *r->AddMessage(&message, field) : *r->MutableMessage(&message, field);
        fill_randomly(inner, random, depth - 1);
        const auto* key = field->is_repeated() ? key_field(*field->message_type()) : nullptr;
        if (key != nullptr && !key->is_repeated())  // each once, as validation has it
          inner.GetReflection()->SetString(&inner, key, std::string(1, static_cast<char>('a' + n)) + "x");
      } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
        field->is_repeated() ? r->AddString(&message, field, word) : r->SetString(&message, field, word);
      } else if (field->is_repeated()) {
        continue;
      } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT32) {
        r->SetUInt32(&message, field, static_cast<std::uint32_t>(random() % 4));
      } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_BOOL) {
        r->SetBool(&message, field, random() % 2 == 0);
      } else if (field->enum_type() != nullptr) {
        r->SetEnum(&message, field, field->enum_type()->value(0));
      }
    }
  }
}

TEST(Merge, NeverChangesWhatIsShared) {
  const auto seed = static_cast<unsigned>(test_seed());
  SCOPED_TRACE("HEADGATE_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  unsigned different = 0;
  for (int round = 0; round < 500; ++round) {
    v1::Config x, y;
    fill_randomly(x, random, 4);
    fill_randomly(y, random, 4);
    const v1::Config merged = merge(offered_part(x), y);
    ASSERT_EQ(print(shared_part(merged)), print(shared_part(x)));
    ASSERT_EQ(print(merge(offered_part(x), x)), print(x)) << "nothing is lost on the box it comes from";
    ASSERT_EQ(print(merge(offered_part(x), merged)), print(merged)) << "and a second time changes nothing";
    different += print(merged) != print(x) ? 1 : 0;
  }
  EXPECT_GT(different, 250u);
}

}  // namespace
}  // namespace headgate::config
