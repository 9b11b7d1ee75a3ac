#include "controlplane/failover/channel.h"

#include <grpcpp/grpcpp.h>

#include <asio/post.hpp>

#include "controlplane/push/channel.h"
#include "controlplane/push/last_word.h"

namespace headgate::failover {

namespace dp = dataplane::v1;

// Holds itself from the start to OnDone, which is gRPC's last word.
class Channel::Watch : public grpc::ClientReadReactor<dp::FailoverState> {
 public:
  Watch(Channel& channel, std::weak_ptr<void> alive) : io_(channel.io_), channel_(channel), alive_(std::move(alive)) {}

  void start(dp::Dataplane::Stub& stub, std::shared_ptr<Watch> self) {
    self_ = std::move(self);
    stub.async()->WatchFailover(&context_, &request_, this);
    StartRead(&state_);
    StartCall();
  }
  void end() {
    context_.TryCancel();
    last_word_.wait();
  }
  void cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    asio::post(io_, [channel = &channel_, alive = alive_, state = state_] {
      if (!alive.expired()) channel->on_state(state);
    });
    StartRead(&state_);
  }
  void OnDone(const grpc::Status&) override {
    last_word_.pass(io_, std::move(self_), [alive = alive_](const Watch& ended) {
      if (alive.expired()) return;
      ended.channel_.watch_.reset();
      ended.channel_.lose();
    });
  }

 private:
  asio::io_context& io_;
  Channel& channel_;
  std::weak_ptr<void> alive_;
  grpc::ClientContext context_;
  dp::WatchRequest request_;
  dp::FailoverState state_;
  push::LastWord last_word_;
  std::shared_ptr<Watch> self_;
};

struct Channel::Call {
  grpc::ClientContext context;
  push::LastWord last_word;
  dp::FailoverInput input;
  dp::FailoverState state;
  std::uint64_t version = 0;
};

Channel::Channel(asio::io_context& io, const std::string& target, Events events)
    : io_(io), events_(std::move(events)), timer_(io), stub_(dp::Dataplane::NewStub(push::dataplane_channel(target))) {}

Channel::~Channel() {
  alive_.reset();
  if (watch_) watch_->end();
  if (!call_) return;
  call_->context.TryCancel();
  call_->last_word.wait();
}

void Channel::want(bool wanted) {
  if (std::exchange(wanted_, wanted) == wanted) return;
  if (wanted) return tick();
  timer_.cancel();
  next_.reset();
  if (watch_) watch_->cancel();
}

void Channel::tick() {
  if (!watch_) {
    watch_ = std::make_shared<Watch>(*this, alive_);
    watch_->start(*stub_, watch_);
  }
  timer_.expires_after(kRetry);
  timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled && wanted_) tick();
  });
}

void Channel::set(const dp::FailoverInput& input, std::uint64_t version) {
  if (!wanted_) return;
  next_.emplace(input, version);
  send();
}

void Channel::send() {
  if (call_ || !next_) return;
  call_ = std::make_shared<Call>();
  call_->input = std::move(next_->first);
  call_->version = next_->second;
  next_.reset();
  call_->context.set_deadline(std::chrono::system_clock::now() + kAnswer);
  stub_->async()->SetFailover(
      &call_->context, &call_->input, &call_->state,
      [this, call = call_, alive = std::weak_ptr<void>(alive_)](const grpc::Status& status) mutable {
        push::LastWord& last_word = call->last_word;
        last_word.pass(io_, std::move(call), [this, alive, ok = status.ok()](const Call& ended) {
          if (alive.expired()) return;
          call_.reset();
          if (!ok) {
            lose();
          } else if (wanted_) {
            on_state(ended.state);
            events_.delivered(ended.version);
          }
          send();
        });
      });
}

void Channel::on_state(const dp::FailoverState& state) {
  if (!wanted_) return;
  known_ = true;
  events_.state(state);
}

void Channel::lose() {
  if (std::exchange(known_, false)) events_.lost();
}

}  // namespace headgate::failover
