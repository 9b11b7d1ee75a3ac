// Echo requests every millisecond to several targets at once, and the longest silence of each.
// Thread rule: one thread.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "tests/bench/gap.h"

namespace headgate::bench {

// NAME=icmp:ADDRESS or NAME=udp:ADDRESS:PORT (IPv6 in brackets).
struct TargetSpec {
  std::string name;
  bool udp = false;
  sockaddr_storage address{};
  socklen_t length = 0;
};
Result<TargetSpec> parse_target(std::string_view text);

class Target {
 public:
  static Result<Target> open(const TargetSpec& spec, std::uint16_t id);
  int fd() const { return fd_; }
  void send(Nanos now);
  // All that has arrived, by the time at which the kernel got it.
  void receive();
  // {"name", "sent", "answered", "late", "gap_ms", "gap_at_ms"}
  std::string report(Nanos now);
  void mark(Nanos now) { meter_.mark(now); }

 private:
  std::string name_;
  int fd_ = -1;
  bool udp_ = false, v6_ = false;
  std::uint16_t id_ = 0;
  std::uint16_t sequence_ = 0;
  std::uint64_t refused_ = 0;  // by our own kernel
  GapMeter meter_;
};

}  // namespace headgate::bench
