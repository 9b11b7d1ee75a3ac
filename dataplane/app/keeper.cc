#include "dataplane/app/keeper.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "dataplane/base/check.h"
#include "dataplane/snapshot/store.h"

namespace headgate::app {

namespace pb = dataplane::v1;

pb::Snapshot merged(const Kept& kept) {
  pb::Snapshot message = *kept.message;
  message.set_generation(kept.snapshot->generation);
  auto state = kept.snapshot->backends.begin();  // in the order of the message
  for (pb::Pool& pool : *message.mutable_pool()) {
    for (pb::Backend& backend : *pool.mutable_backend()) {
      HEADGATE_CHECK(state != kept.snapshot->backends.end() && state->id.value == backend.id());
      backend.set_health(state->up ? pb::UP : pb::DOWN);
      backend.set_weight(state->weight);
      backend.set_drain(state->drain);
      ++state;
    }
  }
  return message;
}

Keeper::Keeper(std::string path) : path_(std::move(path)), thread_([this] { run(); }) {}

Keeper::~Keeper() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Keeper::keep(const Kept& kept) {
  const std::scoped_lock writing(writing_);
  {
    const std::scoped_lock lock(mutex_);
    due_ = {};  // older than this
  }
  write(kept);
}

void Keeper::keep_soon(Kept kept) {
  {
    const std::scoped_lock lock(mutex_);
    due_ = std::move(kept);
  }
  changed_.notify_one();
}

void Keeper::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return due_.snapshot != nullptr || stopping_; });
    }
    Kept kept;
    {
      const std::scoped_lock writing(writing_);
      {
        const std::scoped_lock lock(mutex_);
        kept = std::exchange(due_, {});
        if (kept.snapshot == nullptr && stopping_) return;
      }
      if (kept.snapshot != nullptr) write(kept);
    }
    kept = {};  // the snapshot need not live on while this sleeps
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kKeepEvery, [this] { return stopping_; });
  }
}

void Keeper::write(const Kept& kept) const {
  const auto stored = snapshot::store(path_, merged(kept).SerializeAsString());
  if (stored) return;
  spdlog::error("snapshot {} runs but could not be kept for a restart: {}", kept.snapshot->generation,
                stored.error().message);
}

}  // namespace headgate::app
