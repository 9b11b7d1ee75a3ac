#include "controlplane/supervisor/requests.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace headgate::supervisor {
namespace {

constexpr std::size_t kMessageMax = 4096;

bool address_of(const std::string& path, sockaddr_un& address, socklen_t& size) {
  if (path.empty() || path.size() >= sizeof address.sun_path) return false;
  address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';  // abstract
  size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return true;
}

}  // namespace

RequestSocket::~RequestSocket() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(path_.c_str());
}

bool RequestSocket::open(const std::string& path) {
  sockaddr_un address{};
  socklen_t size = 0;
  if (!address_of(path, address, size)) {
    errno = ENAMETOOLONG;
    return false;
  }
  ::unlink(path.c_str());  // of one that was killed; the lock on supervisor.pid says that no other lives
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  if (descriptor < 0) return false;
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 || ::chmod(path.c_str(), 0666) != 0) {
    ::close(descriptor);
    return false;
  }
  descriptor_ = descriptor;
  path_ = path;
  return true;
}

std::optional<Request> RequestSocket::next() {
  Request request;
  char text[kMessageMax];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  iovec part{text, sizeof text};
  msghdr message{};
  message.msg_name = &request.from;
  message.msg_namelen = sizeof request.from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(descriptor_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) return std::nullopt;
  request.text.assign(text, static_cast<std::size_t>(size));
  request.from_size = message.msg_namelen;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
    ucred who{};
    std::memcpy(&who, CMSG_DATA(header), sizeof who);
    request.pid = who.pid;
    request.uid = who.uid;
  } else {
    request.uid = static_cast<uid_t>(-1);  // nobody
  }
  return request;
}

void RequestSocket::answer(const Request& request, const std::string& text) const {
  if (request.from_size <= offsetof(sockaddr_un, sun_path)) return;  // has no address: wants no answer
  ::sendto(descriptor_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&request.from), request.from_size);
}

void notify_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  socklen_t size = 0;
  if (path == nullptr || !address_of(path, address, size)) return;
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  ::sendto(descriptor, state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
           size);
  ::close(descriptor);
}

}  // namespace headgate::supervisor
