#include "controlplane/supervisor/process_list.h"

#include <algorithm>

namespace headgate::supervisor {
namespace {

// The words of a line; false when a quote stays open.
bool split(std::string_view line, std::vector<std::string>& words) {
  std::string word;
  bool quoted = false, any = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (!quoted && c == '#' && !any) {
      break;
    } else if (!quoted && (c == ' ' || c == '\t' || c == '\r')) {
      if (any) words.push_back(word);
      word.clear();
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return !quoted;
}

}  // namespace

ProcessList parse_process_list(std::string_view text) {
  ProcessList list;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    ++number;
    const auto complain = [&](const std::string& what) { list.errors.push_back("line " + std::to_string(number) + ": " + what); };
    std::vector<std::string> words;
    if (!split(line, words)) {
      complain("a quote is not closed; close it on the same line");
      continue;
    }
    if (words.empty()) continue;
    if (words.size() == 1) {
      complain("the process '" + words[0] + "' has no command; write NAME COMMAND ARGUMENT...");
      continue;
    }
    const auto same = [&](const ProcessSpec& process) { return process.name == words[0]; };
    if (std::any_of(list.processes.begin(), list.processes.end(), same)) {
      complain("the name '" + words[0] + "' is used twice; rename one");
      continue;
    }
    list.processes.push_back({words[0], {words.begin() + 1, words.end()}});
  }
  if (list.processes.empty() && list.errors.empty()) list.errors.push_back("no process is named; write lines NAME COMMAND ARGUMENT...");
  return list;
}

}  // namespace headgate::supervisor
