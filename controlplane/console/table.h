// Tables and labelled lines for a terminal. Nothing is cut: what does not fit is wrapped, and columns that may be left
// out are named below the table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate::console {

// How output looks where it goes.
struct Look {
  std::size_t width = 4096;  // in characters
  bool colour = false;
};
// Of standard output. Where that is no terminal (a file, a pipe) every column is shown, in one line, without colour.
// NO_COLOR, when it says anything, means none (no-color.org).
Look look_of_output();

class Table {
 public:
  // Marks before a heading, in any order: '>' a column of numbers; '?' left out when the table is too wide, the
  // rightmost such column first; '!' states, which have a colour.
  explicit Table(std::vector<std::string> headings);
  void row(std::vector<std::string> cells);
  // At most `look.width` characters a line. What remains too wide is laid over several lines for each row, in columns.
  std::string text(const Look& look) const;

 private:
  struct Column {
    std::string heading;
    bool right = false, optional = false, state = false;
  };
  struct Place {  // of a column that is shown
    std::size_t column = 0, width = 0, line = 0;
  };
  std::vector<std::size_t> widths() const;
  std::vector<std::size_t> chosen(const std::vector<std::size_t>& widths, std::size_t width) const;
  std::vector<Place> layout(const std::vector<std::size_t>& columns, const std::vector<std::size_t>& widths,
                            std::size_t width) const;
  void put_row(const std::vector<Place>& places, const std::vector<std::string>& cells, bool heading, const Look& look,
               std::string& out) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Lines of at most `width` characters, broken at spaces where there are any.
std::vector<std::string> wrapped(const std::string& text, std::size_t width);
// "LABEL   text", its further lines under the text. A label in capitals is bad news and has its colour.
std::string field(const std::string& label, std::size_t label_width, const std::string& text, const Look& look);

std::string count(std::uint64_t n);                // 1234567 -> "1.23M"; exact below 10,000
std::string duration(std::uint64_t ms);            // 93000 -> "1m33s"
void print(const Table& table, const Look& look);  // to standard output

}  // namespace headgate::console
