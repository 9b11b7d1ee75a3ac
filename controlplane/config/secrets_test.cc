// Secrets and immutable fields, in a schema that is made here: this folder must not need to know which fields there
// are.
#include "controlplane/config/secrets.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>

#include "controlplane/api/options.pb.h"
#include "controlplane/config/edit.h"
#include "controlplane/config/immutable.h"
#include "controlplane/config/print.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;
using google::protobuf::Message;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Config { repeated Account account { name, password (secret), pins (secret numbers), kind (immutable) } }
class MadeSchema : public testing::Test {
 protected:
  MadeSchema() : pool_(google::protobuf::DescriptorPool::generated_pool()), factory_(&pool_) {
    FileDescriptorProto file;
    file.set_name("made.proto");
    file.set_package("made");
    file.set_syntax("proto3");
    file.add_dependency("controlplane/api/options.proto");
    auto* account = file.add_message_type();
    account->set_name("Account");
    add(*account, "name", 1, FieldDescriptorProto::TYPE_STRING);
    add(*account, "password", 2, FieldDescriptorProto::TYPE_STRING)->mutable_options()->SetExtension(v1::secret, true);
    auto* pin = add(*account, "pin", 3, FieldDescriptorProto::TYPE_UINT32);
    pin->mutable_options()->SetExtension(v1::secret, true);
    pin->mutable_options()->SetExtension(v1::range_max, 999'999);
    add(*account, "kind", 4, FieldDescriptorProto::TYPE_STRING)->mutable_options()->SetExtension(v1::immutable, true);
    auto* config = file.add_message_type();
    config->set_name("Config");
    auto* accounts = add(*config, "account", 1, FieldDescriptorProto::TYPE_MESSAGE);
    accounts->set_label(FieldDescriptorProto::LABEL_REPEATED);
    accounts->set_type_name(".made.Account");
    pool_.BuildFile(file);
  }
  static FieldDescriptorProto* add(google::protobuf::DescriptorProto& to, const char* name, int number,
                                   FieldDescriptorProto::Type type) {
    auto* field = to.add_field();
    field->set_name(name);
    field->set_number(number);
    field->set_type(type);
    field->set_label(FieldDescriptorProto::LABEL_OPTIONAL);
    return field;
  }
  std::unique_ptr<Message> config_of(const std::string& text) {
    std::unique_ptr<Message> config(factory_.GetPrototype(pool_.FindMessageTypeByName("made.Config"))->New());
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, config.get()));
    return config;
  }
  std::vector<std::string> changes(const std::string& before, const std::string& after) {
    std::vector<std::string> said;
    const auto message = config_of(after);
    find_immutable_changes(*config_of(before), Node(*message, nullptr, {}),
                           [&](Location, std::string what) { said.push_back(std::move(what)); });
    return said;
  }

  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_;
};

constexpr const char* kAccount = "account { name: 'a' password: 'hunter2!' pin: 424242 kind: 'x' }";

TEST_F(MadeSchema, SecretsAreShownNowhere) {
  const auto config = config_of(kAccount);
  const auto other = config_of("account { name: 'a' password: 'swordfish' pin: 171717 kind: 'x' }");
  for (const std::string& text : {print(*config, Secrets::redacted), set_commands(*config), compare(*config, *other)}) {
    EXPECT_THAT(text, HasSubstr(kRedacted));
    for (const char* secret : {"hunter2", "swordfish", "424242", "171717"}) EXPECT_THAT(text, Not(HasSubstr(secret)));
  }
  EXPECT_THAT(print(*config), HasSubstr("hunter2!")) << "what is stored and what an administrator edits has them";
}

TEST_F(MadeSchema, AChangedSecretIsAChange) {
  const auto config = config_of(kAccount);
  const auto other = config_of("account { name: 'a' password: 'swordfish' pin: 424242 kind: 'x' }");
  EXPECT_EQ(compare(*config, *other), "- account a password (secret)\n+ account a password (secret)\n");
}

TEST_F(MadeSchema, ErrorsOfEditsDoNotRepeatThem) {
  const auto config = config_of(kAccount);
  for (const Words& words : {Words{"account", "a", "pin", "hunter3"}, Words{"account", "a", "pin", "7777777"},
                             Words{"account", "a", "password", "one", "hunter3"}}) {
    const auto done = set(*config, words);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, Not(HasSubstr("hunter3")));
    EXPECT_THAT(done.error().message, Not(HasSubstr("7777777")));
  }
  EXPECT_THAT(remove(*config, {"account", "a", "password", "wrong"}).error().message, Not(HasSubstr("hunter2")));
}

TEST_F(MadeSchema, AreFoundAndTakenOutOfAnyText) {
  const auto secrets = secrets_in(*config_of(std::string(kAccount) + "account { name: 'b' password: 'hunter2!!' } "
                                                                     "account { name: 'c' password: 'abc' }"));
  EXPECT_THAT(secrets, ElementsAre("hunter2!!", "hunter2!", "424242"));
  EXPECT_EQ(without(secrets, "x hunter2!! y hunter2! 424242"), "x (secret) y (secret) (secret)");
}

TEST_F(MadeSchema, AnImmutableFieldStaysAsLongAsItsEntry) {
  EXPECT_THAT(changes(kAccount, kAccount), testing::IsEmpty());
  EXPECT_THAT(changes(kAccount, "account { name: 'a' kind: 'y' }"),
              ElementsAre("kind of account a is x and cannot be changed to y while the entry exists; delete the entry, "
                          "commit, and add it again"));
  EXPECT_THAT(changes(kAccount, "account { name: 'a' }"), ElementsAre(HasSubstr("cannot be changed to not set")));
  EXPECT_THAT(changes(kAccount, "account { name: 'b' kind: 'y' }"), testing::IsEmpty()) << "another entry";
  EXPECT_THAT(changes(kAccount, ""), testing::IsEmpty());
}

// The real schema has one secret; broken texts that hold it in every way must not come back in errors.
TEST(Secrets, DiagnosticsDoNotQuoteThem) {
  for (const char* line :
       {"key_passphrase: hunter2", "key_passphrase: \"hunter2", "key_passphrase: 'hunter2\"",
        "key_passphrase: \"a\" hunter2", "key_passphrase hunter2", "key_passphrase: { hunter2 }",
        "key_passphrase: \"x\" key_passphrase: \"hunter2\"", "key_passphrase:\n hunter2",
        "key_passphrase: \"x\"\n hunter2: 3", "key_passphrase: -hunter2", "key_passphrase: [hunter2]"}) {
    const Document document = load_text("f", std::string("management {\n ") + line + "\n}\n");
    EXPECT_FALSE(document.ok()) << line;
    for (const Diagnostic& diagnostic : document.diagnostics)
      EXPECT_THAT(diagnostic.to_string(), Not(HasSubstr("hunter2"))) << line;
  }
}

TEST(Validate, ManagementNamesItsFilesAndClients) {
  const auto said = [](const std::string& block) {
    std::string text;
    for (const Diagnostic& d : load_text("f", "management { " + block + " }").diagnostics) text += d.to_string() + "\n";
    return text;
  };
  const std::string good = "address: \"0.0.0.0\" certificate: \"/c\" key: \"/k\" client_ca: \"/a\" ";
  EXPECT_THAT(said(good), HasSubstr("management has no client: nobody may call it"));
  EXPECT_THAT(said(good + "client { name: \"x\" }"), HasSubstr("client \"x\" names no certificate"));
  EXPECT_THAT(said("address: \"0.0.0.0\" certificate: \"c\""), HasSubstr("\"c\" is no absolute path"));
  EXPECT_THAT(said(good + "client { name: \"x\" common_name: \"y\" }"), Not(HasSubstr("management")));
}

}  // namespace
}  // namespace headgate::config
