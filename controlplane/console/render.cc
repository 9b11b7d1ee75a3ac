#include "controlplane/console/render.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <map>

#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

using namespace dataplane::v1;

template <class T>
std::string text_of(T value) {
  return std::to_string(value);
}

std::vector<std::string> traffic_cells(const TrafficCounters& traffic) {
  return {text_of(traffic.flows_now()),        short_number(traffic.flows_total()), short_number(traffic.packets_in()),
          short_number(traffic.packets_out()), short_number(traffic.bytes_in()),    short_number(traffic.bytes_out())};
}

std::vector<std::string> with_traffic(std::vector<std::string> cells, const TrafficCounters& traffic) {
  for (std::string& cell : traffic_cells(traffic)) cells.push_back(std::move(cell));
  return cells;
}

std::string state_of(const BackendStats& backend) {
  return backend.health() == DOWN ? "down" : backend.drain() ? "draining" : "up";
}

struct Drop {
  std::uint64_t packets = 0;
  std::string meaning;
};

std::map<std::string, Drop> drops_of(const StatsReply& stats) {
  std::map<std::string, Drop> drops;
  for (const auto& worker : stats.worker()) {
    for (const auto& drop : worker.drop()) {
      drops[drop.reason()].packets += drop.packets();
      drops[drop.reason()].meaning = drop.meaning();
    }
  }
  return drops;
}

std::string rate(std::uint64_t before, std::uint64_t now, double seconds) {
  const std::uint64_t difference = now >= before ? now - before : now;  // it restarted
  return short_number(static_cast<std::uint64_t>(static_cast<double>(difference) / seconds));
}

template <class Entries, class Name>
const typename Entries::value_type* find_entry(const Entries& entries, Name name) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name() == name; });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

std::string render_services(const StatsReply& stats) {
  Table table({">ID", "SERVICE", ">FLOWS", ">TOTAL", ">PKTS IN", ">PKTS OUT", ">BYTES IN", ">BYTES OUT"});
  for (const auto& s : stats.service()) table.add(with_traffic({text_of(s.id()), s.name()}, s.traffic()));
  return table.to_string();
}

std::string render_pools(const StatsReply& stats) {
  Table table({">ID", "POOL", ">FLOWS", ">TOTAL", ">PKTS IN", ">PKTS OUT", ">BYTES IN", ">BYTES OUT"});
  for (const auto& p : stats.pool()) table.add(with_traffic({text_of(p.id()), p.name()}, p.traffic()));
  return table.to_string();
}

std::string render_backends(const StatsReply& stats) {
  std::map<std::uint32_t, std::string> pools;
  for (const auto& pool : stats.pool()) pools[pool.id()] = pool.name();
  Table table({">ID", "POOL", "BACKEND", "STATE", ">FLOWS", ">TOTAL", ">BYTES IN", ">BYTES OUT"});
  for (const auto& b : stats.backend()) {
    table.add({text_of(b.id()), pools[b.pool_id()], b.name(), state_of(b), text_of(b.traffic().flows_now()),
               short_number(b.traffic().flows_total()), short_number(b.traffic().bytes_in()),
               short_number(b.traffic().bytes_out())});
  }
  return table.to_string();
}

std::string render_ports(const StatsReply& stats) {
  Table table({"PORT", "LINK", "DRIVER", "STEERING", ">Q", ">RX PKTS", ">TX PKTS", ">RX ERR", ">TX ERR", ">MISSED"});
  for (const auto& p : stats.port()) {
    const std::string link = !p.link_up()         ? "down"
                             : p.link_mbps() == 0 ? "up"
                                                  : short_number(std::uint64_t{p.link_mbps()} * 1'000'000);
    table.add({p.name(), link, p.driver(), p.steering(), text_of(p.queues()), short_number(p.rx_packets()),
               short_number(p.tx_packets()), short_number(p.rx_errors()), short_number(p.tx_errors()),
               short_number(p.rx_missed() + p.rx_no_buffer())});
  }
  return table.to_string();
}

std::string render_workers(const StatsReply& stats) {
  Table table({">WORKER", ">BUSY %", ">PACKETS", ">DROPPED", ">HANDED", ">FLOWS", ">MAX", ">SHED", ">GENERATION"});
  for (const auto& w : stats.worker()) {
    std::uint64_t dropped = 0, handed = 0;
    for (const auto& drop : w.drop()) dropped += drop.packets();
    for (const auto& handover : w.handover()) handed += handover.packets();
    table.add({text_of(w.worker()), text_of(static_cast<int>(w.busy_share() * 100 + 0.5)), short_number(w.packets()),
               short_number(dropped), short_number(handed), text_of(w.flows_now()), text_of(w.flows_max()),
               short_number(w.flows_shed()), text_of(w.generation())});
  }
  return table.to_string();
}

std::string render_drops(const StatsReply& stats) {
  const auto drops = drops_of(stats);
  std::vector<std::pair<std::string, Drop>> sorted(drops.begin(), drops.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.packets > b.second.packets; });
  Table table({"REASON", ">PACKETS", "MEANING"});
  for (const auto& [reason, drop] : sorted) {
    if (drop.packets > 0) table.add({reason, text_of(drop.packets), drop.meaning});
  }
  return table.to_string();
}

// Two IPv6 endpoints fill a line, so a flow takes two.
std::string render_flows(const FlowsReply& flows) {
  std::string text;
  for (const auto& f : flows.flow()) {
    text += f.protocol() + " " + f.mode() + " " + f.state() + ", worker " + text_of(f.worker()) + ", age " +
            short_time(f.age_ms()) + ", idle " + short_time(f.idle_ms()) + ", expires in " +
            short_time(f.expires_in_ms()) + "\n";
    text += "  " + f.client() + " > " + f.service() + "\n";
    text += "  " + (f.local().empty() ? "" : f.local() + " ") + "> " + f.backend() + "\n";
  }
  if (text.empty()) return "none\n";
  return text + (flows.more() ? "there are more; use --limit or a filter\n" : "");
}

std::string render_neighbors(const NeighborsReply& neighbors) {
  Table table({"ADDRESS", "MAC", "INTERFACE", "STATE", ">AGE"});
  for (const auto& n : neighbors.neighbor())
    table.add({n.address(), n.mac(), n.interface(), n.state(), short_time(n.age_ms())});
  return table.to_string();
}

std::string render_running(const RunningReply& running) {
  std::string ports;
  for (const std::string& port : running.port()) ports += (ports.empty() ? "" : " ") + port;
  const auto down = std::count_if(running.backend().begin(), running.backend().end(),
                                  [](const auto& b) { return b.health() == DOWN; });
  return "version     " + running.version() + "\npid         " + text_of(running.pid()) + "\nworkers     " +
         text_of(running.workers()) + "\nports       " + ports + "\ngeneration  " + text_of(running.generation()) +
         "\nepoch       " + text_of(running.epoch()) + "\ndigest      " + running.digest() + "\nbackends    " +
         text_of(running.backend_size()) + ", " + text_of(down) + " down\n";
}

std::string render_explanation(const ExplainReply& reply) {
  std::string text;
  std::size_t width = 0;
  for (const auto& step : reply.step()) width = std::max(width, step.stage().size());
  for (const auto& step : reply.step()) {
    text += step.stage() + std::string(width + 2 - step.stage().size(), ' ') + step.text() + "\n";
  }
  text += "verdict: " + reply.verdict() + (reply.drop_reason().empty() ? "" : " (" + reply.drop_reason() + ")") +
          "; worker " + text_of(reply.worker()) + ", bucket " + text_of(reply.bucket());
  if (reply.backend_id() != 0) text += ", backend id " + text_of(reply.backend_id());
  return text + (reply.existing_flow() ? ", by an existing flow\n" : "\n");
}

std::string render_rates(const StatsReply& before, const StatsReply& now, double seconds) {
  Table services({"SERVICE", ">FLOWS", ">NEW/s", ">PKTS IN/s", ">PKTS OUT/s", ">BYTES IN/s", ">BYTES OUT/s"});
  for (const auto& s : now.service()) {
    const auto* old = find_entry(before.service(), s.name());
    const TrafficCounters was = old == nullptr ? s.traffic() : old->traffic();
    services.add({s.name(), text_of(s.traffic().flows_now()),
                  rate(was.flows_total(), s.traffic().flows_total(), seconds),
                  rate(was.packets_in(), s.traffic().packets_in(), seconds),
                  rate(was.packets_out(), s.traffic().packets_out(), seconds),
                  rate(was.bytes_in(), s.traffic().bytes_in(), seconds),
                  rate(was.bytes_out(), s.traffic().bytes_out(), seconds)});
  }
  Table ports({"PORT", ">RX PKTS/s", ">TX PKTS/s", ">RX BYTES/s", ">TX BYTES/s"});
  for (const auto& p : now.port()) {
    const auto* old = find_entry(before.port(), p.name());
    const PortStats was = old == nullptr ? p : *old;
    ports.add({p.name(), rate(was.rx_packets(), p.rx_packets(), seconds),
               rate(was.tx_packets(), p.tx_packets(), seconds), rate(was.rx_bytes(), p.rx_bytes(), seconds),
               rate(was.tx_bytes(), p.tx_bytes(), seconds)});
  }
  std::string text = services.to_string() + "\n" + ports.to_string();
  auto old_drops = drops_of(before);
  Table drops({"DROPPED", ">PKTS/s", "MEANING"});
  bool any = false;
  for (const auto& [reason, drop] : drops_of(now)) {
    if (drop.packets <= old_drops[reason].packets) continue;
    drops.add({reason, rate(old_drops[reason].packets, drop.packets, seconds), drop.meaning});
    any = true;
  }
  return any ? text + "\n" + drops.to_string() : text;
}

std::string to_json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return "{}\n";
  return text + "\n";
}

}  // namespace headgate::console
