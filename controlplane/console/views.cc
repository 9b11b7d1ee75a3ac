#include "controlplane/console/views.h"

#include <cstdio>
#include <map>

#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

std::vector<std::string> traffic(std::vector<std::string> cells, const pb::TrafficCounters& t) {
  for (const std::uint64_t n :
       {t.flows_now(), t.flows_total(), t.packets_in(), t.bytes_in(), t.packets_out(), t.bytes_out()})
    cells.push_back(count(n));
  return cells;
}

void show_pools(const pb::StatsReply& reply, const Look& look) {
  Table table({"POOL", ">FLOWS", ">TOTAL", ">PKTS IN", ">BYTES IN", ">PKTS OUT", ">BYTES OUT"});
  for (const auto& pool : reply.pool()) table.row(traffic({pool.name()}, pool.traffic()));
  print(table, look);
}

void show_backends(const pb::StatsReply& reply, const Look& look) {
  std::map<std::uint32_t, std::string> pools;
  for (const auto& pool : reply.pool()) pools[pool.id()] = pool.name();
  Table table({"BACKEND", "POOL", "!STATE", ">FLOWS", ">?TOTAL", ">PKTS IN", ">BYTES IN", ">PKTS OUT", ">BYTES OUT"});
  for (const auto& backend : reply.backend()) {
    const char* state = backend.drain() ? "drain" : backend.health() == pb::UP ? "up" : "DOWN";
    table.row(traffic({backend.name(), pools[backend.pool_id()], state}, backend.traffic()));
  }
  print(table, look);
}

void show_ports(const pb::StatsReply& reply, const Look& look) {
  Table table(
      {"PORT", "!LINK", "?DRIVER", "STEERING", ">?QUEUES", ">RX PKTS", ">TX PKTS", ">MISSED", ">ERRORS", "?MAC"});
  for (const auto& port : reply.port()) {
    table.row({port.name(), port.link_up() ? "up" : "DOWN", port.driver(), port.steering(),
               std::to_string(port.queues()), count(port.rx_packets()), count(port.tx_packets()),
               count(port.rx_missed() + port.rx_no_buffer()), count(port.rx_errors() + port.tx_errors()), port.mac()});
  }
  print(table, look);
}

void show_workers(const pb::StatsReply& reply, const Look& look) {
  Table table(
      {">WORKER", ">BUSY", ">PACKETS", ">FLOWS", ">FLOWS MAX", ">SHED", ">HANDED OVER", ">?SLEEPS", ">GENERATION"});
  for (const auto& worker : reply.worker()) {
    std::uint64_t handed = 0;
    for (const auto& handover : worker.handover()) handed += handover.packets();
    char busy[16];
    std::snprintf(busy, sizeof busy, "%.1f%%", worker.busy_share() * 100);
    table.row({std::to_string(worker.worker()), busy, count(worker.packets()), count(worker.flows_now()),
               count(worker.flows_max()), count(worker.flows_shed()), count(handed), count(worker.sleeps()),
               std::to_string(worker.generation())});
  }
  print(table, look);
  for (const auto& gauge : reply.gauge()) {
    if (gauge.size() == 0) {
      std::printf("%s: %s used\n", gauge.name().c_str(), count(gauge.used()).c_str());
    } else {
      std::printf("%s: %s of %s free\n", gauge.name().c_str(), count(gauge.free()).c_str(),
                  count(gauge.size()).c_str());
    }
  }
}

void show_drops(const pb::StatsReply& reply, const Look& look) {
  std::map<std::string, pb::DropCount> drops;
  for (const auto& worker : reply.worker()) {
    for (const auto& drop : worker.drop()) {
      pb::DropCount& sum = drops[drop.reason()];
      sum.set_packets(sum.packets() + drop.packets());
      sum.set_answered(sum.answered() + drop.answered());
      sum.set_meaning(drop.meaning());
    }
  }
  Table table({"REASON", ">DROPPED", ">ANSWERED", "MEANING"});
  for (const auto& [reason, drop] : drops)
    table.row({reason, count(drop.packets()), count(drop.answered()), drop.meaning()});
  print(table, look);
}

}  // namespace

const std::map<std::string, View>& stats_views() {
  static const std::map<std::string, View> views = {
      {"pools", {show_pools, "pools and their traffic"}},
      {"traffic", {show_backends, "backends: state and traffic"}},
      {"ports", {show_ports, "ports: link, driver, counters"}},
      {"workers", {show_workers, "workers: load, flows, hand-overs"}},
      {"drops", {show_drops, "dropped packets by reason, with a sentence each"}},
  };
  return views;
}

}  // namespace headgate::console
