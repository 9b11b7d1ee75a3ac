// What happened, for people: changes of health, commits, logins, restarts. Bounded; the log has them as well.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace headgate::app {

struct Event {
  std::uint64_t number = 0;
  std::int64_t time_ms = 0;  // Unix time
  std::string kind;          // health, commit, login, dataplane, operation
  std::string text;
};

// Any thread.
class Events {
 public:
  static constexpr std::size_t kKept = 10'000;

  void add(const std::string& kind, const std::string& text);
  // The last `limit`, oldest first.
  std::vector<Event> last(std::size_t limit) const;
  // Those after `number`, at most `limit`; waits for the first up to `wait_ms`.
  std::vector<Event> after(std::uint64_t number, std::size_t limit, unsigned wait_ms) const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable more_;
  std::deque<Event> events_;
  std::uint64_t last_number_ = 0;
};

}  // namespace headgate::app
