#include "controlplane/console/operational.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "controlplane/console/capture.h"
#include "controlplane/console/command_error.h"
#include "controlplane/console/flows.h"
#include "controlplane/console/machine.h"
#include "controlplane/console/manage.h"
#include "controlplane/console/overview.h"
#include "controlplane/console/table.h"
#include "controlplane/console/views.h"
#include "controlplane/console/watch.h"

namespace headgate::console {
namespace {

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

int show_stats(Client& client, const View& view, unsigned span_ms) {
  pb::StatsReply reply;
  if (const int code = client.stats(reply, span_ms)) return code;
  if (client.json()) return print_json(reply);
  view.first(reply);
  return 0;
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

// The grammar, and what its options were set to.
struct Commands {
  Commands();
  void add_views(CLI::App* show);
  void add_flow_options(CLI::App* command);
  void add_flows();
  void add_watch();
  void add_backend();
  void add_explain();
  void add_capture();
  void add_machine();

  CLI::App app{"Headgate's console. Without a command: interactive, or commands from standard input.", "headgate"};
  bool json = false;
  std::map<CLI::App*, std::function<int(Client&)>> actions;
  FlowOptions flows;
  bool all = false;
  WatchOptions watching;
  pb::ExplainRequest question;
  std::string protocol, source, destination, port;
  std::uint32_t vlan = 0;
  bool established = false;
  std::string host, verdict, drop_reason, file;
  std::uint32_t capture_port = 0, packets = 1000, seconds = 30, snap = 256;
  std::string config_form;
  std::uint64_t revision = 0;
  unsigned lines = 50;
  bool follow = false;
  std::string backend, state;
  std::string address, target;
  unsigned pings = 5;
  bool now = false;
};

// The same below `show` and below `watch`.
void Commands::add_views(CLI::App* show) {
  for (const auto& [name, view] : stats_views()) {
    const unsigned span_ms = name == "workers" ? 50 : 20;
    actions[show->add_subcommand(name, view.second)] = [&view, span_ms](Client& client) {
      return show_stats(client, view, span_ms);
    };
  }
  actions[show->add_subcommand("version", "of the console, the control plane and the dataplane")] = show_version;
  actions[show->add_subcommand("system", "version, state, and what is wrong")] = show_system;
  actions[show->add_subcommand("health", "pools: how many can serve; probes: how many, and whether in time")] =
      show_health;
  actions[show->add_subcommand("backends", "backends: state, since when and why, last probe")] = show_backends;
  actions[show->add_subcommand("interfaces", "addresses, ports, links and their counters")] = show_interfaces;
  actions[show->add_subcommand("routes", "networks and the ways to them")] = show_routes;
  actions[show->add_subcommand("neighbors", "next hops: hardware addresses and states")] = show_neighbors;
  actions[show->add_subcommand("running", "what the dataplane runs: generation, digest, workers")] = show_running;
  actions[show->add_subcommand("commits", "the history of the configuration")] = show_commits;
  CLI::App* config = show->add_subcommand("configuration", "the running configuration");
  config->add_option("form", config_form, "set: as set commands")->check(CLI::IsMember({"set"}));
  config->add_option("--revision", revision, "an earlier one");
  actions[config] = [this](Client& client) { return show_configuration(client, revision, config_form == "set"); };
  CLI::App* log = show->add_subcommand("log", "what happened: health, commits, logins, operations, warnings");
  log->add_option("--lines", lines)->check(CLI::Range(1, 10'000))->capture_default_str();
  if (show->get_name() == "show") log->add_flag("--follow", follow, "and what happens from now on");
  actions[log] = [this](Client& client) { return show_log(client, lines, follow); };
  CLI::App* flows_command = show->add_subcommand("flows", "flows, by filter")->alias("sessions");
  add_flow_options(flows_command);
  flows_command->add_option("--limit", flows.limit)->check(CLI::Range(1, 10'000))->capture_default_str();
  actions[flows_command] = [this](Client& client) { return show_flows(client, flows); };
}

void Commands::add_flow_options(CLI::App* command) {
  command->add_option("--client", flows.client, "address or prefix");
  command->add_option("--client-port", flows.client_port)->check(CLI::Range(1, 65535));
  command->add_option("--protocol", flows.protocol)->check(CLI::IsMember({"tcp", "udp"}));
  command->add_option("--service", flows.service, "NAME, of both families; or NAME/v4, NAME/v6");
  command->add_option("--backend", flows.backend, "NAME, in every pool; or POOL/NAME");
}

void Commands::add_flows() {
  CLI::App* clear = app.add_subcommand("clear", "end things")->require_subcommand(1);
  clear->fallthrough();
  CLI::App* command = clear->add_subcommand("flows", "end flows by filter; TCP peers get a RST")->alias("sessions");
  add_flow_options(command);
  command->add_flag("--all", all, "without any filter: every flow");
  actions[command] = [this](Client& client) {
    if (!all && flows.client.empty() && flows.client_port == 0 && flows.protocol.empty() && flows.service.empty() &&
        flows.backend.empty())
      return Client::say("no filter given; add one, or --all to end every flow");
    return clear_flows(client, flows);
  };
}

void Commands::add_watch() {
  CLI::App* command = app.add_subcommand("watch", "any show again and again, until Ctrl-C")->require_subcommand(1);
  command->add_option("--interval", watching.interval_s, "seconds")->check(CLI::Range(1, 3600))->capture_default_str();
  command->add_option("--count", watching.count, "so many times; default: without end")->check(CLI::Range(1, 100'000));
  command->fallthrough();
  std::map<CLI::App*, std::function<int(Client&)>> shows;
  shows.swap(actions);
  add_views(command);
  actions.swap(shows);
  for (const auto& [view, show] : shows) {
    actions[view] = [this, name = view->get_name(), act = show](Client& client) {
      return watch("show " + name, watching, client.json(), [&] { return act(client); });
    };
  }
}

void Commands::add_backend() {
  CLI::App* set = app.add_subcommand("backend", "drain, disable or enable a backend; survives restarts");
  set->add_option("name", backend, "NAME, or POOL/NAME")->required();
  set->add_option("state", state, "drain: no new flows; disable: as if down; enable: as configured")
      ->required()
      ->check(CLI::IsMember({"drain", "disable", "enable"}));
  actions[set] = [this](Client& client) { return set_backend(client, backend, state); };
  actions[app.add_subcommand("confirm", "let the last commit stand")] = confirm;
}

void Commands::add_explain() {
  CLI::App* command = app.add_subcommand("explain", "what would happen to a packet, and why");
  command->add_option("protocol", protocol)->required()->check(CLI::IsMember({"tcp", "udp", "icmp"}));
  command->add_option("source", source, "ADDRESS:PORT, [ADDRESS]:PORT; icmp: ADDRESS")->required();
  command->add_option("destination", destination, "likewise")->required();
  command->add_option("--port", port, "arrival port; default: where the route back to the source leads");
  command->add_option("--vlan", vlan)->check(CLI::Range(0, 4094));
  command->add_flag("--established", established, "a TCP segment with ACK instead of a SYN");
  actions[command] = [this](Client& client) {
    question.set_protocol(protocol);
    const auto from = parse_endpoint(source), to = parse_endpoint(destination);
    if (!from || !to) return Client::say("'" + (from ? destination : source) + "' is no ADDRESS:PORT");
    if (protocol != "icmp" && (from->second == 0 || to->second == 0)) {
      const bool v4 = from->first.find(':') == std::string::npos;
      return Client::say(protocol + " needs two ports and '" + (from->second == 0 ? source : destination) +
                         "' has none: write it like " + (v4 ? "192.0.2.10:40000" : "[2001:db8::1]:40000"));
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
}

void Commands::add_capture() {
  CLI::App* command = app.add_subcommand("capture", "packets as they arrive, with what became of them");
  command->add_option("--host", host, "address or prefix, either end");
  command->add_option("--port", capture_port, "either end")->check(CLI::Range(1, 65535));
  command->add_option("--verdict", verdict, "forwarded, answered, consumed, exception, handed_over, held, dropped");
  command->add_option("--drop-reason", drop_reason, "a reason of show drops");
  command->add_option("--count", packets)->check(CLI::Range(1, 100'000))->capture_default_str();
  command->add_option("--seconds", seconds)->check(CLI::Range(1, 600))->capture_default_str();
  command->add_option("--snap-length", snap)->check(CLI::Range(64, 2048))->capture_default_str();
  command->add_option("-w,--write", file, "pcap file; without it a line per packet");
  actions[command] = [this](Client& client) {
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
}

void Commands::add_machine() {
  CLI::App* ping_command = app.add_subcommand("ping", "from this box to an address");
  ping_command->add_option("address", address, "IPv4 or IPv6 address")->required();
  ping_command->add_option("--count", pings)->check(CLI::Range(1, 100))->capture_default_str();
  actions[ping_command] = [this](Client& client) { return ping(client, address, pings); };
  CLI::App* trace_command = app.add_subcommand("traceroute", "the way from this box to an address");
  trace_command->add_option("address", address, "IPv4 or IPv6 address")->required();
  actions[trace_command] = [this](Client& client) { return traceroute(client, address); };
  CLI::App* bundle = app.add_subcommand("support-bundle", "all that a second engineer needs, without secrets");
  bundle->add_option("file", file, "tar.gz to write; default: a name with host and time, here");
  actions[bundle] = [this](Client& client) { return support_bundle(client, file); };
  CLI::App* restart_command = app.add_subcommand("restart", "one of the daemons");
  restart_command->add_option("daemon", target, "dataplane: flows end; controlplane: forwarding goes on")
      ->required()
      ->check(CLI::IsMember({"dataplane", "controlplane"}));
  CLI::App* reboot_command = app.add_subcommand("reboot", "the whole box");
  for (CLI::App* command : {restart_command, reboot_command}) {
    command->add_option_function<std::string>(
               "now", [this](const std::string&) { now = true; }, "without asking")
        ->check(CLI::IsMember({"now"}));
  }
  actions[restart_command] = [this](Client& client) { return restart(client, target, now); };
  actions[reboot_command] = [this](Client& client) { return reboot(client, now); };
}

Commands::Commands() {
  app.add_flag("--json", json, "machine-readable output");
  app.require_subcommand(1);
  app.fallthrough();
  CLI::App* show = app.add_subcommand("show", "what runs and how it does")->require_subcommand(1);
  show->fallthrough();
  add_views(show);
  add_watch();
  add_flows();
  add_backend();
  add_explain();
  add_capture();
  add_machine();
}

// "TEXT:{tcp,udp,icmp}": the words that an option takes.
std::vector<std::string> members(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{'), close = type.find('}');
  std::vector<std::string> words;
  if (open == std::string::npos || close == std::string::npos) return words;
  std::string word;
  for (const char c : type.substr(open + 1, close - open - 1) + ",") {
    if (c == ',') {
      words.push_back(word);
      word.clear();
    } else if (c != ' ') {
      word += c;
    }
  }
  return words;
}

void add_values(Client& client, const CLI::Option& option, std::vector<Choice>& out) {
  for (const std::string& word : members(option)) out.push_back({word, {}});
  if (!out.empty()) return;
  const std::string name = option.get_name(false, true);
  const bool service = name.find("--service") != std::string::npos;
  const bool backend = name.find("--backend") != std::string::npos || (name == "name" && option.get_required());
  if (service || backend) {
    for (const std::string& known : service ? service_names(client) : backend_names(client)) out.push_back({known, {}});
  }
  out.push_back({"<" + (name.starts_with("--") ? name.substr(2) : name) + ">", option.get_description()});
}

}  // namespace

int operational(Client& client, const Words& words) {
  Commands commands;
  std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants them
  try {
    commands.app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return commands.app.exit(error);  // --help
    std::fprintf(stderr, "headgate: %s\n", command_error(commands.app, error).c_str());
    return 1;
  }
  const bool before = client.json();
  client.set_json(before || commands.json);
  int code = 1;
  for (const auto& [command, action] : commands.actions) {
    if (command->parsed()) code = action(client);
  }
  client.set_json(before);
  return code;
}

bool is_direct(const Words& words) {
  static const std::set<std::string> verbs = {"watch", "capture", "ping", "traceroute", "restart", "reboot"};
  return verbs.contains(words[0]) || std::find(words.begin(), words.end(), "--follow") != words.end();
}

Choices operational_choices(Client& client, const Words& words) {
  Commands commands;
  CLI::App* at = &commands.app;
  std::size_t positionals = 0;
  const CLI::Option* wants = nullptr;  // an option whose value comes next
  for (const std::string& word : words) {
    if (wants != nullptr) {
      wants = nullptr;
      continue;
    }
    if (word.starts_with('-')) {
      const CLI::Option* option = at->get_option_no_throw(word);
      if (option == nullptr) option = commands.app.get_option_no_throw(word);
      if (option == nullptr) return {};
      if (option->get_expected_min() > 0) wants = option;
      continue;
    }
    const auto named = at->get_subcommands([&](const CLI::App* command) { return command->check_name(word); });
    if (!named.empty()) {
      at = named.front();
    } else {
      ++positionals;
    }
  }
  Choices out;
  if (wants != nullptr) {
    add_values(client, *wants, out.next);
    return out;
  }
  for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; }))
    out.next.push_back({command->get_name(), command->get_description()});
  std::size_t position = 0;
  bool missing = false;
  for (const CLI::Option* option : at->get_options()) {
    if (!option->get_positional()) continue;
    if (position++ == positionals) {
      add_values(client, *option, out.next);
      missing = option->get_required();
    }
  }
  if (positionals > position) return {};
  for (const CLI::Option* option : at->get_options()) {
    if (option->get_positional() || option->get_name() == "--help") continue;
    if (at == &commands.app) continue;
    const std::string name = "--" + option->get_lnames().front();
    if (std::find(words.begin(), words.end(), name) == words.end())
      out.next.push_back({name, option->get_description()});
  }
  out.end = commands.actions.contains(at) && !missing;
  return out;
}

}  // namespace headgate::console
