// The host of a request: what Host and the authority of a target may be (RFC 9110 7.2, RFC 3986 3.2.2), stricter than
// the grammar: names of letters, digits, "-" and "_", addresses, an optional port. No user, no percent-encoding, no
// comma: servers read those differently, and nobody needs them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace headgate::http {

struct Authority {
  std::string_view host;   // as written; an IPv6 address with its brackets
  std::uint16_t port = 0;  // 0: none given
};

// Nothing when malformed or empty.
std::optional<Authority> parse_authority(std::string_view text);

// Lower case, without the dot of a fully qualified name. Requires: out.size() >= host.size(), host from
// parse_authority(). When the host is in this form already, it is the result and `out` is not touched.
std::string_view normal_host(std::string_view host, std::span<char> out);

// Whether both mean the same, where `scheme_port` is the port of one that names none.
bool same_authority(const Authority& a, const Authority& b, std::uint16_t scheme_port);

}  // namespace headgate::http
