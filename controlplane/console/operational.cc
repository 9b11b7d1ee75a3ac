#include "controlplane/console/operational.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <set>

#include "controlplane/console/command_error.h"
#include "controlplane/console/commands.h"
#include "controlplane/console/failover.h"
#include "controlplane/console/manage.h"

namespace headgate::console {
namespace {

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

void add_values(Client& client, const CLI::Option& option, const Words& words, std::vector<Choice>& out) {
  for (const std::string& word : members(option)) out.push_back({word, {}});
  if (!out.empty()) return;
  const std::string name = option.get_name(false, true);
  const bool service = name.find("--service") != std::string::npos || name == "service";
  const bool backend = name.find("--backend") != std::string::npos || (name == "name" && option.get_required());
  if (service || backend) {
    for (const std::string& known : service ? service_names(client) : backend_names(client)) out.push_back({known, {}});
  }
  if (name == "group") {
    for (const std::string& known : group_names(client)) out.push_back({known, {}});
  } else if (name == "failed") {
    for (const std::string& known : names_of_kind(client, words.back())) out.push_back({known, {}});
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
    add_values(client, *wants, words, out.next);
    return out;
  }
  for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; }))
    out.next.push_back({command->get_name(), command->get_description()});
  std::size_t position = 0;
  bool missing = false;
  for (const CLI::Option* option : at->get_options()) {
    if (!option->get_positional()) continue;
    if (position++ == positionals) {
      add_values(client, *option, words, out.next);
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
