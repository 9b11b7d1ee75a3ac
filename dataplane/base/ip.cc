#include "dataplane/base/ip.h"

#include <arpa/inet.h>

#include <charconv>

namespace headgate {

IpAddress IpAddress::masked(unsigned length) const {
  const unsigned bits = is_v4() ? 96 + (length > 32 ? 32 : length) : (length > 128 ? 128 : length);
  IpAddress out = *this;
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned first = i * 8;
    if (first >= bits) {
      out.bytes[i] = 0;
    } else if (first + 8 > bits) {
      out.bytes[i] = static_cast<std::uint8_t>(out.bytes[i] & (0xff00u >> (bits - first)));
    }
  }
  return out;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  std::uint8_t raw[16];
  if (inet_pton(AF_INET, terminated.c_str(), raw) == 1) return IpAddress::load_v4(raw);
  if (inet_pton(AF_INET6, terminated.c_str(), raw) == 1) {
    const IpAddress address = IpAddress::load_v6(raw);
    if (address.is_v4()) return std::nullopt;
    return address;
  }
  return std::nullopt;
}

std::optional<IpPrefix> parse_prefix(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned longest = address->is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return IpPrefix{*address, static_cast<std::uint8_t>(longest)};
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || length > longest) {
    return std::nullopt;
  }
  return IpPrefix{*address, static_cast<std::uint8_t>(length)};
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.is_v4()) {
    inet_ntop(AF_INET, address.v4_bytes(), text, sizeof text);
  } else {
    inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
  }
  return text;
}

std::string to_string(const IpPrefix& prefix) {
  return to_string(prefix.address) + "/" + std::to_string(prefix.length);
}

}  // namespace headgate
