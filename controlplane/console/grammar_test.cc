#include "controlplane/console/grammar.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <functional>

#include "controlplane/api/config.pb.h"
#include "controlplane/api/options.pb.h"
#include "controlplane/config/edit.h"
#include "controlplane/console/terminal.h"

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
                                      "unmatched", "group", "failover", "management", "log"}));
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

Choices with(const std::vector<std::string>& words, bool end = false) {
  Choices found;
  for (const std::string& word : words) found.next.push_back({word, word.starts_with('<') ? "a new one" : ""});
  found.end = end;
  return found;
}

TEST(Completed, GoesOnAsFarAsAllChoicesShare) {
  EXPECT_EQ(completed("show ba", "ba", with({"backends"})), "show backends ");
  EXPECT_EQ(completed("set po", "po", with({"pool", "port"})), "set po");
  EXPECT_EQ(completed("set p", "p", with({"pool", "pools"})), "set pool");
  EXPECT_EQ(completed("set ", "", with({"pool"})), "set pool ");
  EXPECT_EQ(completed("show x", "x", with({})), "show x");
}

TEST(Completed, NamesWhatExistsAlsoWhereANewNameMayFollow) {
  EXPECT_EQ(completed("set pool webs", "webs", with({"webserver", "<name>"})), "set pool webserver ");
  EXPECT_EQ(completed("set pool we", "we", with({"web1", "web2", "<name>"})), "set pool web");
  EXPECT_EQ(completed("set pool ", "", with({"web", "<name>"})), "set pool ");
  EXPECT_EQ(completed("set pool x", "x", with({"<name>"})), "set pool x");
}

TEST(HelpText, HasAChoiceALineAndTheEnd) {
  EXPECT_EQ(help_text(with({"web", "<name>"}, true)), "  web\n  <name>  a new one\n  <Enter>\n");
  EXPECT_EQ(help_text({}), "  nothing can follow\n");
}

// Config with fields that this program was not built with: pool.burst, a scalar; pool.fallback, a reference;
// certificate, a repeated message with a field of its own.
class FieldsOfRunTime : public testing::Test {
 protected:
  FieldsOfRunTime() : pool_(google::protobuf::DescriptorPool::generated_pool()), factory_(&pool_) {
    v1::Config::descriptor()->file()->CopyTo(&file_);
    FieldDescriptorProto& scalar = add_field(type("Pool"), "burst", 90, FieldDescriptorProto::TYPE_UINT32);
    scalar.mutable_options()->SetExtension(v1::help, "flows at once");
    scalar.mutable_options()->SetExtension(v1::range_max, std::uint64_t{7});
    FieldDescriptorProto& reference = add_field(type("Pool"), "fallback", 91, FieldDescriptorProto::TYPE_STRING);
    reference.mutable_options()->SetExtension(v1::help, "where flows go meanwhile");
    reference.mutable_options()->SetExtension(v1::reference, "pool");
    FieldDescriptorProto& old = add_field(type("Pool"), "colour", 93, FieldDescriptorProto::TYPE_STRING);
    old.mutable_options()->SetExtension(v1::help, "of its icon");
    old.mutable_options()->SetExtension(v1::pattern, "[a-z]+");
    old.mutable_options()->SetExtension(v1::deprecated, "use comment");
    google::protobuf::DescriptorProto& certificate = *file_.add_message_type();
    certificate.set_name("Certificate");
    add_field(certificate, "name", 1, FieldDescriptorProto::TYPE_STRING);
    add_field(certificate, "days", 2, FieldDescriptorProto::TYPE_UINT32);
    FieldDescriptorProto& list = add_field(type("Config"), "certificate", 92, FieldDescriptorProto::TYPE_MESSAGE);
    list.set_label(FieldDescriptorProto::LABEL_REPEATED);
    list.set_type_name(".headgate.config.v1.Certificate");
    list.mutable_options()->SetExtension(v1::help, "what we are known by");
    file_.set_name("changed.proto");
    file_.set_package("headgate.changed");
    for (auto& message : *file_.mutable_message_type()) move_types(message);
    const auto* built = pool_.BuildFile(file_);
    EXPECT_NE(built, nullptr);
    config_.reset(factory_.GetPrototype(built->FindMessageTypeByName("Config"))->New());
    before_.reset(config_->New());
    EXPECT_TRUE(config::set(*config_, {"pool", "web"}));
    EXPECT_TRUE(config::set(*config_, {"pool", "spare"}));
    before_->CopyFrom(*config_);
  }

  google::protobuf::DescriptorProto& type(const std::string& name) {
    for (auto& message : *file_.mutable_message_type()) {
      if (message.name() == name) return message;
    }
    ADD_FAILURE() << "no " << name;
    return *file_.add_message_type();
  }
  static FieldDescriptorProto& add_field(google::protobuf::DescriptorProto& message, const char* name, int number,
                                         FieldDescriptorProto::Type type) {
    FieldDescriptorProto& field = *message.add_field();
    field.set_name(name);
    field.set_number(number);
    field.set_label(FieldDescriptorProto::LABEL_OPTIONAL);
    field.set_type(type);
    return field;
  }
  static void move_types(google::protobuf::DescriptorProto& message) {
    for (auto& field : *message.mutable_field()) {
      const std::string old = ".headgate.config.v1.";
      if (field.type_name().starts_with(old))
        field.set_type_name(".headgate.changed." + field.type_name().substr(old.size()));
    }
    for (auto& nested : *message.mutable_nested_type()) move_types(nested);
  }

  bool set(const Words& words) { return config::set(*config_, words).has_value(); }
  bool remove(const Words& words) { return config::remove(*config_, words).has_value(); }
  std::string compare() const { return config::compare(*before_, *config_); }
  // The choices at the end of "set ..." or "delete ...", as ? and Tab see them.
  Choices at(const std::string& line, std::string& begun) const {
    Words words = split(line).parts[0];
    const Use use = words[0] == "set" ? Use::set : Use::existing;
    begun = split(line).open_word ? words.back() : "";
    if (split(line).open_word) words.pop_back();
    Choices found = choices(*config_, Words(words.begin() + 1, words.end()), use);
    keep_begun(found, begun);
    return found;
  }
  std::string tab(const std::string& line) const {
    std::string begun;
    const Choices found = at(line, begun);
    return completed(line, begun, found);
  }
  std::string question_mark(const std::string& line) const {
    std::string begun;
    return help_text(at(line, begun));
  }

  google::protobuf::FileDescriptorProto file_;
  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_;
  std::unique_ptr<google::protobuf::Message> config_, before_;
};

TEST_F(FieldsOfRunTime, AScalarHasItsCommands) {
  EXPECT_EQ(tab("set pool web bu"), "set pool web burst ");
  EXPECT_EQ(question_mark("set pool web bu"), "  burst  flows at once\n  <Enter>\n");
  EXPECT_EQ(question_mark("set pool web burst "), "  <burst>  flows at once; 0 to 7\n");
  EXPECT_FALSE(set({"pool", "web", "burst", "8"}));
  EXPECT_FALSE(set({"pool", "web", "burst", "many"}));
  EXPECT_EQ(compare(), "");
  ASSERT_TRUE(set({"pool", "web", "burst", "5"}));
  EXPECT_EQ(compare(), "+ pool web burst 5\n");
  EXPECT_EQ(tab("delete pool web b"), "delete pool web burst ");
  EXPECT_TRUE(remove({"pool", "web", "burst"}));
  EXPECT_EQ(compare(), "");
  EXPECT_FALSE(remove({"pool", "web", "burst"}));
}

TEST_F(FieldsOfRunTime, AReferenceHasItsCommandsAndTheNamesThereAre) {
  EXPECT_EQ(tab("set pool web fa"), "set pool web fallback ");
  EXPECT_EQ(question_mark("set pool web fallback "), "  web    pool\n  spare  pool\n");
  EXPECT_EQ(tab("set pool web fallback s"), "set pool web fallback spare ");
  ASSERT_TRUE(set({"pool", "web", "fallback", "spare"}));
  EXPECT_EQ(compare(), "+ pool web fallback spare\n");
  EXPECT_EQ(config::rename(*config_, {"pool", "spare"}, "rest").value(), 1u) << "what refers to it follows";
  EXPECT_TRUE(remove({"pool", "web", "fallback"}));
  EXPECT_EQ(compare(), "- pool spare\n+ pool rest\n");
}

TEST_F(FieldsOfRunTime, APatternAndADeprecationAreInTheHelp) {
  EXPECT_EQ(question_mark("set pool web col"), "  colour  of its icon (deprecated: use comment)\n  <Enter>\n");
  EXPECT_EQ(question_mark("set pool web colour "), "  <colour>  of its icon; matches [a-z]+\n");
  EXPECT_EQ(config::set(*config_, {"pool", "web", "colour", "Red"}).error().message,
            "colour is of its icon, not Red; it matches [a-z]+");
  EXPECT_TRUE(set({"pool", "web", "colour", "red"}));
}

TEST_F(FieldsOfRunTime, ARepeatedMessageHasItsCommands) {
  EXPECT_EQ(tab("set cert"), "set certificate ");
  EXPECT_EQ(question_mark("set cert"), "  certificate  what we are known by\n");
  EXPECT_EQ(question_mark("set certificate "), "  <name>  a new certificate: \n");
  ASSERT_TRUE(set({"certificate", "www", "days", "90"}));
  ASSERT_TRUE(set({"certificate", "mail"}));
  EXPECT_EQ(compare(), "+ certificate www days 90\n+ certificate mail\n");
  EXPECT_EQ(tab("set certificate w"), "set certificate www ");
  EXPECT_EQ(tab("set certificate www "), "set certificate www days ");
  EXPECT_EQ(question_mark("delete certificate "), "  www\n  mail\n  <Enter>\n");
  ASSERT_TRUE(remove({"certificate", "www", "days"}));
  ASSERT_TRUE(remove({"certificate", "mail"}));
  EXPECT_EQ(compare(), "+ certificate www\n");
  ASSERT_TRUE(remove({"certificate"}));
  EXPECT_EQ(compare(), "");
}

}  // namespace
}  // namespace headgate::console
