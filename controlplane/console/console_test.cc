#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <random>
#include <sstream>

#include "controlplane/console/capture.h"
#include "controlplane/console/command_error.h"
#include "controlplane/console/names.h"
#include "controlplane/console/pairing.h"
#include "controlplane/console/table.h"
#include "tests/seed.h"

namespace headgate::console {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRight) {
  Table table({"NAME", ">FLOWS"});
  table.row({"web", "7"});
  table.row({"longer", "12345"});
  EXPECT_EQ(table.text({.width = 80}), "NAME    FLOWS\nweb         7\nlonger  12345\n");
}

std::size_t longest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t length = 0;
  for (std::string line; std::getline(lines, line);) length = std::max(length, line.size());
  return length;
}

TEST(Table, WrapsItsLastColumn) {
  Table table({"NAME", "WHY"});
  table.row({"web1", "down: 2 of 2 probes failed, last: connection refused"});
  table.row({"web2", "up"});
  EXPECT_EQ(table.text({.width = 30}),
            "NAME  WHY\n"
            "web1  down: 2 of 2 probes\n"
            "      failed, last: connection\n"
            "      refused\n"
            "web2  up\n");
}

TEST(Table, LeavesOutWhatItMayFromTheRightAndSaysSo) {
  Table table({"NAME", "?MAC", ">?BYTES", "STATE"});
  table.row({"front", "02:00:00:00:00:01", "12345", "up"});
  EXPECT_EQ(table.text({.width = 33}).substr(0, 6), "NAME  ");
  EXPECT_EQ(table.text({.width = 33}),
            "NAME   MAC                STATE\n"
            "front  02:00:00:00:00:01  up\n"
            "not shown for want of width:\n"
            "BYTES (| json has all)\n");
  EXPECT_EQ(longest(table.text({.width = 33})), 31u);
  EXPECT_EQ(table.text({.width = 60}), "NAME   MAC                BYTES  STATE\nfront  02:00:00:00:00:01  12345  up\n");
}

TEST(Table, LaysWhatIsStillTooWideOverSeveralLinesInColumns) {
  Table table({"BACKEND", "POOL", "ADDRESS", ">WEIGHT"});
  table.row({"one", "web", "[2001:db8:2::21]:80", "1"});
  table.row({std::string(30, 'b'), "web", "10.10.0.21:80", "100"});
  const std::string text = table.text({.width = 40});
  EXPECT_EQ(text,
            "BACKEND                         POOL\n"
            "    ADDRESS              WEIGHT\n"
            "one                             web\n"
            "    [2001:db8:2::21]:80       1\n" +
                std::string(30, 'b') +
                "  web\n"
                "    10.10.0.21:80           100\n");
}

TEST(Table, LosesNothingAtAnyWidth) {
  const std::uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    Table table({"A", ">B", "C", "!D", ">E", "F"});
    std::vector<std::string> cells;
    for (char c = 'a'; c <= 'f'; ++c) cells.emplace_back(random() % 30 + 1, c);
    table.row(cells);
    const std::size_t width = 10 + random() % 150;
    const std::string text = table.text({.width = width});
    ASSERT_LE(longest(text), width) << "HEADGATE_SEED=" << seed << "\n" << text;
    for (char c = 'a'; c <= 'f'; ++c) {
      ASSERT_EQ(std::count(text.begin(), text.end(), c),
                static_cast<std::ptrdiff_t>(cells[static_cast<std::size_t>(c - 'a')].size()))
          << "HEADGATE_SEED=" << seed << "\n"
          << text;
    }
  }
}

TEST(Table, ColoursStatesAndNothingElse) {
  Table table({"NAME", "!STATE", "WHY"});
  table.row({"up", "up", "x"});
  table.row({"DOWN", "DOWN", "x"});
  EXPECT_EQ(table.text({.width = 80, .colour = true}),
            "NAME  STATE  WHY\nup    \033[32mup\033[0m     x\nDOWN  \033[31mDOWN\033[0m   x\n");
  EXPECT_EQ(table.text({.width = 80}).find('\033'), std::string::npos);
}

TEST(Field, WrapsUnderItsText) {
  EXPECT_EQ(field("PROBLEM", 9, "web1 is down: it does not answer", {.width = 30}),
            "PROBLEM  web1 is down: it does\n         not answer\n");
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

TEST(Pairing, ALineWithACodeIsForNoHistory) {
  for (const char* line :
       {"failover pair ABCD-EFGH-IJKL-MNOP", "  run failover pair x", "--json failover pair \"a b\""})
    EXPECT_TRUE(names_pairing_code(line)) << line;
  for (const char* line : {"failover pair", "failover unpair", "show failover peer", "set comment pair failover x", ""})
    EXPECT_FALSE(names_pairing_code(line)) << line;
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
