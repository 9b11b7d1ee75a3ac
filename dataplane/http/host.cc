#include "dataplane/http/host.h"

#include "dataplane/base/check.h"
#include "dataplane/base/ip.h"
#include "dataplane/http/chars.h"
#include "dataplane/http/limits.h"

namespace headgate::http {
namespace {

std::string_view without_dot(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

bool is_name(std::string_view host) {
  host = without_dot(host);
  bool empty_label = true;
  for (const char c : host) {
    if (c == '.') {
      if (empty_label) return false;
      empty_label = true;
    } else {
      if (!is(c, kHostLabel)) return false;
      empty_label = false;
    }
  }
  return !empty_label;
}

bool is_v6_literal(std::string_view host) {
  if (!host.starts_with('[') || !host.ends_with(']')) return false;
  const auto address = parse_ip(host.substr(1, host.size() - 2));
  return address && !address->is_v4();
}

// 1 to 65535; 0: not a port.
std::uint16_t parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || !all(text, kDigit)) return 0;
  unsigned port = 0;
  for (const char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  return port <= 65535 ? static_cast<std::uint16_t>(port) : std::uint16_t{0};
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  Authority result{text};
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    result.host = text.substr(0, colon);
    result.port = parse_port(text.substr(colon + 1));
    if (result.port == 0) return std::nullopt;
  }
  if (result.host.size() > kHostMax) return std::nullopt;
  if (!is_name(result.host) && !is_v6_literal(result.host)) return std::nullopt;
  return result;
}

std::string_view normal_host(std::string_view host, std::span<char> out) {
  HEADGATE_CHECK(out.size() >= host.size());
  host = without_dot(host);
  std::size_t i = 0;
  while (i < host.size() && !is(host[i], kUpper)) ++i;
  if (i == host.size()) return host;
  for (i = 0; i < host.size(); ++i) out[i] = lower(host[i]);
  return {out.data(), host.size()};
}

bool same_authority(const Authority& a, const Authority& b, std::uint16_t scheme_port) {
  const auto port = [&](const Authority& authority) { return authority.port == 0 ? scheme_port : authority.port; };
  return port(a) == port(b) && same_ignoring_case(without_dot(a.host), without_dot(b.host));
}

}  // namespace headgate::http
