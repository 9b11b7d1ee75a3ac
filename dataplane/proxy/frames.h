// Frames to segments and segments to frames. Payload is not copied on the way in; on the way out headers are written
// in place before it where nobody else holds the buffer, else the frame is a chain: a buffer for the headers, and
// clones of the payload's. Checksums are computed here, over the whole chain.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/packet/packet_info.h"
#include "dataplane/proxy/limits.h"
#include "dataplane/proxy/mbuf_pool.h"
#include "dataplane/tcp/segment.h"

namespace headgate::proxy {

enum class Added : std::uint8_t {
  taken,
  bad_header,  // options that run over, a header in two buffers
  no_buffer,   // a buffer that may not be kept, or too many of them
};

// The segments of a burst on their way into the engine, in the order in which they came.
class Burst {
 public:
  explicit Burst(MbufPool& pool) : pool_(pool) {}
  ~Burst() { clear(); }
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

  bool full() const { return count_ == kBurst; }
  bool empty() const { return count_ == 0; }
  // Takes the frame over when it answers `taken`. Requires: !full(); `info` is of this frame, a whole TCP packet whose
  // checksum is right.
  Added add(rte_mbuf* mbuf, const packet::PacketInfo& info);
  std::span<const tcp::Segment> segments() const { return {segments_.data(), count_}; }
  // After the engine has seen them: what it did not keep is freed.
  void clear();

 private:
  MbufPool& pool_;
  std::size_t count_ = 0;
  std::array<tcp::Segment, kBurst> segments_;
  std::array<std::array<tcp::Slice, kRxSlicesMax>, kBurst> slices_;
};

// The IP packet of a segment, with at least 18 bytes of headroom before it for an Ethernet header; the engine's buffers
// may be part of it until the driver frees it. `chains`: whether the port takes frames of several buffers; if not, the
// payload is copied where it has to be. Null when the pool is empty, or when the segment fits no buffer without chains.
rte_mbuf* write_packet(MbufPool& pool, const tcp::OutSegment& segment, bool chains);

}  // namespace headgate::proxy
