#include "controlplane/config/address.h"

#include <charconv>

namespace headgate::config {
namespace {

using Bytes = std::array<std::uint8_t, 16>;  // IPv4 in the first four

Bytes bytes_of(const Address& address) {
  Bytes bytes{};
  if (address.is_v4()) {
    const auto v4 = address.to_v4().to_bytes();
    std::copy(v4.begin(), v4.end(), bytes.begin());
  } else {
    const auto v6 = address.to_v6().to_bytes();
    std::copy(v6.begin(), v6.end(), bytes.begin());
  }
  return bytes;
}

Address address_of(const Bytes& bytes, bool v4) {
  if (v4) return asio::ip::address_v4({bytes[0], bytes[1], bytes[2], bytes[3]});
  asio::ip::address_v6::bytes_type v6{};
  std::copy(bytes.begin(), bytes.end(), v6.begin());
  return asio::ip::address_v6(v6);
}

Address masked(const Address& address, unsigned length) {
  Bytes bytes = bytes_of(address);
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const unsigned kept = length > i * 8 ? std::min(length - i * 8, 8u) : 0;
    bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00u >> kept));
  }
  return address_of(bytes, address.is_v4());
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
  if (text.find('%') != std::string_view::npos) return std::nullopt;
  asio::error_code error;
  Address address = asio::ip::make_address(text, error);
  if (error || (address.is_v6() && address.to_v6().is_v4_mapped())) return std::nullopt;
  return address;
}

bool Prefix::contains(const Address& other) const {
  return other.is_v4() == address.is_v4() && masked(other, length) == masked(address, length);
}

bool Prefix::overlaps(const Prefix& other) const {
  return contains(other.address) || other.contains(address);
}

Prefix Prefix::network() const {
  return {masked(address, length), length};
}

std::uint64_t Prefix::size() const {
  return std::uint64_t{1} << std::min(bits() - length, 63u);
}

std::optional<Address> Prefix::at(std::uint64_t offset) const {
  if (offset >= size()) return std::nullopt;
  Bytes bytes = bytes_of(network().address);
  // offset < size(), so it touches host bits only and never carries.
  for (unsigned i = bits() / 8; i > 0 && offset != 0; --i, offset >>= 8) {
    bytes[i - 1] = static_cast<std::uint8_t>(bytes[i - 1] | (offset & 0xff));
  }
  return address_of(bytes, address.is_v4());
}

std::string Prefix::to_string() const {
  return address.to_string() + "/" + std::to_string(length);
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_address(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (!address || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  Prefix prefix{*address, length};
  if (length > prefix.bits()) return std::nullopt;
  return prefix;
}

bool is_reserved_in(const Address& address, const Prefix& prefix) {
  if (!prefix.contains(address) || prefix.length + 2 > prefix.bits()) return false;
  if (address == prefix.network().address) return true;
  return address.is_v4() && address == prefix.at(prefix.size() - 1);
}

std::string endpoint_text(const Address& address, unsigned port) {
  const std::string text = address.to_string();
  return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

}  // namespace headgate::config
