#include "controlplane/system/supervisor_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace headgate::system {
namespace {

constexpr timeval kAnswerWait{.tv_sec = 3, .tv_usec = 0};

// One datagram there, one back.
std::string exchange(int descriptor, const std::string& socket, const std::string& request, std::string& error) {
  sockaddr_un own{}, there{};
  own.sun_family = there.sun_family = AF_UNIX;
  socket.copy(there.sun_path, sizeof there.sun_path - 1);
  char answer[1024];
  ssize_t size = -1;
  const bool sent =
      ::bind(descriptor, reinterpret_cast<sockaddr*>(&own), sizeof own.sun_family) == 0 &&  // a name for the answer
      ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &kAnswerWait, sizeof kAnswerWait) == 0 &&
      ::connect(descriptor, reinterpret_cast<sockaddr*>(&there), sizeof there) == 0 &&
      ::send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) >= 0;
  if (sent) size = ::recv(descriptor, answer, sizeof answer, 0);
  if (size < 0) error = std::strerror(errno);
  return size < 0 ? "" : std::string(answer, static_cast<std::size_t>(size));
}

}  // namespace

std::string supervisor_socket() {
  const char* path = std::getenv("HEADGATE_SUPERVISOR");
  return path == nullptr ? "" : path;
}

config::Result<void> ask_supervisor(const std::string& socket, const std::string& request) {
  if (socket.empty()) {
    return config::fail(
        "there is no supervisor to do it: this control plane was started by something else; use what started it");
  }
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return config::fail(std::string("cannot ask the supervisor: ") + std::strerror(errno));
  std::string error;
  const std::string answer = exchange(descriptor, socket, request, error);
  ::close(descriptor);
  if (!error.empty()) return config::fail("the supervisor does not answer on " + socket + ": " + error);
  if (answer != "ok") return config::fail(answer);
  return {};
}

}  // namespace headgate::system
