#include "controlplane/app/event_forwarder.h"

#include <unistd.h>

#include <asio/post.hpp>

#include "controlplane/config/address.h"

namespace headgate::app {
namespace {

constexpr unsigned kPortDefault = 601;  // syslog-conn

Severity least(config::v1::Log::Severity severity) {
  switch (severity) {
    case config::v1::Log::ERROR:
      return Severity::error;
    case config::v1::Log::WARNING:
      return Severity::warning;
    case config::v1::Log::NOTICE:
      return Severity::notice;
    default:
      return Severity::info;
  }
}

std::string host_name() {
  char name[256] = "headgate";
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

// Outlives the forwarder as long as something posted to the loop holds it.
struct EventForwarder::Shared {
  explicit Shared(asio::io_context& context) : io(context), sender(context) {}
  asio::io_context& io;
  monitor::SyslogSender sender;
  Severity minimum = Severity::info;
  const std::string host = host_name();
  const std::string process = std::to_string(::getpid());
  std::mutex mutex;
  std::deque<Event> arrived;  // since the loop last came by
  bool posted = false;

  void take() {
    std::deque<Event> events;
    {
      const std::scoped_lock lock(mutex);
      events.swap(arrived);
      posted = false;
    }
    for (const Event& event : events) {
      if (event.severity > minimum) continue;  // the smaller, the worse
      sender.send({.severity = static_cast<unsigned>(event.severity),
                   .time_ms = event.time_ms,
                   .host = host,
                   .process_id = process,
                   .kind = event.kind,
                   .user = event.user,
                   .number = event.number,
                   .text = event.text});
    }
  }
};

EventForwarder::EventForwarder(asio::io_context& io, Events& events)
    : events_(events), shared_(std::make_shared<Shared>(io)) {
  events_.set_listener([shared = shared_](const Event& event) {
    const std::scoped_lock lock(shared->mutex);
    if (shared->arrived.size() >= monitor::SyslogSender::kQueueMax) shared->arrived.pop_front();
    shared->arrived.push_back(event);
    if (std::exchange(shared->posted, true)) return;
    asio::post(shared->io, [shared] { shared->take(); });
  });
}

EventForwarder::~EventForwarder() {
  events_.set_listener({});
  shared_->sender.set_collector(std::nullopt);
}

void EventForwarder::adopt(const config::v1::Config& config) {
  const config::v1::Log& log = config.log();
  const auto address = config::parse_address(log.collector());
  if (!config.has_log() || !address) return shared_->sender.set_collector(std::nullopt);
  shared_->minimum = least(log.minimum_severity());
  shared_->sender.set_collector(
      asio::ip::tcp::endpoint(*address, static_cast<unsigned short>(log.has_port() ? log.port() : kPortDefault)));
}

}  // namespace headgate::app
