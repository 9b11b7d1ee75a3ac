#include "controlplane/config/tree.h"

#include <gtest/gtest.h>

#include "controlplane/config/edit.h"
#include "controlplane/config/print.h"
#include "controlplane/config/validate.h"

namespace headgate::config {
namespace {

constexpr const char* kText = R"(# The outside.
interface {
  name: "front"
  port: "front"
  prefix: "192.0.2.0/24"
}

route {
  prefix: "0.0.0.0/0"
  next_hop {
    gateway: "192.0.2.1"
  }
}

# Web servers.
#
# Ask anna before you change these.
pool {
  name: "web"
  algorithm: MAGLEV
  # old
  backend {
    name: "web1"
    address: "10.10.0.21"
    address: "2001:db8:2::21"
    weight: 0
  }
}
)";

v1::Config config_of(const std::string& text, std::vector<Diagnostic>* said = nullptr) {
  Document document = parse("test", text);
  attach_comments(document, text);
  EXPECT_TRUE(document.ok()) << (document.diagnostics.empty() ? "" : document.diagnostics[0].to_string());
  if (said != nullptr) *said = document.diagnostics;
  return document.config;
}

TEST(Print, GivesBackWhatItPrintedWithComments) {
  std::vector<Diagnostic> said;
  const v1::Config config = config_of(kText, &said);
  EXPECT_TRUE(said.empty());
  EXPECT_EQ(config.pool(0).comment(), "Web servers.\n\nAsk anna before you change these.");
  EXPECT_EQ(print(config), kText);
}

TEST(Print, WarnsOfCommentsThatAreNotKept) {
  std::vector<Diagnostic> said;
  config_of("# far away\n\npool { name: \"a\" } # behind\n# above nothing of its own\nunmatched: DROP\n# last\n",
            &said);
  ASSERT_EQ(said.size(), 4u);
  EXPECT_EQ(said[0].to_string().substr(0, 16), "test:1:1: warnin");
  EXPECT_EQ(said[1].location.line, 3);
  EXPECT_EQ(said[1].location.column, 20);
  EXPECT_EQ(said[2].location.line, 4);
  EXPECT_EQ(said[3].location.line, 6);
}

TEST(Flatten, WritesSetCommands) {
  EXPECT_EQ(set_commands(config_of(kText)),
            "set interface front port front\n"
            "set interface front prefix 192.0.2.0/24\n"
            "set interface front comment \"The outside.\"\n"
            "set route 0.0.0.0/0 next_hop 1 gateway 192.0.2.1\n"
            "set pool web algorithm maglev\n"
            "set pool web backend web1 address 10.10.0.21\n"
            "set pool web backend web1 address 2001:db8:2::21\n"
            "set pool web backend web1 weight 0\n"
            "set pool web backend web1 comment old\n"
            "set pool web comment \"Web servers.\\n\\nAsk anna before you change these.\"\n");
}

TEST(Flatten, ItsCommandsBuildTheSameConfiguration) {
  const v1::Config config = config_of(kText);
  v1::Config built;
  for (const Words& words : flatten(config)) ASSERT_TRUE(set(built, words)) << join(words);
  EXPECT_EQ(print(built), print(config));
}

TEST(Compare, SaysNothingOfAnEntryThatOnlyBecameFullerOrEmptier) {
  v1::Config empty;
  ASSERT_TRUE(set(empty, {"pool", "web"}));
  v1::Config full = empty;
  ASSERT_TRUE(set(full, {"pool", "web", "algorithm", "maglev"}));
  EXPECT_EQ(compare(empty, full), "+ pool web algorithm maglev\n");
  EXPECT_EQ(compare(full, empty), "- pool web algorithm maglev\n");
  EXPECT_EQ(compare(v1::Config(), empty), "+ pool web\n");
}

TEST(Compare, PutsANewValueBesideTheOldOne) {
  const v1::Config before = config_of(kText);
  v1::Config after = before;
  EXPECT_EQ(compare(before, after), "");
  ASSERT_TRUE(set(after, {"pool", "web", "algorithm", "round_robin"}));
  ASSERT_TRUE(set(after, {"pool", "web", "backend", "web2", "address", "10.10.0.22"}));
  ASSERT_TRUE(remove(after, {"pool", "web", "backend", "web1", "address", "2001:db8:2::21"}));
  EXPECT_EQ(compare(before, after),
            "- pool web algorithm maglev\n"
            "+ pool web algorithm round_robin\n"
            "- pool web backend web1 address 2001:db8:2::21\n"
            "+ pool web backend web2 address 10.10.0.22\n");
}

TEST(Edit, SaysWhatIsWrongAndChangesNothing) {
  const v1::Config before = config_of(kText);
  v1::Config config = before;
  struct Case {
    Words words;
    std::string part;
  };
  const Case cases[] = {
      {{"pol", "web"}, "there is no pol; possible are interface, route"},
      {{"pool", "web", "colour", "red"}, "there is no colour in pool web"},
      {{"pool", "new", "algorithm", "fast"}, "algorithm is one of round_robin, least_connections"},
      {{"pool", "web", "backend", "web1", "weight", "1001"}, "from 0 to 1000"},
      {{"pool", "web", "backend", "web1", "weight", "-1"}, "from 0 to 1000"},
      {{"pool", "web", "backend", "web1", "port"}, "needs a value"},
      {{"pool", "web", "backend", "we b", "port", "80"}, "no name"},
      {{"interface", "front", "prefix", "192.0.2.1/24"}, "write 192.0.2.0/24"},
      {{"interface", "front", "gateway", "perhaps"}, "true, false"},
      {{"route", "0.0.0.0/0", "next_hop", "3", "gateway", "192.0.2.9"}, "the next is 2"},
      {{"pool", "web", "algorithm", "maglev", "now"}, "one word too many"},
  };
  for (const Case& c : cases) {
    const auto done = set(config, c.words);
    ASSERT_FALSE(done) << join(c.words);
    EXPECT_NE(done.error().message.find(c.part), std::string::npos) << done.error().message;
    EXPECT_EQ(print(config), print(before)) << join(c.words);
  }
  EXPECT_FALSE(remove(config, {"pool", "nope"}));
  EXPECT_FALSE(remove(config, {"pool", "web", "on_removal"}));
}

TEST(Edit, RemovesEntriesBlocksAndValues) {
  v1::Config config = config_of(kText);
  ASSERT_TRUE(set(config, {"pool", "web", "health_check", "tcp", "port", "80"}));
  ASSERT_TRUE(remove(config, {"pool", "web", "health_check"}));
  EXPECT_FALSE(config.pool(0).has_health_check());
  ASSERT_TRUE(remove(config, {"pool", "web", "backend", "web1"}));
  EXPECT_EQ(config.pool(0).backend_size(), 0);
  ASSERT_TRUE(remove(config, {"pool", "web", "algorithm"}));
  EXPECT_FALSE(config.pool(0).has_algorithm());
  ASSERT_TRUE(remove(config, {"route"}));
  EXPECT_EQ(config.route_size(), 0);
}

TEST(Edit, ARenamedEntryTakesItsReferencesAlong) {
  v1::Config config = config_of(kText);
  ASSERT_TRUE(set(config, {"service", "s", "pool", "web"}));
  ASSERT_TRUE(set(config, {"service", "t", "pool", "web"}));
  EXPECT_EQ(rename(config, {"pool", "web"}, "www"), 2u);
  EXPECT_EQ(config.pool(0).name(), "www");
  EXPECT_EQ(config.service(1).pool(), "www");
  EXPECT_FALSE(rename(config, {"service", "s"}, "t"));
  EXPECT_EQ(rename(config, {"pool", "www", "backend", "web1"}, "w1"), 0u);
}

// The commands of a change, made in `before`, give `after`; and in another configuration the same change.
TEST(ChangeCommands, MakeOneOfTheOther) {
  const v1::Config before = config_of(kText);
  v1::Config after = before;
  ASSERT_TRUE(set(after, {"pool", "web", "algorithm", "round_robin"}));
  ASSERT_TRUE(set(after, {"pool", "web", "backend", "web2", "address", "10.10.0.22"}));
  ASSERT_TRUE(remove(after, {"pool", "web", "backend", "web1", "address", "2001:db8:2::21"}));
  ASSERT_TRUE(remove(after, {"route", "0.0.0.0/0"}));
  ASSERT_TRUE(remove(after, {"pool", "web", "comment"}));
  const auto commands = change_commands(before, after);
  ASSERT_TRUE(commands) << commands.error().message;
  EXPECT_EQ(*commands,
            "delete route 0.0.0.0/0\n"
            "delete pool web backend web1 address 2001:db8:2::21\n"
            "delete pool web comment\n"
            "set pool web algorithm round_robin\n"
            "set pool web backend web2 address 10.10.0.22\n");
  EXPECT_EQ(change_commands(before, before).value_or("?"), "");
  const auto back = change_commands(after, before);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_NE(back->find("delete pool web backend web2\n"), std::string::npos) << *back;
}

TEST(ChangeCommands, RemoveTheLargestPartThatIsGone) {
  v1::Config before = config_of(kText), after;
  const auto commands = change_commands(before, after);
  ASSERT_TRUE(commands) << commands.error().message;
  EXPECT_EQ(*commands, "delete interface front\ndelete route 0.0.0.0/0\ndelete pool web\n");
}

TEST(NamePlaces, SayWhatADiagnosticIsAbout) {
  const Document document = load_text("x", R"(pool {
  name: "web"
  backend { name: "w1" address: "10.10.0.300" wieght: 3 }
  backend { address: "10.10.0.21" }
  health_check { http { port: 0 } }
}
)");
  std::string about;
  for (const Diagnostic& d : document.diagnostics) {
    if (d.severity == Severity::error) about += std::to_string(d.location.line) + " " + d.path + "\n";
  }
  EXPECT_EQ(about,
            "3 pool web backend w1 address\n"
            "3 pool web backend w1\n"
            "4 pool web backend 2\n"
            "5 pool web health_check\n"
            "5 pool web health_check http port\n");
}

}  // namespace
}  // namespace headgate::config
