// A descriptor that a signal's handler makes readable, until somebody looks.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace headgate::console {

// Never closed: a handler may run at any time. Made before it is installed.
class Wakeup {
 public:
  int descriptor() const { return descriptor_; }
  void set() const {  // in a handler, too
    const int before = errno;
    const std::uint64_t one = 1;
    static_cast<void>(!::write(descriptor_, &one, sizeof one));
    errno = before;
  }
  void clear() const {
    std::uint64_t count = 0;
    static_cast<void>(!::read(descriptor_, &count, sizeof count));
  }

 private:
  int descriptor_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
};

}  // namespace headgate::console
