// A load of HTTP requests, as cheap as it can be: one thread, epoll, one request string.
//
// With a rate the load is open: request i is due at a time that does not depend on how fast others were answered, and
// its latency counts from then, whatever it waited for a connection (closed loops hide that a server stood still). Gaps
// are exponential, from a seed: everybody measured gets the same requests at the same times. Without a rate each
// connection asks again as soon as it was answered. Thread rule: one thread.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/time.h"
#include "tests/bench/http_reply.h"

namespace headgate::bench {

struct HttpTarget {
  sockaddr_storage address{};
  socklen_t length = 0;
};
Result<HttpTarget> parse_http_target(std::string_view text);  // ADDRESS:PORT, [ADDRESS]:PORT

struct LoadOptions {
  HttpTarget target;
  std::string path = "/";
  unsigned connections = 64;  // at once
  double rate = 0;            // requests per second; 0: as fast as they are answered
  bool close = false;         // a connection for each request
  Nanos warm_up = kSecond, duration = 5 * kSecond;
  std::uint64_t seed = 1;
};

// Of the time measured.
struct LoadResult {
  std::uint64_t requests = 0, bytes = 0;  // answered; received, heads included
  std::uint64_t failed = 0;               // refused, reset, broken, not 200, or not answered at all
  std::uint64_t reopened = 0;             // kept connections that the other side closed between requests
  Nanos time = 0;
  std::vector<Nanos> latencies;  // sorted
  std::string failure;           // the first

  Nanos percentile(double share) const;  // nearest rank; 0 when there are none
};

class HttpLoad {
 public:
  // `mark` is called when measuring begins and ends.
  HttpLoad(const LoadOptions& options, std::function<void(bool begins)> mark);
  ~HttpLoad();
  HttpLoad(const HttpLoad&) = delete;
  HttpLoad& operator=(const HttpLoad&) = delete;

  LoadResult run();

 private:
  enum class Stage : std::uint8_t { closed, connecting, idle, asking, ending };
  struct Connection {
    int fd = -1;
    Stage stage = Stage::closed;
    Nanos due = 0;
    ReplyReader reply;
  };

  Nanos draw_gap();
  void issue(Nanos now);
  void assign(std::size_t index, Nanos due);
  void open(std::size_t index);
  void ask(std::size_t index);
  void handle(std::size_t index, std::uint32_t events);
  void receive(std::size_t index);
  void answered(std::size_t index);
  void failed(std::size_t index, const std::string& why);
  void release(std::size_t index);
  void close(std::size_t index);
  bool measuring(Nanos time) const { return time >= begin_ && time < end_; }
  void wait(Nanos until);
  void count_unanswered();

  const LoadOptions options_;
  const std::function<void(bool)> mark_;
  std::string request_;
  std::vector<Connection> connections_;
  std::vector<std::size_t> free_;  // without a request: idle or closed
  std::deque<Nanos> waiting_;      // due, and no connection was free
  std::vector<char> bytes_;
  Rng rng_;
  int epoll_ = -1;
  Nanos begin_ = 0, end_ = 0, next_due_ = 0;
  LoadResult result_;
};

}  // namespace headgate::bench
