#include "controlplane/config/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "controlplane/config/disk.h"

namespace headgate::config {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> system_error(const std::string& what) {
  return fail(what + ": " + std::strerror(errno));
}

Result<std::string> read_all(const Descriptor& file, const std::string& path, std::size_t size_max) {
  std::string content;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(file.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read " + path);
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
    if (content.size() > size_max) return fail(path + " is larger than " + std::to_string(size_max) + " bytes");
  }
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error("cannot open " + path);
  return read_all(file, path, std::numeric_limits<std::size_t>::max());
}

Result<std::string> read_regular_file(const std::string& path, std::size_t size_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return system_error("cannot open " + path);
  if (!S_ISREG(status.st_mode)) return fail(path + " is no regular file");
  return read_all(file, path, size_max);
}

Result<void> write_file_durably(const std::string& path, const std::string& content) {
  KernelDisk disk;
  return replace_durably(disk, path, content);
}

}  // namespace headgate::config
