#include "controlplane/failover/link_frame.h"

namespace headgate::failover {

std::string encode_frame(const ha::v1::Envelope& envelope) {
  const std::size_t size = envelope.ByteSizeLong();
  if (size > kFrameMax) return {};
  std::string frame(kFrameHeader, '\0');
  for (std::size_t i = 0; i < kFrameHeader; ++i) frame[i] = static_cast<char>(size >> (8 * (kFrameHeader - 1 - i)));
  frame.reserve(kFrameHeader + size);
  envelope.AppendToString(&frame);
  return frame;
}

void FrameDecoder::feed(std::span<const std::uint8_t> bytes) {
  if (!fault_.empty()) return;
  if (at_ > 0 && at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
  } else if (at_ > kFirstFrameMax) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::optional<ha::v1::Envelope> FrameDecoder::next() {
  if (!fault_.empty() || buffered() < kFrameHeader) return std::nullopt;
  std::size_t size = 0;
  for (std::size_t i = 0; i < kFrameHeader; ++i) size = size << 8 | static_cast<std::uint8_t>(buffer_[at_ + i]);
  if (size > frame_max_) {
    fault_ = "a message of " + std::to_string(size) + " bytes, where " + std::to_string(frame_max_) + " is the most";
    buffer_ = {};
    at_ = 0;
    return std::nullopt;
  }
  if (buffered() < kFrameHeader + size) return std::nullopt;
  ha::v1::Envelope envelope;
  const bool good = envelope.ParseFromArray(buffer_.data() + at_ + kFrameHeader, static_cast<int>(size));
  at_ += kFrameHeader + size;
  if (good) return envelope;
  fault_ = "a message that cannot be read";
  buffer_ = {};
  at_ = 0;
  return std::nullopt;
}

}  // namespace headgate::failover
