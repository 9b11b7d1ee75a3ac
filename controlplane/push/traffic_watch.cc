#include "controlplane/push/traffic_watch.h"

#include <grpcpp/grpcpp.h>

#include "controlplane/push/channel.h"
#include "controlplane/push/last_word.h"

namespace headgate::push {

struct TrafficWatch::Call {
  grpc::ClientContext context;
  LastWord last_word;
  dataplane::v1::StatsRequest request;
  dataplane::v1::StatsReply reply;
};

TrafficWatch::TrafficWatch(asio::io_context& io, const std::string& target, OnSample on_sample)
    : io_(io),
      on_sample_(std::move(on_sample)),
      timer_(io),
      stub_(dataplane::v1::Dataplane::NewStub(dataplane_channel(target))) {}

TrafficWatch::~TrafficWatch() {
  alive_.reset();
  if (!call_) return;
  call_->context.TryCancel();
  call_->last_word.wait();
}

void TrafficWatch::want(bool wanted) {
  if (std::exchange(wanted_, wanted) == wanted) return;
  if (wanted) {
    tick();
  } else {
    timer_.cancel();
  }
}

void TrafficWatch::tick() {
  ask();
  timer_.expires_after(kEvery);
  timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled && wanted_) tick();
  });
}

void TrafficWatch::ask() {
  if (call_) return;
  call_ = std::make_shared<Call>();
  call_->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  stub_->async()->Stats(&call_->context, &call_->request, &call_->reply,
                        [this, call = call_, alive = std::weak_ptr<void>(alive_)](const grpc::Status& status) mutable {
                          LastWord& last_word = call->last_word;
                          last_word.pass(io_, std::move(call), [this, alive, ok = status.ok()](const Call& ended) {
                            if (alive.expired()) return;
                            call_.reset();
                            if (ok && wanted_) on_sample_(ended.reply);
                          });
                        });
}

}  // namespace headgate::push
