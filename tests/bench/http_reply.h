// Where one HTTP/1.1 response ends, as little of HTTP as a load generator needs: the status, and Content-Length. What
// has none, or a transfer coding, is broken: the servers of the bench send neither. Thread rule: one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headgate::bench {

class ReplyReader {
 public:
  enum class State : std::uint8_t { head, body, complete, broken };

  State state() const { return state_; }
  int status() const { return status_; }
  // Of the body, still to come. The caller may take them off the socket unread and say so by skip().
  std::uint64_t missing() const { return missing_; }

  // What came. Bytes after the end of the response are broken: nobody asked for them.
  State feed(std::string_view bytes);
  State skip(std::uint64_t bytes);
  void reset() { *this = ReplyReader{}; }

 private:
  static constexpr std::size_t kHeadMax = 4096;

  bool parse_head(std::string_view head);
  State fail() { return state_ = State::broken; }

  State state_ = State::head;
  int status_ = 0;
  std::uint64_t missing_ = 0;
  std::size_t size_ = 0;
  std::array<char, kHeadMax> head_;
};

}  // namespace headgate::bench
