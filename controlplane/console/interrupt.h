// While one lives, Ctrl-C ends the command that runs and not the console.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace headgate::console {

// One at a time.
class Interrupt {
 public:
  // `call`: cancelled then; may be null. Must outlive this.
  explicit Interrupt(grpc::ClientContext* call = nullptr);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool asked() const { return asked_; }
  // For so long, or until Ctrl-C; true then.
  bool wait(std::chrono::milliseconds time);

 private:
  void watch(grpc::ClientContext* call);

  std::atomic<bool> asked_{false}, done_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread watcher_;
};

}  // namespace headgate::console
