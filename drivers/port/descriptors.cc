#include "drivers/port/descriptors.h"

#include <dirent.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace headgate::port {
namespace {

bool is_of(int fd, DescriptorKind kind) {
  if (kind == DescriptorKind::tun_file) {
    char target[64];
    const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
    return length > 0 && std::string_view(target, static_cast<std::size_t>(length)) == "/dev/net/tun";
  }
  int domain = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
  return domain == (kind == DescriptorKind::xdp_socket ? AF_XDP : AF_PACKET);
}

}  // namespace

DescriptorSet open_descriptors() {
  DescriptorSet descriptors;
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return descriptors;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') descriptors.insert(std::atoi(entry->d_name));
  }
  descriptors.erase(::dirfd(directory));
  ::closedir(directory);
  return descriptors;
}

std::vector<int> new_descriptors(const DescriptorSet& before, DescriptorKind kind) {
  std::vector<int> found;
  for (const int fd : open_descriptors()) {
    if (!before.contains(fd) && is_of(fd, kind)) found.push_back(fd);
  }
  return found;
}

std::uint64_t inode_of(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

}  // namespace headgate::port
