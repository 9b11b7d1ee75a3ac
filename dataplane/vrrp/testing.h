// For tests of adverts and groups: addresses as text, adverts as bytes, and the packets of small capture files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataplane/vrrp/group.h"
#include "dataplane/vrrp/wire.h"

namespace headgate::vrrp::testing {

using Bytes = std::vector<std::uint8_t>;

IpAddress ip(const char* text);  // aborts on what is no address
std::vector<IpAddress> ips(std::initializer_list<const char*> texts);
Bytes wire(const std::vector<IpAddress>& addresses);  // as Advert::addresses has them

// An IP packet that carries VRRP, taken apart after the RFCs and not by code of the product.
struct Packet {
  Bytes frame;
  std::size_t ip_at = 0, message_at = 0, message_length = 0;
  std::uint8_t protocol = 0;
  Carrier carrier{};
  std::span<const std::uint8_t> message() const { return std::span(frame).subspan(message_at, message_length); }
};
Packet take_apart(Bytes frame);                          // protocol 0: neither IPv4 nor IPv6
std::vector<Packet> read_pcap(const std::string& path);  // all frames; classic pcap, little endian; throws

}  // namespace headgate::vrrp::testing
