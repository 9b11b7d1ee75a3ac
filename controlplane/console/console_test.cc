#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "controlplane/console/capture.h"
#include "controlplane/console/command_error.h"
#include "controlplane/console/names.h"
#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRightAndCutsToTheWidth) {
  Table table({"NAME", ">FLOWS"});
  table.row({"web", "7"});
  table.row({"longer", "12345"});
  EXPECT_EQ(table.text(80), "NAME    FLOWS\nweb         7\nlonger  12345\n");
  for (const std::string& line : {table.text(6)}) EXPECT_LE(line.find('\n'), 6u);
}

TEST(Count, IsExactWhenSmallAndShortWhenLarge) {
  EXPECT_EQ(count(0), "0");
  EXPECT_EQ(count(9999), "9999");
  EXPECT_EQ(count(12'345), "12.3k");
  EXPECT_EQ(count(1'234'567), "1.23M");
}

TEST(Duration, NamesTheUnit) {
  EXPECT_EQ(duration(12), "12ms");
  EXPECT_EQ(duration(93'000), "1m33s");
  EXPECT_EQ(duration(7'440'000), "2h4m");
}

// Pools web (both families), api and old (one), each with a backend w1; a service of each pool.
pb::StatsReply site() {
  pb::StatsReply stats;
  std::uint32_t id = 0;
  for (const char* name : {"web/v4", "web/v6", "api", "old"}) {
    auto* pool = stats.add_pool();
    pool->set_id(++id);
    pool->set_name(name);
    auto* service = stats.add_service();
    service->set_id(id + 10);
    service->set_name(name);
    auto* backend = stats.add_backend();
    backend->set_id(id + 20);
    backend->set_name("w1");
    backend->set_pool_id(id);
  }
  return stats;
}

using Ids = std::vector<std::uint32_t>;
using Entries = std::vector<std::string>;

TEST(Names, AServiceIsMeantInEveryFamilyUnlessOneIsNamed) {
  EXPECT_EQ(services_named(site(), "web").ids, (Ids{11, 12}));
  EXPECT_EQ(services_named(site(), "web").entries, (Entries{"web"}));
  EXPECT_EQ(services_named(site(), "web/v6").ids, (Ids{12}));
  EXPECT_EQ(services_named(site(), "api").ids, (Ids{13}));
  EXPECT_TRUE(services_named(site(), "we").ids.empty());
}

TEST(Names, ABackendIsMeantInEveryPoolUnlessOneIsNamed) {
  EXPECT_EQ(backends_named(site(), "w1").ids, (Ids{21, 22, 23, 24}));
  EXPECT_EQ(backends_named(site(), "w1").entries, (Entries{"web/w1", "api/w1", "old/w1"}));
  EXPECT_EQ(backends_named(site(), "web/w1").ids, (Ids{21, 22}));
  EXPECT_EQ(backends_named(site(), "web/w1").entries, (Entries{"web/w1"}));
  EXPECT_EQ(backends_named(site(), "web/v4/w1").ids, (Ids{21}));
  EXPECT_TRUE(backends_named(site(), "api/w2").ids.empty());
}

TEST(Capture, ALineSaysWhenWhoWhereAndWhatBecameOfIt) {
  setenv("TZ", "UTC", 1);
  tzset();
  pb::CapturedPacket packet;
  packet.set_time_ns(36'923'000'045'678);
  packet.set_summary("tcp 192.0.2.10:40000 > 192.0.2.100:80 SYN");
  packet.set_length(74);
  packet.set_port("front");
  packet.set_verdict("forwarded");
  EXPECT_EQ(capture_line(packet),
            "10:15:23.000045 tcp 192.0.2.10:40000 > 192.0.2.100:80 SYN 74 bytes, front, worker 0: forwarded");
  packet.set_verdict("dropped");
  packet.set_drop_reason("no_backend");
  EXPECT_TRUE(capture_line(packet).ends_with(", front, worker 0: dropped, no_backend"));
}

std::string error_of(const std::string& line) {
  CLI::App app("", "headgate");
  app.require_subcommand(1)->fallthrough();
  CLI::App* show = app.add_subcommand("show")->require_subcommand(1);
  show->fallthrough();
  std::uint32_t limit = 0;
  show->add_subcommand("flows")->add_option("--limit", limit)->check(CLI::Range(1, 10));
  show->add_subcommand("drops");
  std::string source;
  app.add_subcommand("explain")->add_option("source", source)->required();
  try {
    app.parse(line);
  } catch (const CLI::ParseError& error) {
    return command_error(app, error);
  }
  return "";
}

TEST(CommandError, NamesTheWordAndWhatThereIs) {
  EXPECT_EQ(error_of(""), "say what to do, headgate and one of: explain, show");
  EXPECT_EQ(error_of("bogus"), "there is no 'headgate bogus'; there are: explain, show");
  EXPECT_EQ(error_of("--bogus"), "there is no option --bogus; see headgate --help");
  EXPECT_EQ(error_of("show"), "say what to show, headgate show and one of: drops, flows");
  EXPECT_EQ(error_of("show bogus"), "there is no 'headgate show bogus'; there are: drops, flows");
  EXPECT_EQ(error_of("show flows --bogus 3"), "there is no option --bogus; see headgate show flows --help");
  EXPECT_EQ(error_of("show drops more"),
            "headgate show drops takes no further word 'more'; see headgate show drops --help");
  EXPECT_EQ(error_of("explain"), "source is required; see headgate explain --help");
  EXPECT_EQ(error_of("explain --bogus"), "there is no option --bogus; see headgate explain --help");
  EXPECT_EQ(error_of("show flows --limit 11"),
            "--limit: Value 11 not in range 1 to 10; see headgate show flows --help");
  EXPECT_EQ(error_of("show drops"), "");
}

}  // namespace
}  // namespace headgate::console
