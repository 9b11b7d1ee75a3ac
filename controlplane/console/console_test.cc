#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "controlplane/console/pcap.h"
#include "controlplane/console/render.h"
#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

using namespace dataplane::v1;

std::size_t widest_line(const std::string& text) {
  std::istringstream lines(text);
  std::size_t widest = 0;
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, line.size());
  return widest;
}

TEST(Table, AlignsAndCutsTheWidestTextToFitTheTerminal) {
  Table table({"NAME", ">N"});
  table.add({"a", "1"});
  table.add({"bcdef", "100"});
  EXPECT_EQ(table.to_string(), "NAME     N\na        1\nbcdef  100\n");
  table.add({std::string(100, 'x'), "2"});
  EXPECT_EQ(widest_line(table.to_string()), kWidth);
  EXPECT_NE(table.to_string().find("x~    2\n"), std::string::npos);
  EXPECT_EQ(Table({"A"}).to_string(), "none\n");
}

TEST(ShortNumber, StaysWithinSevenCharacters) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(99'999), "99999");
  EXPECT_EQ(short_number(1'234'567), "1234.6k");
  EXPECT_EQ(short_number(123'456'789'012), "123.5G");
  EXPECT_EQ(short_number(UINT64_MAX), "18.4E");
  for (std::uint64_t n = 1; n < UINT64_MAX / 7; n *= 7) EXPECT_LE(short_number(n).size(), 7u) << n;
}

TEST(ShortTime, ShowsTwoUnits) {
  EXPECT_EQ(short_time(20), "20ms");
  EXPECT_EQ(short_time(1500), "1.5s");
  EXPECT_EQ(short_time(61'500), "1m1s");
  EXPECT_EQ(short_time(90'061'000), "1d1h");
}

// A busy box: large numbers, long names.
StatsReply busy() {
  StatsReply stats;
  const auto fill = [](TrafficCounters& traffic) {
    for (const auto set :
         {&TrafficCounters::set_packets_in, &TrafficCounters::set_bytes_in, &TrafficCounters::set_packets_out,
          &TrafficCounters::set_bytes_out, &TrafficCounters::set_flows_total}) {
      (traffic.*set)(9'999'000'000'000'000);
    }
    traffic.set_flows_now(12'345'678);
  };
  auto& service = *stats.add_service();
  service.set_id(4096);
  service.set_name("a-service-with-a-long-name-such-as-people-give-them/v6");
  fill(*service.mutable_traffic());
  auto& pool = *stats.add_pool();
  pool.set_id(4096);
  pool.set_name("a-pool-with-a-long-name/v6");
  fill(*pool.mutable_traffic());
  auto& backend = *stats.add_backend();
  backend.set_id(16384);
  backend.set_pool_id(4096);
  backend.set_name("a-backend-with-a-long-name");
  backend.set_drain(true);
  fill(*backend.mutable_traffic());
  auto& port = *stats.add_port();
  port.set_name("servers-uplink");
  port.set_driver("net_af_packet");
  port.set_steering("software");
  port.set_link_up(true);
  port.set_link_mbps(100'000);
  port.set_queues(16);
  port.set_rx_packets(9'999'000'000'000'000);
  port.set_tx_packets(9'999'000'000'000'000);
  port.set_rx_missed(9'999'000'000'000'000);
  auto& worker = *stats.add_worker();
  worker.set_packets(9'999'000'000'000'000);
  worker.set_flows_now(12'345'678);
  worker.set_flows_max(100'000'000);
  worker.set_generation(123'456);
  auto& drop = *worker.add_drop();
  drop.set_reason("no_local_port");
  drop.set_packets(7);
  drop.set_meaning("every local address and port towards that backend is taken; add local addresses");
  return stats;
}

TEST(Render, EveryTableFitsEightyColumns) {
  const StatsReply stats = busy();
  for (const auto render :
       {render_services, render_pools, render_backends, render_ports, render_workers, render_drops}) {
    EXPECT_LE(widest_line(render(stats)), kWidth) << render(stats);
  }
  EXPECT_LE(widest_line(render_rates(stats, stats, 1)), kWidth) << render_rates(stats, stats, 1);
}

TEST(Render, RatesComeFromDifferences) {
  StatsReply before, now;
  auto& was = *before.add_service();
  was.set_name("web");
  was.mutable_traffic()->set_packets_in(1000);
  now = before;
  now.mutable_service(0)->mutable_traffic()->set_packets_in(3000);
  EXPECT_NE(render_rates(before, now, 2).find(" 1000 "), std::string::npos) << render_rates(before, now, 2);
}

TEST(Json, KeepsFieldNamesAndZeros) {
  ClearFlowsReply reply;
  EXPECT_EQ(to_json(reply), "{\"cleared\":\"0\"}\n");
}

TEST(Pcap, HasANanosecondHeaderAndRecords) {
  const std::string path = testing::TempDir() + "pcap." + std::to_string(getpid());
  {
    PcapFile file(path, 256);
    file.add(5'000'000'007, 1500, "abc");
    EXPECT_TRUE(file.good());
  }
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  const std::string expected(
      "\x4d\x3c\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\x01\0\0\x01\0\0\0"
      "\x05\0\0\0\x07\0\0\0\x03\0\0\0\xdc\x05\0\0abc",
      24 + 16 + 3);
  EXPECT_EQ(text.str(), expected);
  std::filesystem::remove(path);
  EXPECT_FALSE(PcapFile("/nonexistent/x", 256).good());
}

}  // namespace
}  // namespace headgate::console
