// The commands other than those that configure: their grammar, and what their options were set to.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "controlplane/console/client.h"
#include "controlplane/console/explain.h"
#include "controlplane/console/flows.h"
#include "controlplane/console/watch.h"

namespace headgate::console {

struct Commands {
  Commands();
  void add_views(CLI::App* show);
  void add_flow_options(CLI::App* command, const std::set<std::string>& protocols);
  void add_flows();
  void add_watch();
  void add_backend();
  void add_explain();
  void add_capture();
  void add_machine();
  void add_failover();
  void add_pair(CLI::App* command);

  CLI::App app{"Headgate's console. Without a command: interactive, or commands from standard input.", "headgate"};
  bool json = false;
  std::map<CLI::App*, std::function<int(Client&)>> actions;
  FlowOptions flows;
  bool all = false;
  WatchOptions watching;
  Question question;
  std::string service, http_form;
  std::string host, verdict, drop_reason, file;
  std::uint32_t capture_port = 0, packets = 1000, seconds = 30, snap = 256;
  std::string config_form;
  std::uint64_t revision = 0;
  unsigned lines = 50;
  bool follow = false;
  std::string backend, state;
  std::string failover_form, group, failed_kind, failed, pairing_code, adopted;
  bool dry_run = false;
  std::string address, target;
  unsigned pings = 5;
  bool now = false;
};

}  // namespace headgate::console
