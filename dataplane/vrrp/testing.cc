#include "dataplane/vrrp/testing.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"

namespace headgate::vrrp::testing {

IpAddress ip(const char* text) {
  const auto parsed = parse_ip(text);
  HEADGATE_CHECK(parsed.has_value());
  return *parsed;
}

std::vector<IpAddress> ips(std::initializer_list<const char*> texts) {
  std::vector<IpAddress> result;
  for (const char* text : texts) result.push_back(ip(text));
  return result;
}

Bytes wire(const std::vector<IpAddress>& addresses) {
  Bytes result;
  for (const IpAddress& address : addresses) {
    const auto begin = address.bytes.begin() + (address.is_v4() ? 12 : 0);
    result.insert(result.end(), begin, address.bytes.end());
  }
  return result;
}

Packet take_apart(Bytes frame) {
  Packet packet{.frame = std::move(frame)};
  const std::uint8_t* bytes = packet.frame.data();
  packet.ip_at = load_be16(bytes + 12) == 0x8100 ? 18 : 14;
  const std::uint8_t* header = bytes + packet.ip_at;
  switch (load_be16(header - 2)) {
    case 0x0800:
      packet.message_at = packet.ip_at + (header[0] & 15) * 4u;
      packet.message_length = packet.ip_at + load_be16(header + 2) - packet.message_at;
      packet.protocol = header[9];
      packet.carrier = {IpAddress::load_v4(header + 12), IpAddress::load_v4(header + 16), header[8]};
      break;
    case 0x86dd:
      packet.message_at = packet.ip_at + 40;
      packet.message_length = load_be16(header + 4);
      packet.protocol = header[6];
      packet.carrier = {IpAddress::load_v6(header + 8), IpAddress::load_v6(header + 24), header[7]};
      break;
    default:
      break;
  }
  return packet;
}

std::vector<Packet> read_pcap(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const Bytes bytes{std::istreambuf_iterator<char>(file), {}};
  constexpr std::size_t kFileHeader = 24, kRecordHeader = 16;
  if (bytes.size() < kFileHeader) throw std::runtime_error("no capture file: " + path);
  std::vector<Packet> packets;
  for (std::size_t at = kFileHeader; at + kRecordHeader <= bytes.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, &bytes[at + 8], 4);
    at += kRecordHeader;
    if (at + length > bytes.size()) throw std::runtime_error("cut capture file: " + path);
    packets.push_back(take_apart(
        {bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + length)}));
    at += length;
  }
  return packets;
}

}  // namespace headgate::vrrp::testing
