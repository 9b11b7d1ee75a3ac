// Every byte string a wire can carry: parse, checksum, quoted packet, MSS. Each function gets a heap copy of exactly
// the bytes it may read, so that AddressSanitizer sees one byte too far; the rest are the invariants of packet_info.h.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/mss.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/packet/summary.h"

namespace {

using namespace headgate;          // NOLINT: a program, not a header
using namespace headgate::packet;  // NOLINT

class ExactCopy {
 public:
  explicit ExactCopy(std::span<const std::uint8_t> bytes)
      : bytes_(std::make_unique<std::uint8_t[]>(bytes.size())), size_(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), bytes_.get());
  }
  std::span<std::uint8_t> span() { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_;
};

void check_offsets(const PacketInfo& info) {
  HEADGATE_CHECK(info.l3_offset <= info.frame_length);
  if (!info.is_ip()) return;
  const unsigned end = info.l3_offset + info.l3_length;
  HEADGATE_CHECK(end <= info.frame_length);
  HEADGATE_CHECK(info.l4_offset > info.l3_offset && info.l4_offset + info.l4_length == end);
  HEADGATE_CHECK(info.payload_offset >= info.l4_offset && info.payload_offset <= end);
  HEADGATE_CHECK(!info.tuple.src.is_multicast() && !info.tuple.src.is_loopback() && !info.tuple.src.is_broadcast());
  HEADGATE_CHECK(info.tuple.src.is_v4() == (info.network == Network::ipv4));
  HEADGATE_CHECK(info.tuple.src.is_v4() == info.tuple.dst.is_v4());
  HEADGATE_CHECK(!info.later_fragment() || (info.fragment && info.tuple.src_port == 0 && info.tuple.dst_port == 0));
  HEADGATE_CHECK(!(info.icmp_error && (info.icmp_query || info.fragment)));
  HEADGATE_CHECK(info.tcp_flags == 0 || info.tuple.protocol == kProtocolTcp);
}

void check_quoted(std::span<const std::uint8_t> frame, const PacketInfo& info) {
  const auto quoted = parse_quoted(frame, info);
  if (!quoted) return;
  HEADGATE_CHECK(quoted->l3_offset == info.payload_offset);
  HEADGATE_CHECK(quoted->l4_offset + 8u <= quoted->l3_offset + unsigned{quoted->available});
  HEADGATE_CHECK(quoted->l3_offset + unsigned{quoted->available} <= info.l3_offset + unsigned{info.l3_length});
}

// Clamping must neither change the verdict on the checksum nor change anything twice.
void check_mss(std::span<const std::uint8_t> frame, const PacketInfo& info) {
  ExactCopy changed(frame);
  const auto tcp = changed.span().subspan(info.l4_offset, info.payload_offset - info.l4_offset);
  ExactCopy header(tcp);
  clamp_mss(header.span(), 1200);
  std::copy(header.span().begin(), header.span().end(), tcp.begin());
  HEADGATE_CHECK(!clamp_mss(tcp, 1200));
  if (!info.fragment) HEADGATE_CHECK(l4_checksum_ok(frame, info) == l4_checksum_ok(changed.span(), info));
}

// A frame in pieces has the verdict of the whole one. The first piece holds the headers that were parsed.
void check_chain(std::span<const std::uint8_t> frame, const PacketInfo& info) {
  const std::size_t first =
      std::min<std::size_t>(frame.size(), std::max<std::size_t>(info.payload_offset, 1) + frame.back() % 3);
  const std::size_t second = (frame.size() - first) * (frame.front() % 4) / 4;
  ChainSum chain(info);
  for (const auto piece : {frame.first(first), frame.subspan(first, second), frame.subspan(first + second)}) {
    ExactCopy copy(piece);
    chain.add(copy.span());
  }
  HEADGATE_CHECK(chain.ok() == l4_checksum_ok(frame, info));
  // Only a part of it: never right by accident of what is missing.
  ChainSum cut(info);
  ExactCopy part(frame.first(frame.back() % frame.size()));
  cut.add(part.span());
  cut.ok();
}

// A window of the frame gives the same answer or "truncated".
void check_window(std::span<const std::uint8_t> frame, ParseError whole_error, const PacketInfo& whole) {
  ExactCopy window(frame.first(frame.empty() ? 0 : frame.back() % frame.size()));
  PacketInfo info;
  const ParseError error = parse(window.span(), frame.size(), info);
  if (error == ParseError::truncated) return;
  HEADGATE_CHECK(error == whole_error);
  if (error != ParseError::none) return;
  HEADGATE_CHECK(info.tuple == whole.tuple && info.payload_offset == whole.payload_offset);
  HEADGATE_CHECK(info.l4_offset == whole.l4_offset && info.l4_length == whole.l4_length);
}

#ifdef HEADGATE_PLANTED_BUG
// A stage that reads VRRP (RFC 9568 5.1) and believes the number of addresses in it. No kept corpus file is VRRP, so
// tests/fuzz/planted shows that the search finds it.
void careless_stage(std::span<const std::uint8_t> frame, const PacketInfo& info) {
  if (info.tuple.protocol != kProtocolVrrp || info.l4_length < 8) return;
  const std::uint8_t* vrrp = frame.data() + info.l4_offset;
  sum({vrrp, 8 + vrrp[3] * std::size_t{4}});
}
#else
void careless_stage(std::span<const std::uint8_t>, const PacketInfo&) {}
#endif

void check_frame(std::span<const std::uint8_t> frame) {
  PacketInfo info;
  const ParseError error = parse(frame, frame.size(), info);
  HEADGATE_CHECK(to_string(error)[0] != 'u');  // every verdict has a name
  check_window(frame, error, info);
  ExactCopy cut(frame.first(frame.size() / 2));
  HEADGATE_CHECK(!summary(frame, frame.size()).empty() && !summary(cut.span(), frame.size()).empty());
  if (error != ParseError::none) return;
  check_offsets(info);
  check_chain(frame, info);
  if (info.icmp_error) check_quoted(frame, info);
  if (!info.is_ip() || info.later_fragment()) return;
  if (info.tuple.protocol == kProtocolTcp) check_mss(frame, info);
  careless_stage(frame, info);
}

// The checksum would hide nearly everything behind it from mutation. True when there was one to correct.
bool correct_ipv4_checksum(std::span<std::uint8_t> frame) {
  PacketInfo info;
  if (parse(frame, frame.size(), info) != ParseError::bad_ip_checksum) return false;
  std::uint8_t* ip = frame.data() + info.l3_offset;
  store_be16(ip + 10, 0);
  const std::uint16_t checksum = invert(sum({ip, (ip[0] & 15) * std::size_t{4}}));
  std::memcpy(ip + 10, &checksum, 2);
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ExactCopy frame({data, size});
  check_frame(frame.span());
  if (correct_ipv4_checksum(frame.span())) check_frame(frame.span());
  return 0;
}
