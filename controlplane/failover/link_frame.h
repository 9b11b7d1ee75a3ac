// Frames of the HA link: four bytes of length, most significant first, then an Envelope (api/ha.proto). Pure.
//
// What comes is from a peer: every length is judged before memory is taken for it, and memory is taken only for bytes
// that came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "controlplane/api/ha.pb.h"

namespace headgate::failover {

inline constexpr std::size_t kFrameHeader = 4;
inline constexpr std::size_t kFrameMax = 20u << 20;  // a configuration of 8 MiB, its ids, and room
inline constexpr std::size_t kFirstFrameMax = 4096;  // before Hello was judged, and for pairing

// Requires: the envelope serialises to at most kFrameMax bytes; empty otherwise.
std::string encode_frame(const ha::v1::Envelope& envelope);

class FrameDecoder {
 public:
  explicit FrameDecoder(std::size_t frame_max = kFrameMax) : frame_max_(frame_max) {}

  void set_frame_max(std::size_t frame_max) { frame_max_ = frame_max; }
  void feed(std::span<const std::uint8_t> bytes);
  // The next whole frame; nothing when there is none yet, or after a fault.
  std::optional<ha::v1::Envelope> next();
  // Why nothing more can be read: a length out of bounds, or a body that is no Envelope. Empty: nothing is wrong.
  const std::string& fault() const { return fault_; }
  std::size_t buffered() const { return buffer_.size() - at_; }

 private:
  std::size_t frame_max_;
  std::string buffer_;
  std::size_t at_ = 0;  // what is before was handed out
  std::string fault_;
};

}  // namespace headgate::failover
