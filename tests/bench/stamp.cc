#include "tests/bench/stamp.h"

#include <cstring>
#include <ctime>

namespace headgate::bench {

namespace {

Nanos from(const timespec& time) {
  return static_cast<Nanos>(time.tv_sec) * kSecond + static_cast<Nanos>(time.tv_nsec);
}

}  // namespace

Nanos wall_clock() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return from(time);
}

Nanos stamp_of(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time{};
    std::memcpy(&time, CMSG_DATA(part), sizeof(time));
    return from(time);
  }
  return wall_clock();
}

}  // namespace headgate::bench
