// headgate: one-shot commands to look at a running dataplane. The interactive console with configuration, completion
// and roles is not done: it will be a client of the control plane's management API; this one speaks to the dataplane
// directly.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>

#include "controlplane/console/capture.h"
#include "controlplane/console/client.h"
#include "controlplane/console/command_error.h"
#include "controlplane/console/flows.h"
#include "controlplane/console/table.h"

namespace headgate::console {
namespace {

std::vector<std::string> traffic(std::vector<std::string> cells, const pb::TrafficCounters& t) {
  for (const std::uint64_t n :
       {t.flows_now(), t.flows_total(), t.packets_in(), t.bytes_in(), t.packets_out(), t.bytes_out()})
    cells.push_back(count(n));
  return cells;
}

using Reader = std::function<void(const pb::StatsReply&)>;

void show_services(const pb::StatsReply& reply) {
  Table table({"SERVICE", ">FLOWS", ">TOTAL", ">PKTS IN", ">BYTES IN", ">PKTS OUT", ">BYTES OUT", ">REFUSED"});
  for (const auto& service : reply.service()) {
    auto cells = traffic({service.name()}, service.traffic());
    std::uint64_t refused = 0;
    for (const auto& drop : service.drop()) refused += drop.packets();
    cells.push_back(count(refused));
    table.row(cells);
  }
  print(table);
}

void show_pools(const pb::StatsReply& reply) {
  Table table({"POOL", ">FLOWS", ">TOTAL", ">PKTS IN", ">BYTES IN", ">PKTS OUT", ">BYTES OUT"});
  for (const auto& pool : reply.pool()) table.row(traffic({pool.name()}, pool.traffic()));
  print(table);
}

void show_backends(const pb::StatsReply& reply) {
  std::map<std::uint32_t, std::string> pools;
  for (const auto& pool : reply.pool()) pools[pool.id()] = pool.name();
  Table table({"BACKEND", "POOL", "STATE", ">FLOWS", ">TOTAL", ">PKTS IN", ">BYTES IN", ">PKTS OUT", ">BYTES OUT"});
  for (const auto& backend : reply.backend()) {
    const char* state = backend.drain() ? "drain" : backend.health() == pb::UP ? "up" : "DOWN";
    table.row(traffic({backend.name(), pools[backend.pool_id()], state}, backend.traffic()));
  }
  print(table);
}

void show_ports(const pb::StatsReply& reply) {
  Table table({"PORT", "LINK", "DRIVER", "STEERING", ">QUEUES", ">RX PKTS", ">TX PKTS", ">MISSED", ">ERRORS", "MAC"});
  for (const auto& port : reply.port()) {
    table.row({port.name(), port.link_up() ? "up" : "DOWN", port.driver(), port.steering(),
               std::to_string(port.queues()), count(port.rx_packets()), count(port.tx_packets()),
               count(port.rx_missed() + port.rx_no_buffer()), count(port.rx_errors() + port.tx_errors()), port.mac()});
  }
  print(table);
}

void show_workers(const pb::StatsReply& reply) {
  Table table(
      {">WORKER", ">BUSY", ">PACKETS", ">FLOWS", ">FLOWS MAX", ">SHED", ">HANDED OVER", ">SLEEPS", ">GENERATION"});
  for (const auto& worker : reply.worker()) {
    std::uint64_t handed = 0;
    for (const auto& handover : worker.handover()) handed += handover.packets();
    char busy[16];
    std::snprintf(busy, sizeof busy, "%.1f%%", worker.busy_share() * 100);
    table.row({std::to_string(worker.worker()), busy, count(worker.packets()), count(worker.flows_now()),
               count(worker.flows_max()), count(worker.flows_shed()), count(handed), count(worker.sleeps()),
               std::to_string(worker.generation())});
  }
  print(table);
  for (const auto& gauge : reply.gauge()) {
    if (gauge.size() == 0) {
      std::printf("%s: %s used\n", gauge.name().c_str(), count(gauge.used()).c_str());
    } else {
      std::printf("%s: %s of %s free\n", gauge.name().c_str(), count(gauge.free()).c_str(),
                  count(gauge.size()).c_str());
    }
  }
}

void show_drops(const pb::StatsReply& reply) {
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
  print(table);
}

const std::map<std::string, std::pair<Reader, const char*>>& stats_views() {
  static const std::map<std::string, std::pair<Reader, const char*>> views = {
      {"services", {show_services, "services and their traffic"}},
      {"pools", {show_pools, "pools and their traffic"}},
      {"backends", {show_backends, "backends: state and traffic"}},
      {"ports", {show_ports, "ports: link, driver, counters"}},
      {"workers", {show_workers, "workers: load, flows, hand-overs"}},
      {"drops", {show_drops, "dropped packets by reason, with a sentence each"}},
  };
  return views;
}

int show_neighbors(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  pb::NeighborsReply reply;
  if (const int code = client.check(client.stub().Neighbors(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"ADDRESS", "MAC", "INTERFACE", "STATE", ">SINCE"});
  for (const auto& n : reply.neighbor())
    table.row({n.address(), n.mac().empty() ? "-" : n.mac(), n.interface(), n.state(), duration(n.age_ms())});
  print(table);
  return 0;
}

int show_running(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  pb::RunningReply reply;
  if (const int code = client.check(client.stub().Running(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  int down = 0;
  for (const auto& backend : reply.backend()) down += backend.health() == pb::DOWN ? 1 : 0;
  std::printf(
      "version     %s\ngeneration  %llu\ndigest      %s\nworkers     %u\npid         %llu\nbackends    %d, %d down\n",
      reply.version().c_str(), static_cast<unsigned long long>(reply.generation()), reply.digest().c_str(),
      reply.workers(), static_cast<unsigned long long>(reply.pid()), reply.backend_size(), down);
  return 0;
}

int show_stats(Client& client, const Reader& view) {
  pb::StatsReply reply;
  if (const int code = client.stats(reply)) return code;
  if (client.json()) return print_json(reply);
  view(reply);
  return 0;
}

int watch(Client& client, const std::string& what, unsigned interval_s) {
  grpc::ClientContext context;
  pb::StatsRequest request;
  request.set_interval_ms(interval_s * 1000);
  const auto stream = client.stub().StreamStats(&context, request);
  pb::StatsReply reply;
  while (stream->Read(&reply)) {
    if (client.json()) {
      print_json(reply);
    } else {
      std::fputs("\033[H\033[2J", stdout);
      stats_views().at(what).first(reply);
    }
    std::fflush(stdout);
  }
  return client.check(stream->Finish());
}

// "192.0.2.10:80", "[2001:db8::1]:80", or an address alone (port 0).
std::optional<std::pair<std::string, std::uint32_t>> parse_endpoint(const std::string& text) {
  std::string address = text, port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string::npos) return std::nullopt;
    address = text.substr(1, close - 1);
    if (close + 1 < text.size()) {
      if (text[close + 1] != ':') return std::nullopt;
      port = text.substr(close + 2);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    address = text.substr(0, text.find(':'));
    port = text.substr(text.find(':') + 1);
  }
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (!port.empty() && (error != std::errc{} || end != port.data() + port.size() || number > 65535))
    return std::nullopt;
  return std::pair{address, number};
}

int explain(Client& client, const pb::ExplainRequest& request) {
  grpc::ClientContext context;
  Client::soon(context);
  pb::ExplainReply reply;
  if (const int code = client.check(client.stub().Explain(&context, request, &reply))) return code;
  if (client.json()) return print_json(reply);
  std::size_t width = 0;
  for (const auto& step : reply.step()) width = std::max(width, step.stage().size());
  for (const auto& step : reply.step())
    std::printf("%-*s  %s\n", static_cast<int>(width), step.stage().c_str(), step.text().c_str());
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app{"Looks at a running Headgate dataplane. The interactive console is not done yet.", "headgate"};
  Options options;
  app.add_option("--dataplane", options.socket, "Unix socket of the dataplane")->capture_default_str();
  app.add_flag("--json", options.json, "machine-readable output");
  app.require_subcommand(1);
  app.fallthrough();
  FlowOptions flows;
  const auto flow_options = [&flows](CLI::App* command) {
    command->add_option("--client", flows.client, "address or prefix");
    command->add_option("--client-port", flows.client_port)->check(CLI::Range(1, 65535));
    command->add_option("--protocol", flows.protocol)->check(CLI::IsMember({"tcp", "udp"}));
    command->add_option("--service", flows.service, "NAME, of both families; or NAME/v4, NAME/v6");
    command->add_option("--backend", flows.backend, "NAME, in every pool; or POOL/NAME");
  };

  CLI::App* show = app.add_subcommand("show", "what runs and how it does")->require_subcommand(1);
  show->fallthrough();
  std::map<CLI::App*, std::function<int(Client&)>> actions;
  for (const auto& [name, view] : stats_views()) {
    actions[show->add_subcommand(name, view.second)] = [reader = view.first](Client& client) {
      return show_stats(client, reader);
    };
  }
  CLI::App* flows_command = show->add_subcommand("flows", "flows, by filter");
  flow_options(flows_command);
  flows_command->add_option("--limit", flows.limit)->check(CLI::Range(1, 10'000))->capture_default_str();
  actions[flows_command] = [&](Client& client) { return show_flows(client, flows); };
  actions[show->add_subcommand("neighbors", "next hops: hardware addresses and states")] = show_neighbors;
  actions[show->add_subcommand("running", "version, generation, workers")] = show_running;

  CLI::App* clear = app.add_subcommand("clear", "end things")->require_subcommand(1);
  clear->fallthrough();
  CLI::App* clear_command = clear->add_subcommand("flows", "end flows by filter; TCP peers get a RST");
  flow_options(clear_command);
  bool all = false;
  clear_command->add_flag("--all", all, "without any filter: every flow");
  actions[clear_command] = [&](Client& client) {
    if (!all && flows.client.empty() && flows.client_port == 0 && flows.protocol.empty() && flows.service.empty() &&
        flows.backend.empty()) {
      std::fprintf(stderr, "headgate: no filter given; add one, or --all to end every flow\n");
      return 1;
    }
    return clear_flows(client, flows);
  };

  std::string watched = "services";
  unsigned interval_s = 1;
  CLI::App* watch_command = app.add_subcommand("watch", "a show view, again and again");
  std::vector<std::string> names;
  for (const auto& [name, view] : stats_views()) names.push_back(name);
  watch_command->add_option("view", watched)->check(CLI::IsMember(names))->capture_default_str();
  watch_command->add_option("--interval", interval_s, "seconds")->check(CLI::Range(1, 60))->capture_default_str();
  actions[watch_command] = [&](Client& client) { return watch(client, watched, interval_s); };

  pb::ExplainRequest question;
  std::string protocol, source, destination, port;
  std::uint32_t vlan = 0;
  bool established = false;
  CLI::App* explain_command = app.add_subcommand("explain", "what would happen to a packet, and why");
  explain_command->add_option("protocol", protocol)->required()->check(CLI::IsMember({"tcp", "udp", "icmp"}));
  explain_command->add_option("source", source, "ADDRESS:PORT, [ADDRESS]:PORT; icmp: ADDRESS")->required();
  explain_command->add_option("destination", destination, "likewise")->required();
  explain_command->add_option("--port", port, "arrival port; default: where the route back to the source leads");
  explain_command->add_option("--vlan", vlan)->check(CLI::Range(0, 4094));
  explain_command->add_flag("--established", established, "a TCP segment with ACK instead of a SYN");
  actions[explain_command] = [&](Client& client) {
    question.set_protocol(protocol);
    const auto from = parse_endpoint(source), to = parse_endpoint(destination);
    if (!from || !to) {
      std::fprintf(stderr, "headgate: '%s' is no ADDRESS:PORT\n", (from ? destination : source).c_str());
      return 1;
    }
    if (protocol != "icmp" && (from->second == 0 || to->second == 0)) {
      const std::string& text = from->second == 0 ? source : destination;
      std::fprintf(stderr, "headgate: %s needs two ports and '%s' has none: write it like %s\n", protocol.c_str(),
                   text.c_str(),
                   from->first.find(':') == std::string::npos ? "192.0.2.10:40000" : "[2001:db8::1]:40000");
      return 1;
    }
    question.set_source(from->first);
    question.set_source_port(from->second);
    question.set_destination(to->first);
    question.set_destination_port(to->second);
    question.set_port(port);
    question.set_vlan(vlan);
    question.set_established(established);
    return explain(client, question);
  };

  std::string host, verdict, drop_reason, file;
  std::uint32_t capture_port = 0, packets = 1000, seconds = 30, snap = 256;
  CLI::App* capture_command = app.add_subcommand("capture", "packets as they arrive, with what became of them");
  capture_command->add_option("--host", host, "address or prefix, either end");
  capture_command->add_option("--port", capture_port, "either end")->check(CLI::Range(1, 65535));
  capture_command->add_option("--verdict", verdict,
                              "forwarded, answered, consumed, exception, handed_over, held, dropped");
  capture_command->add_option("--drop-reason", drop_reason, "a reason of show drops");
  capture_command->add_option("--count", packets)->check(CLI::Range(1, 100'000))->capture_default_str();
  capture_command->add_option("--seconds", seconds)->check(CLI::Range(1, 600))->capture_default_str();
  capture_command->add_option("--snap-length", snap)->check(CLI::Range(64, 2048))->capture_default_str();
  capture_command->add_option("-w,--write", file, "pcap file; without it a line per packet");
  actions[capture_command] = [&](Client& client) {
    pb::CaptureRequest request;
    request.set_host(host);
    request.set_port(capture_port);
    request.set_verdict(verdict);
    request.set_drop_reason(drop_reason);
    request.set_packets_max(packets);
    request.set_seconds_max(seconds);
    request.set_snap_length(snap);
    return capture(client, request, file);
  };

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "headgate: %s\n", command_error(app, error).c_str());
    return 1;
  }
  Client client(options);
  for (const auto& [command, action] : actions) {
    if (command->parsed()) return action(client);
  }
  return 1;
}

}  // namespace
}  // namespace headgate::console

int main(int argc, char** argv) {
  return headgate::console::run(argc, argv);
}
