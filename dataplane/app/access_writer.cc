#include "dataplane/app/access_writer.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

namespace headgate::app {
namespace {

constexpr auto kEvery = std::chrono::milliseconds(50);
constexpr std::size_t kPendingMax = 1 << 20;

}  // namespace

AccessWriter::AccessWriter(Fleet& fleet, std::string path)
    : fleet_(fleet), path_(std::move(path)), thread_([this] { run(); }) {}

AccessWriter::~AccessWriter() {
  stop_.store(true);
  thread_.join();
  if (fd_ >= 0) close(fd_);
}

void AccessWriter::run() {
  while (!stop_.load()) {
    std::this_thread::sleep_for(kEvery);
    drain();
  }
  drain();
}

void AccessWriter::drain() {
  const auto line = std::make_unique<worker::AccessLine>();
  std::uint64_t lost = 0;
  for (unsigned i = 0; i < fleet_.size(); ++i) {
    worker::Proxies* proxies = fleet_.at(i).proxies();
    if (proxies == nullptr) continue;
    for (std::size_t n = 0; n < worker::kAccessLines && proxies->access_log().pop(*line); ++n) {
      pending_.append(line->text.data(), line->length);
      if (pending_.size() >= kPendingMax) write_out();
    }
    lost += proxies->access_log().lost();
  }
  if (!pending_.empty()) write_out();
  if (lost == lost_) return;
  spdlog::warn("access log: {} lines lost, requests come faster than {} takes them", lost - lost_, path_);
  lost_ = lost;
}

bool AccessWriter::open() {
  if (fd_ >= 0 && size_ < kAccessFileMax) return true;
  if (fd_ >= 0) {
    close(fd_);
    fd_ = -1;
    std::rename(path_.c_str(), (path_ + ".1").c_str());  // when it fails the file grows on
  }
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
  struct stat file{};
  if (fd_ < 0 || fstat(fd_, &file) != 0) return false;
  size_ = static_cast<std::uint64_t>(file.st_size);
  return true;
}

// What can not be written is lost: requests go on.
void AccessWriter::write_out() {
  std::size_t written = 0;
  int error = open() ? 0 : errno;
  while (error == 0 && written < pending_.size()) {
    const ssize_t n = write(fd_, pending_.data() + written, pending_.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      error = errno;
    } else {
      written += static_cast<std::size_t>(n);
    }
  }
  size_ += written;
  pending_.clear();
  if (error != 0 && !complained_) spdlog::error("access log: {}: {}; lines are lost", path_, std::strerror(error));
  complained_ = error != 0;
}

}  // namespace headgate::app
