#include "controlplane/console/command_error.h"

#include <algorithm>
#include <vector>

namespace headgate::console {
namespace {

std::string names_of(const std::vector<const CLI::App*>& commands) {
  std::vector<std::string> words;
  for (const CLI::App* command : commands) words.push_back(command->get_name());
  std::sort(words.begin(), words.end());
  std::string names;
  for (const std::string& word : words) names += (names.empty() ? "" : ", ") + word;
  return names;
}

// CLI11 writes "Could not convert: --x = y" and the like, some with further lines.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::string command_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;  // the deepest one that was named
  std::string path = app.get_name();
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().back();
    path += " " + command->get_name();
  }
  const auto possible = command->get_subcommands([](const CLI::App*) { return true; });
  const std::string help = "; see " + path + " --help";
  const std::vector<std::string> extras = app.remaining(true);
  const auto option =
      std::find_if(extras.begin(), extras.end(), [](const auto& word) { return word.starts_with('-'); });
  if (option != extras.end()) return "there is no option " + *option + help;
  if (!extras.empty()) {
    if (possible.empty()) return path + " takes no further word '" + extras.front() + "'" + help;
    return "there is no '" + path + " " + extras.front() + "'; there are: " + names_of(possible);
  }
  if (!possible.empty() && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr)
    return "say what to " + (command == &app ? "do" : command->get_name()) + ", " + path +
           " and one of: " + names_of(possible);
  return first_line(error.what()) + help;
}

}  // namespace headgate::console
