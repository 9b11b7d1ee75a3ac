// headgate: one-shot commands for the dataplane's API. The full console (configuration, completion, help, pager, the
// management API of the control plane) is the next issue and takes this program's name.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "controlplane/console/client.h"
#include "controlplane/console/pcap.h"
#include "controlplane/console/render.h"

namespace {

using namespace headgate::console;
using namespace headgate::dataplane::v1;
using Stub = Dataplane::Stub;

struct FlowOptions {
  std::string client, service, backend, protocol;
  std::uint32_t client_port = 0, limit = 0;
};

struct CaptureOptions {
  std::string host, verdict, drop_reason, file;
  std::uint32_t port = 0, count = 0, seconds = 0, snap_length = 0;
};

struct ExplainOptions {
  std::string protocol, port;
  std::vector<std::string> words;
  std::uint32_t vlan = 0;
  bool established = false;
};

struct Session {
  std::string target = "unix:/run/headgate/dataplane.sock";
  bool json = false;

  int fail(const std::string& text) const {
    std::fprintf(stderr, "headgate: %s\n", text.c_str());
    return 1;
  }
  int print(const std::string& text) const {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    return 0;
  }
  template <class Request, class Reply>
  int show(Client::Method<Request, Reply> method, const Request& request, std::string (*render)(const Reply&)) const {
    Reply reply;
    const std::string error = Client(target).call(method, request, reply);
    if (!error.empty()) return fail(error);
    return print(json ? to_json(reply) : render(reply));
  }
  int show_stats(std::string (*render)(const StatsReply&)) const { return show(&Stub::Stats, StatsRequest(), render); }
};

// A number is an id; anything else a name, which must be unique: backends of two pools may share one.
template <class Entries>
std::string find_id(const Entries& entries, const std::string& what, const std::string& text, std::uint32_t& id) {
  if (!text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos) {
    id = static_cast<std::uint32_t>(std::stoul(text));
    return {};
  }
  int found = 0;
  for (const auto& entry : entries) {
    if (entry.name() != text) continue;
    id = entry.id();
    ++found;
  }
  if (found == 1) return {};
  return found == 0 ? "there is no " + what + " " + text + "; see headgate show " + what + "s"
                    : "several " + what + "s are named " + text + "; give the id, see headgate show " + what + "s";
}

std::string make_filter(const Session& session, const FlowOptions& options, FlowFilter& filter) {
  filter.set_client(options.client);
  filter.set_client_port(options.client_port);
  filter.set_limit(options.limit);
  if (!options.protocol.empty()) filter.set_protocol(options.protocol == "tcp" ? TCP : UDP);
  if (options.service.empty() && options.backend.empty()) return {};
  StatsReply stats;
  std::string error = Client(session.target).call(&Stub::Stats, StatsRequest(), stats);
  std::uint32_t id = 0;
  if (error.empty() && !options.service.empty()) {
    error = find_id(stats.service(), "service", options.service, id);
    filter.set_service_id(id);
  }
  if (error.empty() && !options.backend.empty()) {
    error = find_id(stats.backend(), "backend", options.backend, id);
    filter.set_backend_id(id);
  }
  return error;
}

int show_flows(const Session& session, const FlowOptions& options) {
  FlowFilter filter;
  const std::string error = make_filter(session, options, filter);
  return error.empty() ? session.show(&Stub::ListFlows, filter, render_flows) : session.fail(error);
}

std::string render_cleared(const ClearFlowsReply& reply) {
  return std::to_string(reply.cleared()) + " flows cleared\n";
}

int clear_flows(const Session& session, const FlowOptions& options) {
  FlowFilter filter;
  const std::string error = make_filter(session, options, filter);
  return error.empty() ? session.show(&Stub::ClearFlows, filter, render_cleared) : session.fail(error);
}

int watch_stats(const Session& session, std::uint32_t interval_ms, std::uint32_t count) {
  StatsRequest request;
  request.set_interval_ms(interval_ms);
  StatsReply previous;
  std::uint32_t samples = 0;
  auto then = std::chrono::steady_clock::now();
  const std::string error = Client(session.target).stream_stats(request, [&](const StatsReply& reply) {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::max(std::chrono::duration<double>(now - then).count(), 1e-3);
    if (session.json) {
      session.print(to_json(reply));
    } else if (samples > 0) {
      session.print(render_rates(previous, reply, seconds) + "\n");
    }
    previous = reply;
    then = now;
    ++samples;
    // The first sample alone gives no rate.
    return count == 0 || samples < count + (session.json ? 0 : 1);
  });
  return error.empty() ? 0 : session.fail(error);
}

bool parse_port(const std::string& text, std::uint32_t& port) {
  if (text.empty() || text.size() > 5 || text.find_first_not_of("0123456789") != std::string::npos) return false;
  port = static_cast<std::uint32_t>(std::stoul(text));
  return port <= 65535;
}

int explain(const Session& session, const ExplainOptions& options) {
  ExplainRequest request;
  request.set_protocol(options.protocol);
  request.set_port(options.port);
  request.set_vlan(options.vlan);
  request.set_established(options.established);
  if (options.protocol == "icmp") {
    if (options.words.size() != 2) return session.fail("write: headgate explain icmp SOURCE DESTINATION");
    request.set_source(options.words[0]);
    request.set_destination(options.words[1]);
  } else {
    std::uint32_t source_port = 0, destination_port = 0;
    if (options.words.size() != 4 || !parse_port(options.words[1], source_port) ||
        !parse_port(options.words[3], destination_port)) {
      return session.fail("write: headgate explain " + options.protocol + " SOURCE PORT DESTINATION PORT");
    }
    request.set_source(options.words[0]);
    request.set_source_port(source_port);
    request.set_destination(options.words[2]);
    request.set_destination_port(destination_port);
  }
  return session.show(&Stub::Explain, request, render_explanation);
}

int capture(const Session& session, const CaptureOptions& options) {
  CaptureRequest request;
  request.set_host(options.host);
  request.set_port(options.port);
  request.set_verdict(options.verdict);
  request.set_drop_reason(options.drop_reason);
  request.set_packets_max(options.count);
  request.set_seconds_max(options.seconds);
  request.set_snap_length(options.snap_length);
  PcapFile file(options.file, options.snap_length == 0 ? 256 : options.snap_length);
  if (!file.good()) return session.fail("cannot write " + options.file + "; check the path and its permissions");
  std::uint64_t packets = 0, lost = 0;
  const std::string error = Client(session.target).capture(request, [&](const CapturedPacket& packet) {
    lost = std::max(lost, packet.lost());
    if (packet.data().empty()) return true;
    ++packets;
    file.add(packet.time_ns(), packet.length(), packet.data());
    if (session.json) session.print(to_json(packet));
    return file.good();
  });
  if (!error.empty()) return session.fail(error);
  if (!file.good()) return session.fail("writing " + options.file + " failed; is the disk full?");
  std::fprintf(stderr, "%llu packets to %s, %llu lost\n", static_cast<unsigned long long>(packets),
               options.file.c_str(), static_cast<unsigned long long>(lost));
  return 0;
}

void add_flow_options(CLI::App& command, FlowOptions& options) {
  command.add_option("--client", options.client, "address or prefix");
  command.add_option("--client-port", options.client_port)->check(CLI::Range(1, 65535));
  command.add_option("--service", options.service, "name or id");
  command.add_option("--backend", options.backend, "name or id");
  command.add_option("--protocol", options.protocol)->check(CLI::IsMember({"tcp", "udp"}));
}

// Commands end the program with the exit status they return.
template <class Action>
void on(CLI::App* command, int& status, Action action) {
  command->callback([&status, action] { status = action(); });
}

void add_show(CLI::App& cli, const Session& session, FlowOptions& flows, int& status) {
  CLI::App* show = cli.add_subcommand("show", "what the dataplane does now");
  show->require_subcommand(1);
  const struct {
    const char *name, *help;
    std::string (*render)(const StatsReply&);
  } tables[] = {
      {"services", "traffic by service", render_services},
      {"pools", "traffic by pool", render_pools},
      {"backends", "traffic and state by backend", render_backends},
      {"ports", "link, steering and counters", render_ports},
      {"workers", "load by worker", render_workers},
      {"drops", "dropped packets by reason", render_drops},
  };
  for (const auto& table : tables) {
    on(show->add_subcommand(table.name, table.help), status,
       [&session, render = table.render] { return session.show_stats(render); });
  }
  CLI::App* list = show->add_subcommand("flows", "flows, filtered");
  add_flow_options(*list, flows);
  list->add_option("--limit", flows.limit, "at most; default 100")->check(CLI::Range(1, 10000));
  on(list, status, [&] { return show_flows(session, flows); });
  on(show->add_subcommand("neighbors", "ARP and ND"), status,
     [&session] { return session.show(&Stub::Neighbors, NeighborsRequest(), render_neighbors); });
  on(show->add_subcommand("running", "version, snapshot and process"), status,
     [&session] { return session.show(&Stub::Running, RunningRequest(), render_running); });
}

void add_capture(CLI::App& cli, const Session& session, CaptureOptions& options, int& status) {
  CLI::App* command = cli.add_subcommand("capture", "packets as the workers see them, to a pcap file");
  command->add_option("--host", options.host, "address or prefix, either end");
  command->add_option("--port", options.port, "either end")->check(CLI::Range(1, 65535));
  command->add_option("--verdict", options.verdict, "name of an exit, e.g. forwarded");
  command->add_option("--drop-reason", options.drop_reason, "see headgate show drops");
  command->add_option("--count", options.count, "packets; default 1000")->check(CLI::Range(1, 100000));
  command->add_option("--seconds", options.seconds, "default 30")->check(CLI::Range(1, 600));
  command->add_option("--snap-length", options.snap_length, "bytes of each packet; default 256")
      ->check(CLI::Range(1, 2048));
  command->add_option("-w,--write", options.file, "file to write")->required();
  on(command, status, [&] { return capture(session, options); });
}

void add_explain(CLI::App& cli, const Session& session, ExplainOptions& options, int& status) {
  CLI::App* command = cli.add_subcommand("explain", "what would happen to a packet: tcp SOURCE PORT DESTINATION PORT");
  command->add_option("protocol", options.protocol)->required()->check(CLI::IsMember({"tcp", "udp", "icmp"}));
  command->add_option("endpoints", options.words, "SOURCE PORT DESTINATION PORT; icmp: SOURCE DESTINATION")
      ->required()
      ->expected(2, 4);
  command->add_option("--port", options.port, "arrival port; default: towards the source");
  command->add_option("--vlan", options.vlan)->check(CLI::Range(0, 4094));
  command->add_flag("--established", options.established, "TCP: a segment with ACK instead of a SYN");
  on(command, status, [&] { return explain(session, options); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli("Headgate: ask the dataplane.");
  Session session;
  FlowOptions flows;
  CaptureOptions captured;
  ExplainOptions explained;
  std::uint32_t interval_ms = 1000, count = 0;
  int status = 0;
  cli.require_subcommand(1);
  cli.fallthrough();  // --json and --dataplane may stand anywhere
  cli.add_option("--dataplane", session.target, "socket: a path or unix:PATH")
      ->capture_default_str()
      ->transform(
          [](std::string text) { return text.starts_with('/') || text.starts_with('.') ? "unix:" + text : text; });
  cli.add_flag("--json", session.json, "answers as JSON, one line each");

  add_show(cli, session, flows, status);
  CLI::App* watch = cli.add_subcommand("watch", "rates, again and again")->require_subcommand(1);
  CLI::App* stats = watch->add_subcommand("stats", "services, ports and drops per second");
  stats->add_option("--interval-ms", interval_ms)->capture_default_str()->check(CLI::Range(100, 60000));
  stats->add_option("--count", count, "samples; default: until interrupted");
  on(stats, status, [&] { return watch_stats(session, interval_ms, count); });
  add_explain(cli, session, explained, status);
  add_capture(cli, session, captured, status);
  CLI::App* clear = cli.add_subcommand("clear", "forget state")->require_subcommand(1);
  CLI::App* clear_command = clear->add_subcommand("flows", "all flows, or those that match");
  add_flow_options(*clear_command, flows);
  on(clear_command, status, [&] { return clear_flows(session, flows); });

  CLI11_PARSE(cli, argc, argv);
  return status;
}
