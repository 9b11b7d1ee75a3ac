#include "controlplane/app/events.h"

#include <spdlog/spdlog.h>

#include <chrono>

namespace headgate::app {

void Events::add(const std::string& kind, const std::string& text) {
  spdlog::info("{}: {}", kind, text);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  {
    const std::scoped_lock lock(mutex_);
    events_.push_back({++last_number_, std::chrono::duration_cast<std::chrono::milliseconds>(now).count(), kind, text});
    if (events_.size() > kKept) events_.pop_front();
  }
  more_.notify_all();
}

std::vector<Event> Events::last(std::size_t limit) const {
  const std::scoped_lock lock(mutex_);
  const std::size_t n = std::min(limit, events_.size());
  return {events_.end() - static_cast<std::ptrdiff_t>(n), events_.end()};
}

std::vector<Event> Events::after(std::uint64_t number, std::size_t limit, unsigned wait_ms) const {
  std::unique_lock lock(mutex_);
  more_.wait_for(lock, std::chrono::milliseconds(wait_ms), [&] { return last_number_ > number; });
  std::vector<Event> found;
  for (const Event& event : events_) {
    if (event.number > number && found.size() < limit) found.push_back(event);
  }
  return found;
}

}  // namespace headgate::app
