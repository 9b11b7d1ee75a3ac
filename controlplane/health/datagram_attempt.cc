#include "controlplane/health/datagram_attempt.h"

#include <sys/socket.h>

#include <asio/ip/tcp.hpp>
#include <cerrno>

namespace headgate::health {

int DatagramAttempt::open(int family) {
  return socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

void DatagramAttempt::begin() {
  const int fd = open(endpoint_.protocol().family());
  if (fd < 0) return finish(failed(errno));
  socket_.assign(fd);
  if (connect(fd, endpoint_.data(), static_cast<socklen_t>(endpoint_.size())) != 0) return finish(failed(errno));
  const std::string packet = request();
  if (send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) < 0) return finish(failed(errno));
  wait();
}

void DatagramAttempt::close() {
  asio::error_code ignored;
  socket_.close(ignored);
}

void DatagramAttempt::wait() {
  socket_.async_wait(asio::posix::descriptor_base::wait_read, [me = self(this)](const asio::error_code& error) {
    if (me->finished()) return;
    if (error) return me->finish(failed(error));
    me->receive();
  });
}

void DatagramAttempt::receive() {
  std::array<std::uint8_t, kDatagramBytesMax> buffer;
  const ssize_t size = recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
  if (size < 0) {
    if (errno == EAGAIN || errno == EINTR) return wait();
    return finish(failed(errno));
  }
  if (auto outcome = judge({buffer.data(), static_cast<std::size_t>(size)})) return finish(std::move(*outcome));
  if (++strangers_ == kStrangersMax) return finish(failure("answers that are none to this probe"));
  wait();
}

}  // namespace headgate::health
