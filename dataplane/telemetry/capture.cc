#include "dataplane/telemetry/capture.h"

#include <algorithm>
#include <cstring>

namespace headgate::telemetry {

void Capture::offer(Nanos now, std::uint16_t port, const packet::PacketInfo& info, std::span<const std::uint8_t> frame,
                    std::size_t frame_length, Exit exit, DropReason reason) {
  if (!filter_.matches(info, exit, reason)) return;
  CapturedFrame captured;
  captured.time = now;
  captured.port = port;
  captured.exit = exit;
  captured.reason = reason;
  captured.length = static_cast<std::uint16_t>(std::min<std::size_t>(frame_length, 0xffff));
  captured.captured = static_cast<std::uint16_t>(std::min({frame.size(), filter_.snap_length, kSnapLengthMax}));
  std::memcpy(captured.data.data(), frame.data(), captured.captured);
  if (!ring_.push(captured)) lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace headgate::telemetry
