#include "controlplane/system/service_manager.h"

#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <asio/post.hpp>
#include <cstdio>
#include <cstdlib>

namespace headgate::system {

ServiceManager::ServiceManager(asio::io_context& io) : io_(io), timer_(io) {
  std::uint64_t within_us = 0;
  if (::sd_watchdog_enabled(0, &within_us) > 0) every_ = std::chrono::microseconds(within_us / 3);
}

void ServiceManager::ready() {
  ::sd_notify(0, "READY=1");
  if (watched()) ping(0);
}

void ServiceManager::stopping() {
  timer_.cancel();
  ::sd_notify(0, "STOPPING=1");
}

void ServiceManager::ping(std::size_t passed) {
  if (passed < others_.size()) {
    asio::post(*others_[passed], [this, passed] { asio::post(io_, [this, passed] { ping(passed + 1); }); });
    return;
  }
  ::sd_notify(0, "WATCHDOG=1");
  timer_.expires_after(every_);
  timer_.async_wait([this](const asio::error_code& cancelled) {
    if (!cancelled) ping(0);
  });
}

bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");  // DEVICE:INODE, systemd.exec(5)
  unsigned long long device = 0, inode = 0;
  struct stat status{};
  return stream != nullptr && std::sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
         ::fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

}  // namespace headgate::system
