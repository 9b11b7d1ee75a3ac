#include "controlplane/app/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

namespace headgate::app {
namespace {

constexpr char kBetween = '\t';

// Nothing of a text may look like the end of a field or of a line.
void put(std::string& line, std::string_view text, char end) {
  for (const char c : text) line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  line += end;
}

std::string_view take(std::string_view& line) {
  const std::size_t end = std::min(line.find(kBetween), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

template <class Number>
bool number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

std::optional<Event> parse(std::string_view line) {
  Event event;
  unsigned severity = 0;
  if (!number(take(line), event.time_ms) || !number(take(line), severity)) return std::nullopt;
  if (severity < static_cast<unsigned>(Severity::error) || severity > static_cast<unsigned>(Severity::info))
    return std::nullopt;
  event.severity = static_cast<Severity>(severity);
  event.kind = take(line);
  event.user = take(line);
  event.text = line;
  if (event.kind.empty() || event.text.empty()) return std::nullopt;
  return event;
}

void read(const std::string& path, std::vector<Event>& events) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (file.eof()) break;  // torn: every whole line has an end
    if (auto event = parse(line)) events.push_back(std::move(*event));
  }
}

}  // namespace

std::vector<Event> EventFile::load(std::size_t limit) const {
  std::vector<Event> events;
  read(path_ + ".1", events);
  read(path_, events);
  if (events.size() > limit) events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(limit));
  return events;
}

void EventFile::append(const Event& event) const {
  struct stat now{};
  if (::stat(path_.c_str(), &now) == 0 && static_cast<std::size_t>(now.st_size) >= kBytesMax)
    ::rename(path_.c_str(), (path_ + ".1").c_str());
  // Closed again at once: a file held open for writing keeps the file system from being mounted read-only.
  const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return;
  std::string line;
  char last = '\n';
  if (::fstat(file, &now) == 0 && now.st_size != 0 && ::pread(file, &last, 1, now.st_size - 1) == 1 && last != '\n')
    line = "\n";  // what was torn stays a line of its own
  line += std::to_string(event.time_ms) + kBetween + std::to_string(static_cast<unsigned>(event.severity)) + kBetween;
  put(line, event.kind, kBetween);
  put(line, event.user, kBetween);
  put(line, event.text, '\n');
  [[maybe_unused]] const ssize_t written = ::write(file, line.data(), line.size());
  ::close(file);
}

}  // namespace headgate::app
