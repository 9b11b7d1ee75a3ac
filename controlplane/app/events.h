// What happened, for people: changes of health, commits, logins, restarts, and what the daemon warned of. Bounded; the
// log has them as well, and a file over restarts.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "controlplane/app/event_file.h"

namespace headgate::app {

// Any thread.
class Events {
 public:
  static constexpr std::size_t kKept = 10'000;

  void add(const std::string& kind, const std::string& text, Severity severity = Severity::notice,
           const std::string& user = {});
  // Of what is in the log already: not logged again.
  void add_logged(const std::string& text, Severity severity);
  // The last `limit`, oldest first.
  std::vector<Event> last(std::size_t limit) const;
  // Those after `number`, at most `limit`; waits for the first up to `wait_ms`.
  std::vector<Event> after(std::uint64_t number, std::size_t limit, unsigned wait_ms) const;
  // What happened in earlier lives is read from this file, and everything from now on written there. Before any add().
  void keep_in(const std::string& path);
  // Told of each new event, on the thread that adds it; must be quick, and must not log. Nothing: nobody.
  void set_listener(std::function<void(const Event&)> listener);

 private:
  void keep(Event event);
  mutable std::mutex mutex_;
  mutable std::condition_variable more_;
  std::deque<Event> events_;
  std::uint64_t last_number_ = 0;
  std::unique_ptr<EventFile> file_;
  std::function<void(const Event&)> listener_;
};

}  // namespace headgate::app
