#include "controlplane/app/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "controlplane/app/events.h"
#include "controlplane/system/service_manager.h"

namespace headgate::app {
namespace {

constexpr std::size_t kLinesKept = 5000;
constexpr const char* kPattern = "[%Y-%m-%d %H:%M:%S.%e] %l: %v";
constexpr const char* kEventLogger = "events";

// "<4>config: ...": the journal takes the priority and knows the time (sd-daemon(3)).
class PriorityFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    out.push_back('<');
    out.push_back(message.level >= spdlog::level::critical ? '2'
                  : message.level == spdlog::level::err    ? '3'
                  : message.level == spdlog::level::warn   ? '4'
                  : message.level == spdlog::level::info   ? '6'
                                                           : '7');
    out.push_back('>');
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<PriorityFlag>(); }
};

class EventSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void feed(Events* events) {
    const std::scoped_lock lock(mutex_);
    events_ = events;
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (events_ == nullptr || message.level < spdlog::level::warn) return;
    events_->add_logged(std::string(message.payload.data(), message.payload.size()),
                        message.level == spdlog::level::warn ? Severity::warning : Severity::error);
  }
  void flush_() override {}

 private:
  Events* events_ = nullptr;
};

}  // namespace

struct Logging::Sinks {
  std::shared_ptr<spdlog::sinks::stderr_sink_mt> error = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> memory =
      std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(kLinesKept);
  std::shared_ptr<EventSink> events = std::make_shared<EventSink>();
};

Logging::Logging() : sinks_(std::make_unique<Sinks>()) {
  if (system::stderr_is_journal()) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<PriorityFlag>('*').set_pattern("%*%v");
    sinks_->error->set_formatter(std::move(formatter));
  } else {
    sinks_->error->set_pattern(kPattern);
  }
  sinks_->memory->set_pattern(kPattern);
  const spdlog::sinks_init_list for_events{sinks_->error, sinks_->memory};
  spdlog::register_logger(std::make_shared<spdlog::logger>(kEventLogger, for_events));
  const spdlog::sinks_init_list for_all{sinks_->error, sinks_->memory, sinks_->events};
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("controlplane", for_all));
}

Logging::~Logging() {
  feed(nullptr);
  spdlog::drop(kEventLogger);
}

void Logging::feed(Events* events) {
  sinks_->events->feed(events);
}

std::string Logging::recent() const {
  std::string text;
  for (const std::string& line : sinks_->memory->last_formatted()) text += line;
  return text;
}

spdlog::logger& event_logger() {
  const auto own = spdlog::get(kEventLogger);
  return own ? *own : *spdlog::default_logger_raw();
}

}  // namespace headgate::app
