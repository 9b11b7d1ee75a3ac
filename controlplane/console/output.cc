#include "controlplane/console/output.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <sstream>

namespace headgate::console {
namespace {

std::size_t terminal_height() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

}  // namespace

int with_output_taken(const std::function<int()>& command, std::string& text) {
  std::fflush(stdout);
  const int memory = ::memfd_create("output", MFD_CLOEXEC);
  const int before = ::dup(STDOUT_FILENO);
  if (memory < 0 || before < 0 || ::dup2(memory, STDOUT_FILENO) < 0) {
    if (memory >= 0) ::close(memory);
    if (before >= 0) ::close(before);
    return command();  // unfiltered is better than not at all
  }
  const int code = command();
  std::fflush(stdout);
  ::dup2(before, STDOUT_FILENO);
  ::close(before);
  ::lseek(memory, 0, SEEK_SET);
  char buffer[65536];
  for (ssize_t n; (n = ::read(memory, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  ::close(memory);
  return code;
}

std::string filter_problem(const Words& filter) {
  const std::string name = filter.empty() ? "" : filter[0];
  if (name == "match" || name == "except") {
    if (filter.size() != 2) return name + " takes one word or pattern";
    try {
      static_cast<void>(std::regex(filter[1], std::regex::icase));
    } catch (const std::regex_error&) {  // the standard library's own way to say it
      return "'" + filter[1] + "' is no pattern (a regular expression)";
    }
    return {};
  }
  if (name == "count" || name == "json") return filter.size() == 1 ? "" : name + " takes no word";
  return "after | there can be: match WORD, except WORD, count, json";
}

std::string filtered(const std::string& text, const Words& filter) {
  if (filter[0] == "json") return text;
  std::istringstream lines(text);
  std::string line, out;
  if (filter[0] == "count") {
    return std::to_string(std::count(text.begin(), text.end(), '\n')) + " lines\n";
  }
  const std::regex pattern(filter[1], std::regex::icase);
  while (std::getline(lines, line)) {
    if (std::regex_search(line, pattern) == (filter[0] == "match")) out += line + "\n";
  }
  return out;
}

void page(const std::string& text) {
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  std::FILE* pager = nullptr;
  if (::isatty(STDOUT_FILENO) && ::isatty(STDIN_FILENO) && lines + 1 > terminal_height()) {
    const char* chosen = std::getenv("PAGER");
    pager = ::popen(chosen != nullptr && *chosen != '\0' ? chosen : "less -FRX 2>/dev/null || cat", "w");
  }
  std::fwrite(text.data(), 1, text.size(), pager != nullptr ? pager : stdout);
  if (pager != nullptr) ::pclose(pager);
  std::fflush(stdout);
}

}  // namespace headgate::console
