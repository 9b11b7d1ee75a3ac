#include "dataplane/proxy/header.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/ip.h"

namespace headgate::proxy {
namespace {

constexpr std::array<std::uint8_t, 12> kSignature{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                  0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr std::uint8_t kVersion2Proxy = 0x21, kTcp4 = 0x11, kTcp6 = 0x21;

std::size_t write_v1(HeaderBytes& out, const Tuple& from) {
  const int length = std::snprintf(reinterpret_cast<char*>(out.data()), out.size(), "PROXY %s %s %s %u %u\r\n",
                                   from.src.is_v4() ? "TCP4" : "TCP6", to_string(from.src).c_str(),
                                   to_string(from.dst).c_str(), unsigned{from.src_port}, unsigned{from.dst_port});
  return static_cast<std::size_t>(length);
}

std::size_t write_v2(HeaderBytes& out, const Tuple& from) {
  const bool v4 = from.src.is_v4();
  const std::size_t size = v4 ? 4 : 16;
  std::uint8_t* at = std::copy(kSignature.begin(), kSignature.end(), out.data());
  *at++ = kVersion2Proxy;
  *at++ = v4 ? kTcp4 : kTcp6;
  store_be16(at, static_cast<std::uint16_t>(2 * size + 4));
  at += 2;
  for (const IpAddress* address : {&from.src, &from.dst}) {
    std::memcpy(at, address->bytes.data() + (16 - size), size);
    at += size;
  }
  store_be16(at, from.src_port);
  store_be16(at + 2, from.dst_port);
  return static_cast<std::size_t>(at + 4 - out.data());
}

constexpr std::string_view kV1Start = "PROXY ";

ParsedHeader refused() {
  return {.verdict = HeaderVerdict::refused};
}

// The text up to the next blank, which is taken as well; nothing when there is none.
std::optional<std::string_view> word(std::string_view& line) {
  const std::size_t end = line.find(' ');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view found = line.substr(0, end);
  line.remove_prefix(end + 1);
  return found;
}

// Decimal, 0 to 65535, no signs and no leading zeros (section 2.1).
std::optional<std::uint16_t> port(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (value > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

// Section 2.1. The line without its CRLF, after "PROXY ".
std::optional<Tuple> parse_v1_line(std::string_view line) {
  const auto family = word(line), source = word(line), destination = word(line), source_port = word(line);
  if (!family || !source || !destination || !source_port) return std::nullopt;
  if (*family != "TCP4" && *family != "TCP6") return std::nullopt;
  const auto src = parse_ip(*source), dst = parse_ip(*destination);
  const auto from_port = port(*source_port), to_port = port(line);
  if (!src || !dst || !from_port || !to_port) return std::nullopt;
  const bool v4 = *family == "TCP4";
  if (src->is_v4() != v4 || dst->is_v4() != v4) return std::nullopt;
  return Tuple{*src, *dst, *from_port, *to_port, kProtocolTcp};
}

ParsedHeader parse_v1(std::string_view text) {
  // The first CR ends it, or nothing does.
  const std::size_t end = text.substr(0, kHeaderV1Max - 1).find('\r');
  if (end == std::string_view::npos) return text.size() >= kHeaderV1Max - 1 ? refused() : ParsedHeader{};
  if (end + 1 == text.size()) return {};
  if (text[end + 1] != '\n') return refused();
  const std::string_view line = text.substr(kV1Start.size(), end - kV1Start.size());
  ParsedHeader out{.verdict = HeaderVerdict::complete, .length = end + 2};
  // Whatever stands behind UNKNOWN is to be ignored.
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return out;
  out.from = parse_v1_line(line);
  return out.from ? out : refused();
}

ParsedHeader parse_v2(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kFixed = 16;
  if (bytes.size() > 12 && (bytes[12] & 0xf0) != 0x20) return refused();
  if (bytes.size() > 12 && (bytes[12] & 0x0f) > 1) return refused();
  if (bytes.size() < kFixed) return {};
  const std::size_t length = kFixed + load_be16(bytes.data() + 14);
  if (length > kHeaderV2Max) return refused();
  const bool local = (bytes[12] & 0x0f) == 0;
  const std::uint8_t family = bytes[13];
  const std::size_t size = family == kTcp4 ? 4 : 16;
  const bool tcp = family == kTcp4 || family == kTcp6;
  if (!local && tcp && length < kFixed + 2 * size + 4) return refused();
  if (!local && ((family >> 4) > 3 || (family & 0x0f) > 2)) return refused();
  if (bytes.size() < length) return {};
  ParsedHeader out{.verdict = HeaderVerdict::complete, .length = length};
  if (local || !tcp) return out;
  const auto address = [&](const std::uint8_t* at) {
    if (size == 4) return IpAddress::from_v4(load_be32(at));
    IpAddress v6;
    std::memcpy(v6.bytes.data(), at, 16);
    return v6;
  };
  const std::uint8_t* at = bytes.data() + kFixed;
  out.from =
      Tuple{address(at), address(at + size), load_be16(at + 2 * size), load_be16(at + 2 * size + 2), kProtocolTcp};
  // An IPv4 address in IPv6 form would be of the other family for everything behind.
  if (size == 16 && (out.from->src.is_v4() || out.from->dst.is_v4())) return refused();
  return out;
}

}  // namespace

ParsedHeader parse_header(std::span<const std::uint8_t> bytes) {
  bytes = bytes.first(std::min(bytes.size(), kHeaderV2Max));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.substr(0, kV1Start.size()) == kV1Start.substr(0, text.size()))
    return text.size() < kV1Start.size() ? ParsedHeader{} : parse_v1(text);
  const std::size_t compared = std::min(bytes.size(), kSignature.size());
  if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(compared), kSignature.begin()))
    return refused();
  return parse_v2(bytes);
}

std::size_t write_header(HeaderBytes& out, snapshot::ProxyHeader version, const Tuple& from) {
  return version == snapshot::ProxyHeader::v1 ? write_v1(out, from) : write_v2(out, from);
}

}  // namespace headgate::proxy
