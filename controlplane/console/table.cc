#include "controlplane/console/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace headgate::console {

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
  for (std::string& heading : headings_) {
    right_.push_back(heading.starts_with('>'));
    if (right_.back()) heading.erase(0, 1);
  }
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(headings_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text(std::size_t width) const {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < headings_.size(); ++column) {
    std::size_t w = headings_[column].size();
    for (const auto& row : rows_) w = std::max(w, row[column].size());
    widths.push_back(w);
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t column = 0; column < cells.size(); ++column) {
      const std::string padding(widths[column] - cells[column].size(), ' ');
      text += right_[column] ? padding + cells[column] : cells[column] + padding;
      text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    if (text.size() > width) text.resize(width);
    out += text + "\n";
  };
  line(headings_);
  for (const auto& row : rows_) line(row);
  return out;
}

std::string count(std::uint64_t n) {
  if (n < 10'000) return std::to_string(n);
  static constexpr const char* kUnits[] = {"k", "M", "G", "T", "P"};
  double value = static_cast<double>(n);
  int unit = -1;
  while (value >= 1000 && unit < 4) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.3g%s", value >= 999.5 ? 999 : value, kUnits[unit]);
  return text;
}

std::string duration(std::uint64_t ms) {
  if (ms < 1000) return std::to_string(ms) + "ms";
  const std::uint64_t s = ms / 1000;
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return std::to_string(s / 60) + "m" + std::to_string(s % 60) + "s";
  return std::to_string(s / 3600) + "h" + std::to_string(s / 60 % 60) + "m";
}

std::size_t terminal_width() {
  winsize size{};
  if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
  return isatty(STDOUT_FILENO) ? 80 : 4096;  // a file or a pipe gets everything
}

void print(const Table& table) {
  std::fputs(table.text(terminal_width()).c_str(), stdout);
}

}  // namespace headgate::console
