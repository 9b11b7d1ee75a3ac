#include "controlplane/console/commands.h"

#include <cstdio>
#include <set>

#include "controlplane/console/capture.h"
#include "controlplane/console/explain.h"
#include "controlplane/console/failover.h"
#include "controlplane/console/machine.h"
#include "controlplane/console/manage.h"
#include "controlplane/console/overview.h"
#include "controlplane/console/pairing.h"
#include "controlplane/console/proxied.h"
#include "controlplane/console/sessions.h"
#include "controlplane/console/table.h"
#include "controlplane/console/views.h"

namespace headgate::console {
namespace {

// What --protocol takes.
const std::set<std::string> kForwarded{"tcp", "udp"}, kProxied{"tcp_proxy", "http"};

int show_neighbors(Client& client) {
  grpc::ClientContext context;
  Client::soon(context);
  pb::NeighborsReply reply;
  if (const int code = client.check(client.stub().Neighbors(&context, {}, &reply))) return code;
  if (client.json()) return print_json(reply);
  Table table({"ADDRESS", "MAC", "INTERFACE", "STATE", ">SINCE"});
  for (const auto& n : reply.neighbor())
    table.row({n.address(), n.mac().empty() ? "-" : n.mac(), n.interface(), n.state(), duration(n.age_ms())});
  print(table, client.look());
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

int show_stats(Client& client, const View& view) {
  pb::StatsReply reply;
  if (const int code = client.stats(reply)) return code;
  if (client.json()) return print_json(reply);
  view.first(reply, client.look());
  return 0;
}

}  // namespace

// The same below `show` and below `watch`.
void Commands::add_views(CLI::App* show) {
  for (const auto& [name, view] : stats_views()) {
    actions[show->add_subcommand(name, view.second)] = [&view](Client& client) { return show_stats(client, view); };
  }
  actions[show->add_subcommand("version", "of the console, the control plane and the dataplane")] = show_version;
  actions[show->add_subcommand("system", "version, state, and what is wrong")] = show_system;
  actions[show->add_subcommand("health", "pools: how many can serve; probes: how many, and whether in time")] =
      show_health;
  actions[show->add_subcommand("backends", "backends: state, since when and why, last probe")] = show_backends;
  CLI::App* services = show->add_subcommand("services", "services: addresses, protocols, modes, traffic");
  services->add_option("service", service, "NAME: all that is counted of it");
  actions[services] = [this](Client& client) {
    return service.empty() ? show_services(client) : show_service(client, service);
  };
  CLI::App* http = show->add_subcommand("http", "HTTP services: requests, responses, times");
  http->add_option("form", http_form, "routes: in the order in which they are tried")->check(CLI::IsMember({"routes"}));
  http->add_option("service", service, "routes of this one");
  actions[http] = [this](Client& client) {
    return http_form.empty() ? show_http(client) : show_http_routes(client, service);
  };
  actions[show->add_subcommand("tcp", "the TCP engine: connections, memory, what it counts")] = show_tcp;
  actions[show->add_subcommand("interfaces", "addresses, ports, links and their counters")] = show_interfaces;
  actions[show->add_subcommand("routes", "networks and the ways to them")] = show_routes;
  actions[show->add_subcommand("neighbors", "next hops: hardware addresses and states")] = show_neighbors;
  actions[show->add_subcommand("running", "what the dataplane runs: generation, digest, workers")] = show_running;
  actions[show->add_subcommand("commits", "the history of the configuration")] = show_commits;
  CLI::App* config = show->add_subcommand("configuration", "the running configuration");
  config->add_option("form", config_form, "set: as set commands")->check(CLI::IsMember({"set"}));
  config->add_option("--revision", revision, "an earlier one");
  actions[config] = [this](Client& client) { return show_configuration(client, revision, config_form == "set"); };
  CLI::App* failover = show->add_subcommand("failover", "groups: where each is active, why, and what it depends on");
  failover->add_option("form", failover_form, "counters: odd adverts; peer: the other box; history: changes of roles")
      ->check(CLI::IsMember({"counters", "peer", "history"}));
  actions[failover] = [this](Client& client) { return show_failover(client, failover_form); };
  CLI::App* log = show->add_subcommand("log", "what happened: health, failover, commits, logins, warnings");
  log->add_option("--lines", lines)->check(CLI::Range(1, 10'000))->capture_default_str();
  if (show->get_name() == "show") log->add_flag("--follow", follow, "and what happens from now on");
  actions[log] = [this](Client& client) { return show_log(client, lines, follow); };
  const auto list = [&](const char* name, const char* help, const std::set<std::string>& protocols, auto act) {
    CLI::App* command = show->add_subcommand(name, help);
    add_flow_options(command, protocols);
    command->add_option("--limit", flows.limit)->check(CLI::Range(1, 10'000))->capture_default_str();
    actions[command] = [this, act](Client& client) { return act(client, flows); };
  };
  list("flows", "flows, by filter", kForwarded, show_flows);
  list("sessions", "clients of proxied services and what each is at, by filter", kProxied, show_sessions);
  list("connections", "TCP connections that end here: round trips, queues, repetitions", kProxied, show_connections);
}

void Commands::add_flow_options(CLI::App* command, const std::set<std::string>& protocols) {
  command->add_option("--client", flows.client, "address or prefix");
  command->add_option("--client-port", flows.client_port)->check(CLI::Range(1, 65535));
  command->add_option("--protocol", flows.protocol)->check(CLI::IsMember(protocols));
  command->add_option("--service", flows.service, "NAME, of both families; or NAME/v4, NAME/v6");
  command->add_option("--backend", flows.backend, "NAME, in every pool; or POOL/NAME");
}

void Commands::add_flows() {
  CLI::App* clear = app.add_subcommand("clear", "end things")->require_subcommand(1);
  clear->fallthrough();
  const auto add = [&](const std::string& name, const char* help, const std::set<std::string>& protocols, auto act) {
    CLI::App* command = clear->add_subcommand(name, help);
    add_flow_options(command, protocols);
    command->add_flag("--all", all, "without any filter: all of them");
    actions[command] = [this, name, act](Client& client) {
      if (!all && !flows.filter()) return Client::say("no filter given; add one, or --all to end all " + name);
      return act(client, flows);
    };
  };
  add("flows", "end flows by filter; TCP peers get a RST", kForwarded, clear_flows);
  add("sessions", "end sessions of proxied services by filter; both sides get a RST", kProxied, clear_sessions);
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

void Commands::add_failover() {
  CLI::App* command =
      app.add_subcommand("failover", "planned switches of groups, the pair itself, and what would happen")
          ->require_subcommand(1);
  command->fallthrough();
  const auto of_group = [&](const char* name, const char* help) {
    CLI::App* sub = command->add_subcommand(name, help);
    sub->add_option("group", group, "name of the group")->required();
    return sub;
  };
  CLI::App* move = of_group("switch", "move a group to the other box, in order");
  move->add_flag("--dry-run", dry_run, "only say whether it could be done now");
  actions[move] = [this](Client& client) { return switch_group(client, group, dry_run); };
  actions[of_group("pause", "no change of role but when the active box is gone")] = [this](Client& client) {
    return pause_group(client, group, true);
  };
  actions[of_group("resume", "end a pause")] = [this](Client& client) { return pause_group(client, group, false); };
  CLI::App* question_command =
      command->add_subcommand("what-if", "what would happen if something failed; tries nothing");
  question_command->add_option("kind", failed_kind, "what fails")
      ->required()
      ->check(CLI::IsMember({"interface", "pool", "gateway", "backend", "box"}));
  question_command->add_option("failed", failed, "its name; a gateway's address; a or b of a box")->required();
  actions[question_command] = [this](Client& client) { return what_if(client, failed_kind, failed); };
  add_pair(command);
}

void Commands::add_pair(CLI::App* command) {
  CLI::App* pair = command->add_subcommand("pair", "make two boxes a pair: prints a code, or takes the other box's");
  pair->add_option("code", pairing_code, "what the other box printed");
  actions[pair] = [this](Client& client) { return pair_box(client, pairing_code); };
  actions[command->add_subcommand("unpair", "end the pair; the other box is no longer listened to")] = unpair_box;
  actions[command->add_subcommand("rotate-key", "another key for this box on the HA link")] = rotate_key;
  CLI::App* choose =
      command->add_subcommand("adopt", "both boxes take one configuration, after they went different ways");
  choose->add_option("whose", adopted, "peer: this box takes the other one's; local: the other box takes this one's")
      ->required()
      ->check(CLI::IsMember({"peer", "local"}));
  actions[choose] = [this](Client& client) { return adopt(client, adopted); };
}

void Commands::add_explain() {
  CLI::App* command = app.add_subcommand("explain", "what would happen to a packet or request, and why");
  command->add_option("protocol", question.protocol)->required()->check(CLI::IsMember({"tcp", "udp", "icmp", "http"}));
  command->add_option("source", question.source, "ADDRESS:PORT, [ADDRESS]:PORT; icmp: ADDRESS")->required();
  command->add_option("destination", question.destination, "likewise")->required();
  command->add_option("--port", question.port, "arrival port; default: where the route back to the source leads");
  command->add_option("--vlan", question.vlan)->check(CLI::Range(0, 4094));
  command->add_flag("--established", question.established, "a TCP segment with ACK instead of a SYN");
  command->add_option("--method", question.method, "http: of the request; default: GET");
  command->add_option("--host", question.host, "http: host asked for; default: the destination");
  command->add_option("--path", question.path, "http: path, with its query; default: /");
  command->add_option("--header", question.headers, "http: \"Name: value\"; once for each")->allow_extra_args(false);
  actions[command] = [this](Client& client) { return explain(client, question); };
}

void Commands::add_capture() {
  CLI::App* command = app.add_subcommand("capture", "packets as they arrive, with what became of them");
  command->add_option("--host", host, "address or prefix, either end");
  command->add_option("--port", capture_port, "either end")->check(CLI::Range(1, 65535));
  command->add_option("--verdict", verdict,
                      "forwarded, answered, consumed, proxied, exception, handed_over, held, dropped");
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
  CLI::App* ping_command =
      app.add_subcommand("ping", "from this box to an address, by the kernel's own routes: the management side");
  ping_command->add_option("address", address, "IPv4 or IPv6 address")->required();
  ping_command->add_option("--count", pings)->check(CLI::Range(1, 100))->capture_default_str();
  actions[ping_command] = [this](Client& client) { return ping(client, address, pings); };
  CLI::App* trace_command =
      app.add_subcommand("traceroute", "the way from this box to an address, by the kernel's own routes");
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
  add_failover();
  add_explain();
  add_capture();
  add_machine();
  // Last: a subcommand takes the footer that stands when it is made.
  app.footer(
      "Before the command:\n"
      "  --management SOCKET|HOST:PORT   the box to talk to; without it this one\n"
      "  --cert FILE --key FILE --ca FILE   with HOST:PORT: who you are, and who signed the box's certificate (PEM)");
}

}  // namespace headgate::console
