#pragma once

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <future>
#include <memory>
#include <utility>

namespace headgate::push {

// The end of a call of gRPC's callback API, handed from gRPC's thread to the loop's. A member of the call.
//
// The call leaves with the handler, because gRPC's thread must never be the one to let go of it: with its context may
// go the last reference to the channel, whose destructor joins gRPC's threads (libgrpc++ 1.51, CallbackAlternativeCQ).
// A thread that joins itself goes on at once, with the completion queue under it deleted.
class LastWord {
 public:
  // On gRPC's thread, once. `handler` runs on the loop; if the loop runs no more, it goes with the io_context.
  template <class Call, class Handler>
  void pass(asio::io_context& io, std::shared_ptr<Call> call, Handler handler) {
    const std::shared_ptr<std::promise<void>> passed = passed_;
    asio::post(io, [call = std::move(call), handler = std::move(handler)] { handler(*call); });
    passed->set_value();
  }
  // On the loop's thread, once: until gRPC touches neither the call nor the io_context any more.
  void wait() { passed_->get_future().wait(); }

 private:
  std::shared_ptr<std::promise<void>> passed_ = std::make_shared<std::promise<void>>();  // outlives the call
};

}  // namespace headgate::push
