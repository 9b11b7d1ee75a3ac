// Where log lines of this daemon go: standard error (the journal's, with priorities, when it is the journal's), the
// last of them into memory for the support bundle, and warnings and errors among the events.
//
// Events log through a logger of their own, which the events do not hear: that is why nothing goes round in circles.
#pragma once

#include <memory>
#include <string>

namespace spdlog {
class logger;
}

namespace headgate::app {

class Events;

// For the process; one, made by main before anything logs.
class Logging {
 public:
  Logging();
  ~Logging();
  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;

  // Null: no longer. Requires: the events live until then.
  void feed(Events* events);
  // The last lines, oldest first. Any thread.
  std::string recent() const;

 private:
  struct Sinks;
  std::unique_ptr<Sinks> sinks_;
};

// The default logger when there is no Logging, as in tests.
spdlog::logger& event_logger();

}  // namespace headgate::app
