#include "controlplane/console/table.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace headgate::console {
namespace {

void append_cell(std::string& line, std::string cell, std::size_t width, bool right) {
  if (cell.size() > width) cell = cell.substr(0, width - 1) + "~";
  const std::string padding(width - cell.size(), ' ');
  line += right ? padding + cell : cell + padding;
}

}  // namespace

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
  for (std::string& heading : headings_) {
    right_.push_back(heading.starts_with('>'));
    if (right_.back()) heading.erase(0, 1);
  }
}

void Table::add(std::vector<std::string> row) {
  rows_.push_back(std::move(row));
}

std::string Table::to_string() const {
  if (rows_.empty()) return "none\n";
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < headings_.size(); ++i) {
    std::size_t width = headings_[i].size();
    for (const auto& row : rows_) width = std::max(width, row[i].size());
    widths.push_back(width);
  }
  const auto total = [&] {
    return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + 2 * (widths.size() - 1);
  };
  while (total() > kWidth) {
    std::size_t widest = widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (!right_[i] && (widest == widths.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == widths.size() || widths[widest] <= 4) break;
    --widths[widest];
  }
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) line += "  ";
      append_cell(line, cells[i], widths[i], right_[i]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line(headings_);
  for (const auto& row : rows_) add_line(row);
  return text;
}

std::string short_number(std::uint64_t value) {
  if (value < 100'000) return std::to_string(value);
  auto scaled = static_cast<double>(value);
  std::size_t unit = 0;
  for (; scaled >= 9'999.95 && unit < 6; ++unit) scaled /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f%c", scaled, " kMGTPE"[unit]);
  return text;
}

std::string short_time(std::uint64_t ms) {
  char text[32];
  const std::uint64_t s = ms / 1000;
  if (ms < 1000) return std::to_string(ms) + "ms";
  if (s < 60) {
    std::snprintf(text, sizeof text, "%.1fs", static_cast<double>(ms) / 1000);
    return text;
  }
  if (s < 3600) return std::to_string(s / 60) + "m" + std::to_string(s % 60) + "s";
  if (s < 86400) return std::to_string(s / 3600) + "h" + std::to_string(s % 3600 / 60) + "m";
  return std::to_string(s / 86400) + "d" + std::to_string(s % 86400 / 3600) + "h";
}

}  // namespace headgate::console
