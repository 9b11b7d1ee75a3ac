#include "controlplane/console/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <numeric>

namespace headgate::console {

namespace {

constexpr std::size_t kGap = 2;     // between columns
constexpr std::size_t kIndent = 4;  // of the further lines of a row
constexpr std::size_t kWrapBelow =
    20;  // a last column this wide wraps beside the others; narrower it gets its own line

// SGR codes (ECMA-48): green what is well, red what is not, yellow what somebody wanted so.
const char* colour_of(const std::string& state) {
  if (state == "up" || state == "ok") return "\033[32m";
  if (state == "drain" || state == "disabled" || state == "standby" || state == "waits" || state == "backups serve")
    return "\033[33m";
  const bool shouts = std::any_of(state.begin(), state.end(), [](char c) { return c >= 'A' && c <= 'Z'; }) &&
                      std::none_of(state.begin(), state.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return shouts ? "\033[31m" : nullptr;
}

std::string coloured(const std::string& padded, const std::string& state, const Look& look) {
  const char* code = look.colour ? colour_of(state) : nullptr;
  return code == nullptr ? padded : code + padded + "\033[0m";
}

}  // namespace

Table::Table(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    Column column;
    std::size_t marks = 0;
    for (; marks < heading.size() && std::string(">?!").find(heading[marks]) != std::string::npos; ++marks) {
      (heading[marks] == '>' ? column.right : heading[marks] == '?' ? column.optional : column.state) = true;
    }
    column.heading = heading.substr(marks);
    columns_.push_back(std::move(column));
  }
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    std::size_t w = columns_[column].heading.size();
    for (const auto& row : rows_) w = std::max(w, row[column].size());
    widths.push_back(w);
  }
  return widths;
}

// The columns to show: all, or as many of the optional ones as there is room for.
std::vector<std::size_t> Table::chosen(const std::vector<std::size_t>& widths, std::size_t width) const {
  std::vector<std::size_t> columns(columns_.size());
  std::iota(columns.begin(), columns.end(), 0);
  const auto needed = [&] {
    std::size_t sum = 0;
    for (const std::size_t column : columns) {
      const bool wraps = column == columns.back() && !columns_[column].right;
      sum += (wraps ? std::min(widths[column], kWrapBelow) : widths[column]) + kGap;
    }
    return sum - kGap;
  };
  while (needed() > width) {
    const auto last =
        std::find_if(columns.rbegin(), columns.rend(), [&](std::size_t column) { return columns_[column].optional; });
    if (last == columns.rend()) break;
    columns.erase(std::next(last).base());
  }
  return columns;
}

// The same columns on the same line for every row, so that each can be read downwards.
std::vector<Table::Place> Table::layout(const std::vector<std::size_t>& columns, const std::vector<std::size_t>& widths,
                                        std::size_t width) const {
  std::vector<Place> places;
  std::size_t line = 0, used = 0;
  for (const std::size_t column : columns) {
    const bool last = column == columns.back() && !columns_[column].right;
    const std::size_t least = last ? std::min(widths[column], kWrapBelow) : widths[column];
    if (used > (line == 0 ? 0 : kIndent) && used + least > width) {
      ++line;
      used = kIndent;
    }
    const std::size_t room = width > used ? width - used : 1;
    places.push_back({column, std::min(widths[column], room), line});
    used += places.back().width + kGap;
  }
  return places;
}

void Table::put_row(const std::vector<Place>& places, const std::vector<std::string>& cells, bool heading,
                    const Look& look, std::string& out) const {
  for (std::size_t at = 0; at < places.size();) {
    std::size_t end = at, height = 0;
    std::vector<std::vector<std::string>> parts;
    for (; end < places.size() && places[end].line == places[at].line; ++end) {
      parts.push_back(wrapped(cells[places[end].column], places[end].width));
      height = std::max(height, parts.back().size());
    }
    for (std::size_t i = 0; i < height; ++i) {
      std::string text(places[at].line == 0 ? 0 : kIndent, ' ');
      std::size_t blanks = 0;  // put only before more text: no line ends in them
      for (std::size_t p = at; p < end; ++p) {
        const auto& of_cell = parts[p - at];
        const std::string part = i < of_cell.size() ? of_cell[i] : "";
        const std::size_t padding = places[p].width - part.size();
        const Column& column = columns_[places[p].column];
        if (part.empty()) {
          blanks += padding + kGap;
          continue;
        }
        text.append(blanks + (column.right ? padding : 0), ' ');
        text += column.state && !heading ? coloured(part, cells[places[p].column], look) : part;
        blanks = (column.right ? 0 : padding) + kGap;
      }
      out += text + "\n";
    }
    at = end;
  }
}

std::string Table::text(const Look& look) const {
  const std::vector<std::size_t> all = widths();
  const std::vector<std::size_t> columns = chosen(all, look.width);
  const std::vector<Place> places = layout(columns, all, look.width);
  std::vector<std::string> headings;
  for (const Column& column : columns_) headings.push_back(column.heading);
  std::string out;
  put_row(places, headings, true, look, out);
  for (const auto& row : rows_) put_row(places, row, false, look, out);
  if (columns.size() == columns_.size()) return out;
  std::string left_out;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    if (std::find(columns.begin(), columns.end(), column) == columns.end())
      left_out += (left_out.empty() ? "" : ", ") + columns_[column].heading;
  }
  for (const std::string& line : wrapped("not shown for want of width: " + left_out + " (| json has all)", look.width))
    out += line + "\n";
  return out;
}

std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  while (text.size() - at > width) {
    std::size_t end = text.rfind(' ', at + width);
    if (end == std::string::npos || end <= at) end = at + width;  // one long word
    lines.push_back(text.substr(at, end - at));
    at = end + (text[end] == ' ' ? 1 : 0);
  }
  lines.push_back(text.substr(at));
  return lines;
}

std::string field(const std::string& label, std::size_t label_width, const std::string& text, const Look& look) {
  const std::size_t room = look.width > label_width + kWrapBelow ? look.width - label_width : kWrapBelow;
  std::string out;
  for (const std::string& line : wrapped(text, room)) {
    const std::string head = out.empty() ? label : "";
    out += (head.empty() ? "" : coloured(head, head, look)) + std::string(label_width - head.size(), ' ') + line + "\n";
  }
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

Look look_of_output() {
  if (::isatty(STDOUT_FILENO) == 0) return {};
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40;
  const char* none = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool plain = (none != nullptr && *none != '\0') || terminal == nullptr || std::string(terminal) == "dumb";
  return {.width = known ? size.ws_col : std::size_t{80}, .colour = !plain};
}

void print(const Table& table, const Look& look) {
  std::fputs(table.text(look).c_str(), stdout);
}

}  // namespace headgate::console
