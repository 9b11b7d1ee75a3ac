// Text tables for a terminal of 80 columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate::console {

inline constexpr std::size_t kWidth = 80;

class Table {
 public:
  // A heading that begins with '>' aligns its column right, for numbers; only left-aligned columns are ever cut.
  explicit Table(std::vector<std::string> headings);
  void add(std::vector<std::string> row);  // Requires: as many cells as headings
  // Wider than kWidth: the widest left-aligned columns are cut, marked '~'. No rows: "none".
  std::string to_string() const;

 private:
  std::vector<std::string> headings_;
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

// 1234567 -> "1234.6k": at most 7 characters. Powers of 1000.
std::string short_number(std::uint64_t value);

// 90061000 -> "1d1h", 61500 -> "1m1s", 1500 -> "1.5s", 20 -> "20ms"
std::string short_time(std::uint64_t ms);

}  // namespace headgate::console
