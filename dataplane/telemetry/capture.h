// Packet capture: a worker copies matching packets into a ring that the API drains. Off = one null pointer.
//
// Thread rule: the filter is immutable; one worker pushes, one API thread pops.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/spsc_ring.h"
#include "dataplane/base/time.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/telemetry/exits.h"

namespace headgate::telemetry {

inline constexpr std::size_t kSnapLengthMax = 2048;
inline constexpr std::size_t kCaptureRing = 1024;  // packets per worker; at most 2 MB

struct CaptureFilter {
  std::optional<IpPrefix> host;  // either end
  std::uint16_t port = 0;        // either end, 0 = any
  std::optional<Exit> exit;
  std::optional<DropReason> drop_reason;
  std::size_t snap_length = 256;

  bool matches(const packet::PacketInfo& info, Exit how, DropReason reason) const {
    if (exit && *exit != how) return false;
    if (drop_reason && *drop_reason != reason) return false;
    if (host && !(info.is_ip() && (host->contains(info.tuple.src) || host->contains(info.tuple.dst)))) return false;
    return port == 0 || info.tuple.src_port == port || info.tuple.dst_port == port;
  }
};

struct CapturedFrame {
  Nanos time = 0;
  std::uint16_t port = 0;
  Exit exit = Exit::forwarded;
  DropReason reason = DropReason::count;
  std::uint16_t length = 0, captured = 0;  // bytes of the frame, bytes kept
  std::array<std::uint8_t, kSnapLengthMax> data;
};

class Capture {
 public:
  explicit Capture(const CaptureFilter& filter) : filter_(filter), ring_(kCaptureRing) {}
  const CaptureFilter& filter() const { return filter_; }
  // Worker. `frame` as it arrived or as it leaves, whatever the worker has when it decides.
  void offer(Nanos now, std::uint16_t port, const packet::PacketInfo& info, std::span<const std::uint8_t> frame,
             std::size_t frame_length, Exit exit, DropReason reason);
  // API.
  bool take(CapturedFrame& frame) { return ring_.pop(frame); }
  std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  const CaptureFilter filter_;
  SpscRing<CapturedFrame> ring_;
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace headgate::telemetry
