// Events of at least the configured severity to the syslog collector that `log` of the configuration names.
#pragma once

#include <asio/io_context.hpp>
#include <memory>

#include "controlplane/api/config.pb.h"
#include "controlplane/app/events.h"
#include "controlplane/monitor/syslog_sender.h"

namespace headgate::app {

// Thread: the io_context's; events may come from any, and wait for the loop in a queue of their own, bounded too.
// Requires: the events outlive this.
class EventForwarder {
 public:
  EventForwarder(asio::io_context& io, Events& events);
  ~EventForwarder();
  EventForwarder(const EventForwarder&) = delete;
  EventForwarder& operator=(const EventForwarder&) = delete;

  void adopt(const config::v1::Config& config);

 private:
  struct Shared;
  Events& events_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace headgate::app
