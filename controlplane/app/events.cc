#include "controlplane/app/events.h"

#include <spdlog/spdlog.h>

#include <chrono>

#include "controlplane/app/logging.h"

namespace headgate::app {

void Events::add(const std::string& kind, const std::string& text, Severity severity, const std::string& user) {
  event_logger().log(severity == Severity::error     ? spdlog::level::err
                     : severity == Severity::warning ? spdlog::level::warn
                                                     : spdlog::level::info,
                     "{}: {}", kind, text);
  keep({.kind = kind, .text = text, .severity = severity, .user = user});
}

void Events::add_logged(const std::string& text, Severity severity) {
  keep({.kind = "log", .text = text, .severity = severity, .user = {}});
}

void Events::keep(Event event) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  event.time_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  {
    const std::scoped_lock lock(mutex_);
    event.number = ++last_number_;
    if (listener_) listener_(event);
    if (file_) file_->append(event);
    events_.push_back(std::move(event));
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

void Events::keep_in(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  file_ = std::make_unique<EventFile>(path);
  for (Event& event : file_->load(kKept)) {
    event.number = ++last_number_;
    events_.push_back(std::move(event));
  }
}

void Events::set_listener(std::function<void(const Event&)> listener) {
  const std::scoped_lock lock(mutex_);
  listener_ = std::move(listener);
}

}  // namespace headgate::app
