#include "controlplane/console/grammar.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <functional>

#include "controlplane/api/config.pb.h"
#include "controlplane/api/options.pb.h"
#include "controlplane/config/edit.h"

namespace headgate::console {
namespace {

namespace v1 = config::v1;
using google::protobuf::FieldDescriptorProto;

TEST(Split, KnowsQuotesCommentsAndFilters) {
  const Line line = split(R"(set pool web comment "two words" | match a\ b # rest)");
  ASSERT_EQ(line.parts.size(), 2u);
  EXPECT_EQ(line.parts[0], (Words{"set", "pool", "web", "comment", "two words"}));
  EXPECT_EQ(line.parts[1], (Words{"match", "a b"}));
  EXPECT_TRUE(split("show ser").open_word);
  EXPECT_FALSE(split("show ").open_word);
  EXPECT_TRUE(split("set \"op").open_quote);
  EXPECT_EQ(split("").parts[0].size(), 0u);
  const Words words{"set", "say", "a \"b\" \\ #|\n"};
  EXPECT_EQ(split(config::join(words)).parts[0], words);
}

std::vector<std::string> words_of(const Choices& found) {
  std::vector<std::string> words;
  for (const Choice& choice : found.next) words.push_back(choice.word);
  return words;
}

TEST(Choices, LeadAStrangerThroughANewPool) {
  v1::Config config;
  config.add_pool()->set_name("web");
  EXPECT_EQ(words_of(choices(config, {}, Use::set)),
            (std::vector<std::string>{"interface", "route", "local_address", "pool", "service", "timeouts", "probe",
                                      "unmatched", "management", "log"}));
  EXPECT_EQ(words_of(choices(config, {"pool"}, Use::set)), (std::vector<std::string>{"web", "<name>"}));
  const Choices fields = choices(config, {"pool", "new"}, Use::set);
  EXPECT_TRUE(fields.end);  // the name alone makes a pool
  EXPECT_EQ(fields.next[0].word, "algorithm");
  EXPECT_EQ(fields.next[0].help, "how a backend is chosen");
  EXPECT_EQ(words_of(choices(config, {"pool", "new", "algorithm"}, Use::set)),
            (std::vector<std::string>{"round_robin", "least_connections", "source_hash", "maglev"}));
  const Choices weight = choices(config, {"pool", "new", "backend", "b", "weight"}, Use::set);
  ASSERT_EQ(weight.next.size(), 1u);
  EXPECT_EQ(weight.next[0].help, "share of new flows; 0: none; 0 to 1000; default 1");
  EXPECT_TRUE(choices(config, {"pool", "new", "backend", "b", "weight", "5"}, Use::set).end);
  EXPECT_EQ(words_of(choices(config, {"service", "s", "pool"}, Use::set)), (std::vector<std::string>{"web"}));
  EXPECT_TRUE(choices(config, {"nonsense"}, Use::set).next.empty());
}

TEST(Choices, OfDeleteAreWhatIsThere) {
  v1::Config config;
  auto& pool = *config.add_pool();
  pool.set_name("web");
  pool.set_algorithm(v1::Pool::MAGLEV);
  pool.add_backend()->set_name("web1");
  pool.mutable_backend(0)->add_address("10.10.0.21");
  EXPECT_EQ(words_of(choices(config, {}, Use::existing)), (std::vector<std::string>{"pool"}));
  EXPECT_EQ(words_of(choices(config, {"pool", "web"}, Use::existing)),
            (std::vector<std::string>{"algorithm", "backend"}));
  EXPECT_EQ(words_of(choices(config, {"pool", "web", "backend", "web1", "address"}, Use::existing)),
            (std::vector<std::string>{"10.10.0.21"}));
  EXPECT_TRUE(choices(config, {"pool", "no"}, Use::existing).next.empty());
}

// A field that this program was not built with: set, ?, Tab, compare and delete work from the descriptor alone.
TEST(Choices, AFieldAddedAtRunTimeHasItsCommands) {
  google::protobuf::FileDescriptorProto file;
  v1::Config::descriptor()->file()->CopyTo(&file);
  const auto message = [&](const std::string& name) {
    for (auto& type : *file.mutable_message_type()) {
      if (type.name() == name) return &type;
    }
    return static_cast<google::protobuf::DescriptorProto*>(nullptr);
  };
  FieldDescriptorProto* scalar = message("Pool")->add_field();
  scalar->set_name("burst");
  scalar->set_number(90);
  scalar->set_label(FieldDescriptorProto::LABEL_OPTIONAL);
  scalar->set_type(FieldDescriptorProto::TYPE_UINT32);
  scalar->mutable_options()->SetExtension(v1::help, "flows at once");
  scalar->mutable_options()->SetExtension(v1::range_max, std::uint64_t{7});
  FieldDescriptorProto* reference = message("Pool")->add_field();
  reference->set_name("fallback");
  reference->set_number(91);
  reference->set_label(FieldDescriptorProto::LABEL_OPTIONAL);
  reference->set_type(FieldDescriptorProto::TYPE_STRING);
  reference->mutable_options()->SetExtension(v1::reference, "pool");
  google::protobuf::DescriptorProto* certificate = file.add_message_type();
  certificate->set_name("Certificate");
  FieldDescriptorProto* name = certificate->add_field();
  name->set_name("name");
  name->set_number(1);
  name->set_label(FieldDescriptorProto::LABEL_OPTIONAL);
  name->set_type(FieldDescriptorProto::TYPE_STRING);
  FieldDescriptorProto* list = message("Config")->add_field();
  list->set_name("certificate");
  list->set_number(92);
  list->set_label(FieldDescriptorProto::LABEL_REPEATED);
  list->set_type(FieldDescriptorProto::TYPE_MESSAGE);
  list->set_type_name(".headgate.config.v1.Certificate");

  google::protobuf::DescriptorPool pool(google::protobuf::DescriptorPool::generated_pool());
  file.set_name("changed.proto");
  file.set_package("headgate.changed");
  const std::function<void(google::protobuf::DescriptorProto&)> rename = [&](google::protobuf::DescriptorProto& type) {
    for (auto& field : *type.mutable_field()) {
      const std::string old = ".headgate.config.v1.";
      if (field.type_name().starts_with(old))
        field.set_type_name(".headgate.changed." + field.type_name().substr(old.size()));
    }
    for (auto& nested : *type.mutable_nested_type()) rename(nested);
  };
  for (auto& type : *file.mutable_message_type()) rename(type);
  const auto* built = pool.BuildFile(file);
  ASSERT_NE(built, nullptr);
  google::protobuf::DynamicMessageFactory factory(&pool);
  const std::unique_ptr<google::protobuf::Message> config(
      factory.GetPrototype(built->FindMessageTypeByName("Config"))->New());

  ASSERT_TRUE(config::set(*config, {"pool", "web", "burst", "5"}));
  ASSERT_TRUE(config::set(*config, {"certificate", "www"}));
  EXPECT_FALSE(config::set(*config, {"pool", "web", "burst", "8"}));
  EXPECT_EQ(words_of(choices(*config, {"pool", "web", "fallback"}, Use::set)), (std::vector<std::string>{"web"}));
  EXPECT_EQ(choices(*config, {"pool", "web", "burst"}, Use::set).next[0].help, "flows at once; 0 to 7");
  EXPECT_EQ(words_of(choices(*config, {"certificate"}, Use::set)), (std::vector<std::string>{"www", "<name>"}));
  const std::unique_ptr<google::protobuf::Message> empty(config->New());
  EXPECT_EQ(config::compare(*empty, *config), "+ pool web burst 5\n+ certificate www\n");
  ASSERT_TRUE(config::remove(*config, {"certificate", "www"}));
  EXPECT_EQ(config::compare(*empty, *config), "+ pool web burst 5\n");
}

}  // namespace
}  // namespace headgate::console
