// Tables of text for a terminal: columns as wide as their content, numbers to the right, cut to the terminal's width.
#pragma once

#include <string>
#include <vector>

namespace headgate::console {

class Table {
 public:
  // A heading that starts with '>' is a column of numbers.
  explicit Table(std::vector<std::string> headings);
  void row(std::vector<std::string> cells);
  std::string text(std::size_t width) const;

 private:
  std::vector<std::string> headings_;
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

std::string count(std::uint64_t n);      // 1234567 -> "1.23M"; exact below 10,000
std::string duration(std::uint64_t ms);  // 93000 -> "1m33s"
std::size_t terminal_width();            // of standard output; without a terminal nothing is cut
void print(const Table& table);          // to standard output

}  // namespace headgate::console
