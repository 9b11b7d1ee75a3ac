// Addresses and prefixes as an operator writes them. Parsing and text forms are Asio's (inet_pton, RFC 5952).
#pragma once

#include <array>
#include <asio/ip/address.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace headgate::config {

using Address = asio::ip::address;

// Nothing on malformed text, on a zone ("%eth0") and on an IPv4-mapped IPv6 address, which no packet of ours carries.
std::optional<Address> parse_address(std::string_view text);

struct Prefix {
  Address address;  // may have host bits set: parse_prefix judges only the syntax
  unsigned length = 0;

  unsigned bits() const { return address.is_v4() ? 32 : 128; }
  bool contains(const Address& other) const;
  bool overlaps(const Prefix& other) const;
  Prefix network() const;
  // The address `offset` above the first one; nothing when that is outside the prefix.
  std::optional<Address> at(std::uint64_t offset) const;
  // Number of addresses, at most 2^63.
  std::uint64_t size() const;
  std::string to_string() const;
  friend bool operator==(const Prefix&, const Prefix&) = default;
};

std::optional<Prefix> parse_prefix(std::string_view text);  // the length is required

// Network or broadcast address of an IPv4 prefix shorter than /31 (RFC 3021), or subnet-router anycast address of an
// IPv6 prefix shorter than /127 (RFC 4291 2.6.1, RFC 6164): addresses that no host has.
bool is_reserved_in(const Address& address, const Prefix& prefix);

// "192.0.2.1:80", "[2001:db8::1]:80"
std::string endpoint_text(const Address& address, unsigned port);

}  // namespace headgate::config
