#include "controlplane/console/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace headgate::console {
namespace {

// A handler is told nothing but the signal's number: what it writes to must be known to the file. Never closed.
int wake_descriptor() {
  static const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return descriptor;
}

void wake(int) {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_descriptor(), &one, sizeof one));
}

void drain() {
  std::uint64_t count = 0;
  static_cast<void>(!::read(wake_descriptor(), &count, sizeof count));
}

struct sigaction& before() {
  static struct sigaction action{};
  return action;
}

}  // namespace

Interrupt::Interrupt(grpc::ClientContext* call) {
  wake_descriptor();  // made before the handler can run
  watcher_ = std::thread([this, call] { watch(call); });
  struct sigaction action{};
  action.sa_handler = wake;
  ::sigaction(SIGINT, &action, &before());
}

Interrupt::~Interrupt() {
  ::sigaction(SIGINT, &before(), nullptr);
  done_ = true;
  wake(SIGINT);
  watcher_.join();
  drain();  // for the next one
}

void Interrupt::watch(grpc::ClientContext* call) {
  while (!done_) {
    pollfd descriptor{wake_descriptor(), POLLIN, 0};
    ::poll(&descriptor, 1, -1);
    drain();
    if (done_) return;
    {
      const std::scoped_lock lock(mutex_);
      asked_ = true;
    }
    changed_.notify_all();
    if (call != nullptr) call->TryCancel();
  }
}

bool Interrupt::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [&] { return asked_.load(); });
}

}  // namespace headgate::console
