#include "controlplane/supervisor/process_file.h"

#include <charconv>
#include <optional>
#include <sstream>
#include <utility>

namespace headgate::supervisor {
namespace {

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// Words as a shell splits them: '...', "..." and backslash. Nothing when a quote stays open.
std::optional<std::vector<std::string>> split_words(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0 && c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
      in_word = true;
    } else if (quote == 0 && (c == ' ' || c == '\t')) {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return std::nullopt;
  if (in_word) words.push_back(word);
  return words;
}

std::string set_ms(std::chrono::milliseconds& out, const std::string& key, const std::string& value, unsigned least) {
  unsigned ms = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), ms);
  if (error != std::errc() || end != value.data() + value.size() || ms < least || ms > 60'000)
    return key + " is " + value + "; use " + std::to_string(least) + " to 60000";
  out = std::chrono::milliseconds(ms);
  return {};
}

// Empty when the line was understood.
std::string set_value(ProcessSpec& process, const std::string& key, const std::string& value) {
  if (key == "command") {
    const auto words = split_words(value);
    if (!words || words->empty()) return "the command is empty or a quote is not closed; write PROGRAM ARGUMENT...";
    process.command = *words;
  } else if (key == "user") {
    process.user = value;
  } else if (key == "log") {
    process.log = value;
  } else if (key == "stop_timeout_ms") {
    return set_ms(process.stop_timeout, key, value, 1);
  } else if (key == "watchdog_ms") {
    return set_ms(process.watchdog, key, value, 100);
  } else {
    return "unknown key " + key + "; possible are command, user, log, stop_timeout_ms, watchdog_ms";
  }
  return {};
}

std::string add_line(const std::string& line, std::vector<ProcessSpec>& processes) {
  if (line.front() == '[') {
    const std::string name = line.back() == ']' ? trimmed(line.substr(1, line.size() - 2)) : "";
    if (name.empty() || name.find_first_of(" \t/") != std::string::npos)
      return "no section; write [NAME], a name without spaces";
    for (const ProcessSpec& other : processes) {
      if (other.name == name) return "a second section [" + name + "]; choose another name";
    }
    processes.push_back({.name = name, .command = {}, .user = {}, .log = {}});
    return {};
  }
  const std::size_t equals = line.find('=');
  if (equals == std::string::npos) return "neither a [section] nor KEY = VALUE; correct the line";
  if (processes.empty()) return "a value before the first section; begin with [NAME]";
  return set_value(processes.back(), trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
}

}  // namespace

ProcessFile parse_process_file(const std::string& file, const std::string& text) {
  ProcessFile result;
  std::istringstream lines(text);
  std::string raw;
  for (int number = 1; std::getline(lines, raw); ++number) {
    const std::string line = trimmed(raw);
    if (line.empty() || line.front() == '#') continue;
    const std::string error = add_line(line, result.processes);
    if (error.empty()) continue;
    result.error = file + ":" + std::to_string(number) + ": " + error;
    return result;
  }
  for (const ProcessSpec& process : result.processes) {
    if (process.command.empty())
      result.error = file + ": [" + process.name + "] has no command; add command = PROGRAM ARGUMENT...";
  }
  if (result.processes.empty()) result.error = file + ": no processes; add a section [NAME] with a command";
  return result;
}

}  // namespace headgate::supervisor
