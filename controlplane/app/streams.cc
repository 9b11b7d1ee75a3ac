#include "controlplane/app/streams.h"

#include <string>

namespace headgate::app {

Streams::Stream::Stream(Streams& streams, grpc::ServerContext* context) : streams_(streams) {
  const std::scoped_lock lock(streams_.mutex_);
  if (streams_.open_.size() >= kStreamsMax) return;
  entry_ = streams_.open_.emplace(streams_.open_.end(), context, Clock::time_point::max());
  taken_ = true;
}

Streams::Stream::~Stream() {
  if (!taken_) return;
  const std::scoped_lock lock(streams_.mutex_);
  streams_.open_.erase(entry_);
}

void Streams::Stream::mark(Clock::time_point deadline) {
  const std::scoped_lock lock(streams_.mutex_);
  entry_->second = deadline;
}

unsigned Streams::end_slow(Clock::time_point now) {
  const std::scoped_lock lock(mutex_);
  unsigned ended = 0;
  for (auto& [context, deadline] : open_) {
    if (deadline > now) continue;
    context->TryCancel();
    deadline = Clock::time_point::max();
    ++ended;
  }
  return ended;
}

grpc::Status Streams::too_many() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED,
          "there are " + std::to_string(kStreamsMax) + " streaming calls already; end one"};
}

}  // namespace headgate::app
