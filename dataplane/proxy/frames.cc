#include "dataplane/proxy/frames.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/packet/build.h"
#include "dataplane/packet/checksum.h"

namespace headgate::proxy {
namespace {

constexpr std::uint32_t kEthernetRoom = packet::kEthernetLength + packet::kVlanTagLength;
constexpr std::size_t kChecksumAt = 16;  // of the TCP header

bool congestion_experienced(const std::uint8_t* l3, packet::Network network) {
  const unsigned ecn = network == packet::Network::ipv4 ? l3[1] & 3u : (l3[1] >> 4) & 3u;
  return ecn == 3;
}

std::uint16_t swapped(std::uint16_t sum) {
  return static_cast<std::uint16_t>(sum << 8 | sum >> 8);
}

// Over header and payload, whose parts may have odd lengths (RFC 1071 2 (B): a sum at an odd place counts swapped).
std::uint16_t checksum_of(const tcp::OutSegment& segment) {
  const std::uint32_t length = std::uint32_t{segment.header_length} + segment.payload_length;
  std::uint16_t sum =
      packet::sum({segment.header.data(), segment.header_length},
                  packet::pseudo_header_sum(segment.tuple.src, segment.tuple.dst, kProtocolTcp, length));
  bool odd = false;
  for (const tcp::Slice& slice : segment.payload()) {
    const std::uint16_t part = packet::sum(slice.bytes());
    sum = packet::add(sum, odd ? swapped(part) : part);
    odd ^= (slice.length & 1) != 0;
  }
  return packet::invert(sum);
}

std::size_t headers_length(const tcp::OutSegment& segment) {
  return (segment.tuple.src.is_v4() ? packet::kIpv4Length : packet::kIpv6Length) + segment.header_length;
}

void write_headers(std::uint8_t* out, const tcp::OutSegment& segment) {
  const std::size_t ip = packet::write_ip(
      out, {.src = segment.tuple.src,
            .dst = segment.tuple.dst,
            .protocol = kProtocolTcp,
            .tos = segment.ecn,
            .payload_length = static_cast<std::uint16_t>(segment.header_length + segment.payload_length)});
  std::memcpy(out + ip, segment.header.data(), segment.header_length);
  const std::uint16_t checksum = checksum_of(segment);
  std::memcpy(out + ip + kChecksumAt, &checksum, sizeof checksum);
}

// In front of the payload, where only the send queue and the output list hold the buffer, and no driver does.
rte_mbuf* in_place(const tcp::OutSegment& segment, std::size_t headers) {
  if (segment.slice_count != 1) return nullptr;
  const tcp::Slice& slice = segment.slices[0];
  tcp::Buffer* buffer = slice.buffer;
  if (slice.offset != 0 || buffer->refs != 2 || buffer->headroom < headers + kEthernetRoom) return nullptr;
  rte_mbuf* mbuf = MbufPool::mbuf_of(buffer);
  if (rte_mbuf_refcnt_read(mbuf) != 1) return nullptr;
  std::uint8_t* start = buffer->data - headers;
  write_headers(start, segment);
  mbuf->data_off = static_cast<std::uint16_t>(start - static_cast<std::uint8_t*>(mbuf->buf_addr));
  mbuf->data_len = static_cast<std::uint16_t>(headers + slice.length);
  mbuf->pkt_len = mbuf->data_len;
  mbuf->ol_flags = 0;
  rte_mbuf_refcnt_update(mbuf, 1);
  return mbuf;
}

bool copy_payload(rte_mbuf* frame, const tcp::OutSegment& segment) {
  if (rte_pktmbuf_tailroom(frame) < segment.payload_length) return false;
  for (const tcp::Slice& slice : segment.payload()) {
    std::memcpy(rte_pktmbuf_append(frame, slice.length), slice.bytes().data(), slice.length);
  }
  return true;
}

bool chain_payload(MbufPool& pool, rte_mbuf* frame, const tcp::OutSegment& segment) {
  rte_mbuf* last = frame;
  for (const tcp::Slice& slice : segment.payload()) {
    rte_mbuf* clone = rte_pktmbuf_alloc(pool.own());
    if (clone == nullptr) return false;
    rte_mbuf* mbuf = MbufPool::mbuf_of(slice.buffer);
    rte_pktmbuf_attach(clone, mbuf);
    clone->data_off = static_cast<std::uint16_t>(slice.bytes().data() - static_cast<std::uint8_t*>(mbuf->buf_addr));
    clone->data_len = slice.length;
    clone->pkt_len = slice.length;
    clone->nb_segs = 1;
    clone->next = nullptr;
    last->next = clone;
    last = clone;
    frame->nb_segs = static_cast<std::uint16_t>(frame->nb_segs + 1);
    frame->pkt_len += slice.length;
  }
  return true;
}

}  // namespace

Added Burst::add(rte_mbuf* mbuf, const packet::PacketInfo& info) {
  tcp::Segment& segment = segments_[count_];
  const std::uint8_t* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
  const std::uint32_t l4_end = std::uint32_t{info.l4_offset} + info.l4_length;
  if (info.payload_offset > mbuf->data_len ||
      !tcp::parse_header({data + info.l4_offset, std::size_t{info.payload_offset} - info.l4_offset}, segment.header)) {
    return Added::bad_header;
  }
  segment.tuple = info.tuple;
  segment.congestion_experienced = congestion_experienced(data + info.l3_offset, info.network);
  segment.payload_length = l4_end - info.payload_offset;
  std::size_t slices = 0;
  if (segment.payload_length == 0) {
    rte_pktmbuf_free(mbuf);
  } else {
    std::size_t parts = 0;
    for (const rte_mbuf* part = mbuf; part != nullptr; part = part->next, ++parts) {
      if (!RTE_MBUF_DIRECT(part) || rte_mbuf_refcnt_read(part) != 1 || part->priv_size < kPrivateSize)
        return Added::no_buffer;
    }
    if (parts > kRxSlicesMax) return Added::no_buffer;
    std::uint32_t at = 0;  // of the frame
    for (rte_mbuf *part = mbuf, *next = nullptr; part != nullptr; part = next) {
      next = part->next;
      const std::uint32_t end = at + part->data_len;
      const std::uint32_t first = std::max<std::uint32_t>(at, info.payload_offset), last = std::min(end, l4_end);
      part->next = nullptr;
      part->nb_segs = 1;
      if (first < last) {
        tcp::Buffer* buffer = pool_.adopt(part, first - at, last - first);
        slices_[count_][slices++] = {buffer, 0, buffer->length};
      } else {
        rte_pktmbuf_free_seg(part);
      }
      at = end;
    }
  }
  segment.payload = {slices_[count_].data(), slices};
  ++count_;
  return Added::taken;
}

void Burst::clear() {
  for (std::size_t i = 0; i < count_; ++i) {
    for (const tcp::Slice& slice : segments_[i].payload) tcp::drop_reference(slice.buffer);
  }
  count_ = 0;
}

rte_mbuf* write_packet(MbufPool& pool, const tcp::OutSegment& segment, bool chains) {
  const std::size_t headers = headers_length(segment);
  if (rte_mbuf* mbuf = in_place(segment, headers)) return mbuf;
  rte_mbuf* frame = rte_pktmbuf_alloc(pool.own());
  if (frame == nullptr) return nullptr;
  auto* start = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, static_cast<std::uint16_t>(headers)));
  write_headers(start, segment);
  if (chains ? chain_payload(pool, frame, segment) : copy_payload(frame, segment)) return frame;
  rte_pktmbuf_free(frame);
  return nullptr;
}

}  // namespace headgate::proxy
