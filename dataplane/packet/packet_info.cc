#include "dataplane/packet/packet_info.h"

#include <algorithm>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/checksum.h"

namespace headgate::packet {

namespace {

// What the sum covers and begins with; or the verdict, when no sum is needed.
struct Covered {
  std::optional<bool> verdict;
  std::size_t length = 0;
  std::uint16_t start = 0;
};

// `l4`: at least the L4 header of an unfragmented IP packet.
Covered covered(const std::uint8_t* l4, const PacketInfo& info) {
  Covered out{.verdict = std::nullopt, .length = info.l4_length, .start = 0};
  const bool v4 = info.network == Network::ipv4;
  switch (info.tuple.protocol) {
    case kProtocolTcp:
      break;
    case kProtocolUdp:
      if (load_be16(l4 + 6) == 0) out.verdict = v4;
      out.length = load_be16(l4 + 4);
      break;
    case kProtocolIcmp:
      if (!v4) out.verdict = true;
      return out;
    case kProtocolIcmpv6:
      if (v4) out.verdict = true;
      break;
    default:
      out.verdict = true;
  }
  out.start =
      pseudo_header_sum(info.tuple.src, info.tuple.dst, info.tuple.protocol, static_cast<std::uint32_t>(out.length));
  return out;
}

}  // namespace

bool l4_checksum_ok(std::span<const std::uint8_t> frame, const PacketInfo& info) {
  if (!info.is_ip() || info.fragment) return true;
  if (info.l4_offset + std::size_t{info.l4_length} > frame.size()) return false;
  const std::uint8_t* l4 = frame.data() + info.l4_offset;
  const Covered what = covered(l4, info);
  return what.verdict ? *what.verdict : sum({l4, what.length}, what.start) == 0xffff;
}

void ChainSum::add(std::span<const std::uint8_t> piece) {
  if (at_ == 0) {
    if (!info_.is_ip() || info_.fragment) {
      kind_ = Kind::right;
    } else if (info_.payload_offset > piece.size()) {
      kind_ = Kind::wrong;
    } else {
      const Covered what = covered(piece.data() + info_.l4_offset, info_);
      if (what.verdict) kind_ = *what.verdict ? Kind::right : Kind::wrong;
      begin_ = info_.l4_offset;
      end_ = begin_ + what.length;
      sum_ = what.start;
    }
  }
  const std::size_t from = std::max(at_, begin_), to = std::min(at_ + piece.size(), end_);
  if (kind_ == Kind::judged && from < to) {
    std::uint16_t part = sum(piece.subspan(from - at_, to - from));
    // A piece that begins at an odd byte has its bytes in the other halves of the words (RFC 1071 2(B)).
    if ((from - begin_) % 2 != 0) part = static_cast<std::uint16_t>(part << 8 | part >> 8);
    sum_ = packet::add(sum_, part);
  }
  at_ += piece.size();
}

bool ChainSum::ok() const {
  return kind_ == Kind::right || (kind_ == Kind::judged && at_ >= end_ && sum_ == 0xffff);
}

const char* to_string(ParseError error) {
  switch (error) {
    case ParseError::none:
      return "none";
    case ParseError::truncated:
      return "truncated";
    case ParseError::bad_ethernet:
      return "bad_ethernet";
    case ParseError::bad_arp:
      return "bad_arp";
    case ParseError::bad_ip_version:
      return "bad_ip_version";
    case ParseError::bad_ip_header_length:
      return "bad_ip_header_length";
    case ParseError::bad_ip_checksum:
      return "bad_ip_checksum";
    case ParseError::bad_ip_source:
      return "bad_ip_source";
    case ParseError::bad_ip_destination:
      return "bad_ip_destination";
    case ParseError::bad_ip_options:
      return "bad_ip_options";
    case ParseError::bad_extension_header:
      return "bad_extension_header";
    case ParseError::bad_fragment:
      return "bad_fragment";
    case ParseError::bad_tcp_header:
      return "bad_tcp_header";
    case ParseError::bad_udp_header:
      return "bad_udp_header";
    case ParseError::bad_icmp_header:
      return "bad_icmp_header";
  }
  return "unknown";
}

}  // namespace headgate::packet
