#include "dataplane/base/tuple.h"

namespace headgate {
namespace {

std::string protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case kProtocolTcp:
      return "tcp";
    case kProtocolUdp:
      return "udp";
    case kProtocolIcmp:
      return "icmp";
    case kProtocolIcmpv6:
      return "icmpv6";
    default:
      return "protocol-" + std::to_string(protocol);
  }
}

std::string endpoint(const IpAddress& address, std::uint16_t port) {
  const std::string text = to_string(address);
  return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

}  // namespace

std::string to_string(const Tuple& tuple) {
  return protocol_name(tuple.protocol) + " " + endpoint(tuple.src, tuple.src_port) + " > " +
         endpoint(tuple.dst, tuple.dst_port);
}

}  // namespace headgate
