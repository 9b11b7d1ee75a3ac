#include "controlplane/console/interrupt.h"

#include <poll.h>

#include <csignal>

#include "controlplane/console/wakeup.h"

namespace headgate::console {
namespace {

// A handler is told nothing but the signal's number: what it writes to must be known to the file.
const Wakeup& woken() {
  static const Wakeup wakeup;
  return wakeup;
}

void wake(int) {
  woken().set();
}

struct sigaction& before() {
  static struct sigaction action{};
  return action;
}

}  // namespace

Interrupt::Interrupt(grpc::ClientContext* call) {
  woken();  // made before the handler can run
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
  woken().clear();  // for the next one
}

void Interrupt::watch(grpc::ClientContext* call) {
  while (!done_) {
    pollfd descriptor{woken().descriptor(), POLLIN, 0};
    ::poll(&descriptor, 1, -1);
    woken().clear();
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
