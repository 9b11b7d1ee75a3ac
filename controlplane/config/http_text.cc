#include "controlplane/config/http_text.h"

#include <algorithm>
#include <array>

#include "controlplane/config/address.h"

namespace headgate::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_letter(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z');
}
char lower(char c) {
  return is_upper(c) ? static_cast<char>(c + 32) : c;
}
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}
// Of the target of a request: visible ASCII but "#", which no client sends.
bool is_target(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](const char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}
bool is_unreserved(char c) {  // RFC 3986 2.3
  return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}
int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string_view without_dot(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

bool is_host_name(std::string_view host) {
  bool empty_label = true;
  for (const char c : without_dot(host)) {
    if (c == '.' && empty_label) return false;
    empty_label = c == '.';
    if (c != '.' && !is_letter(c) && !is_digit(c) && c != '-' && c != '_') return false;
  }
  return !empty_label;
}

bool is_v6_literal(std::string_view host) {
  if (!host.starts_with('[') || !host.ends_with(']')) return false;
  const auto address = parse_address(host.substr(1, host.size() - 2));
  return address && address->is_v6();
}

// 1 to 65535; 0: not a port.
std::uint16_t parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit)) return 0;
  unsigned port = 0;
  for (const char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  return port <= 65535 ? static_cast<std::uint16_t>(port) : std::uint16_t{0};
}

tl::unexpected<FormatProblem> wrong(std::string what, std::string action) {
  return tl::unexpected(FormatProblem{std::move(what), std::move(action)});
}

std::string quote(const std::string& text) {
  return "\"" + text + "\"";
}

// The percent-encoding that `text` begins with; what is wrong with it: malformed, or of a byte that servers take for
// the end or for a separator.
HttpText<char> decode(std::string_view text) {
  const int high = text.size() < 3 ? -1 : hex_value(text[1]), low = text.size() < 3 ? -1 : hex_value(text[2]);
  if (high < 0 || low < 0) return wrong("has a % without two hexadecimal digits behind it", "write %25 for a %");
  const char c = static_cast<char>(high << 4 | low);
  if (c == 0 || c == '/' || c == '\\') {
    return wrong("has an encoded zero byte, slash or backslash, and requests with one are refused", "leave it out");
  }
  return c;
}

// A segment of a path as it is forwarded: only what has to be encoded is, so that "%2e%2e" is "..".
HttpText<std::string> normal_segment(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') return wrong("has a backslash, and requests with one are refused", "use /");
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto decoded = decode(text.substr(i));
    if (!decoded) return tl::unexpected(decoded.error());
    if (is_unreserved(*decoded)) {
      out += *decoded;
    } else {
      out += text.substr(i, 3);
    }
    i += 2;
  }
  return out;
}

// Requires: all percent-encodings are well-formed.
std::string decoded_whole(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      out += *decode(text.substr(i));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Without dot segments and empty ones. Requires: begins with '/'.
HttpText<std::string> normal_path(std::string_view path) {
  std::string out = "/";
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const auto segment = normal_segment(path.substr(at, end - at));
    if (!segment) return tl::unexpected(segment.error());
    if (*segment == "..") {
      if (out.size() == 1) return wrong("leads above the root", "remove the \"..\"");
      out.erase(out.rfind('/', out.size() - 2) + 1);
    } else if (!segment->empty() && *segment != ".") {
      out += *segment;
      if (end != path.size()) out += '/';
    }
    at = end + 1;
  }
  return decoded_whole(out);
}

// Headers that frame messages or belong to one connection: rules that touched them would break messages.
constexpr std::array<std::string_view, 11> kFraming{
    "connection", "content-length",    "expect",           "http2-settings",
    "keep-alive", "max-forwards",      "proxy-connection", "te",
    "trailer",    "transfer-encoding", "upgrade"};

struct Option {
  std::string_view header, field;
};
constexpr std::array kForwarding{
    Option{"forwarded", "forwarded"},
    Option{"x-forwarded-for", "x_forwarded_for"},
    Option{"x-forwarded-host", "x_forwarded_host"},
    Option{"x-forwarded-port", "x_forwarded_port"},
    Option{"x-forwarded-proto", "x_forwarded_proto"},
};

constexpr std::array<std::string_view, 9> kVariables{"client_ip", "client_port", "service_ip", "service_port", "scheme",
                                                     "host",      "method",      "path",       "request_id"};

}  // namespace

bool is_http_token(std::string_view text) {  // RFC 9110 5.6.2
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](const char c) {
    return is_letter(c) || is_digit(c) || kOthers.find(c) != std::string_view::npos;
  });
}

bool is_http_header_value(std::string_view text) {  // RFC 9110 5.5
  return std::all_of(text.begin(), text.end(), [](const char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

std::optional<HttpAuthority> parse_http_authority(std::string_view text) {
  HttpAuthority result;
  std::string_view host = text;
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    host = text.substr(0, colon);
    result.port = parse_port(text.substr(colon + 1));
    if (result.port == 0) return std::nullopt;
  }
  if (host.size() > kHttpHostMax || (!is_host_name(host) && !is_v6_literal(host))) return std::nullopt;
  result.host = lower(without_dot(host));
  return result;
}

HttpText<std::string> normal_route_host(const std::string& host) {
  const bool wildcard = host.starts_with("*.");
  const auto authority = parse_http_authority(wildcard ? host.substr(2) : host);
  if (!authority || authority->port != 0 || (wildcard && authority->host.starts_with('['))) {
    return wrong(quote(host) + " is no host of a route",
                 "write it like www.example.com or *.example.com, without port");
  }
  if (!wildcard) return authority->host;
  const auto labels = static_cast<std::size_t>(std::ranges::count(authority->host, '.')) + 1;
  if (labels > kHttpWildcardDepthMax) {
    return wrong(quote(host) + " has " + std::to_string(labels) + " labels behind its \"*.\"",
                 "use at most " + std::to_string(kHttpWildcardDepthMax));
  }
  return "." + authority->host;
}

HttpText<std::string> normal_route_path(const std::string& path, HttpPath kind) {
  if (!path.starts_with('/') || !is_target(path) || path.find_first_of("?;") != std::string::npos) {
    return wrong(quote(path) + " is no path of a route",
                 "begin it with '/', leave out '?' and ';' and what is behind them, and write spaces and what is not "
                 "ASCII as %XX");
  }
  if (path.size() > kHttpTextMax) {
    return wrong("the path has " + std::to_string(path.size()) + " bytes",
                 "use at most " + std::to_string(kHttpTextMax));
  }
  auto normal = normal_path(path);
  if (!normal) return wrong(quote(path) + " " + normal.error().what, normal.error().action);
  if (kind == HttpPath::exact) return normal;
  if (normal->ends_with('/')) normal->pop_back();
  const auto depth = static_cast<std::size_t>(std::ranges::count(*normal, '/'));
  if (depth > kHttpPrefixDepthMax) {
    return wrong(quote(path) + " has " + std::to_string(depth) + " segments",
                 "use at most " + std::to_string(kHttpPrefixDepthMax));
  }
  return normal;
}

std::optional<FormatProblem> redirect_path_problem(const std::string& path) {
  if (!path.starts_with('/') || !is_target(path)) {
    return FormatProblem{quote(path) + " is no path of a redirect",
                         "begin it with '/' and write spaces and what is not ASCII as %XX"};
  }
  if (path.size() > kHttpTextMax) {
    return FormatProblem{"the path has " + std::to_string(path.size()) + " bytes",
                         "use at most " + std::to_string(kHttpTextMax)};
  }
  return std::nullopt;
}

std::optional<FormatProblem> header_name_problem(const v1::Http::HeaderRule& rule) {
  const std::string name = lower(rule.name());
  if (std::ranges::find(kFraming, name) != kFraming.end()) {
    return FormatProblem{
        "no rule may touch header " + quote(rule.name()) + ": it frames messages or belongs to one connection",
        "remove the rule"};
  }
  const auto option = std::ranges::find(kForwarding, name, &Option::header);
  if (option != kForwarding.end()) {
    return FormatProblem{"no rule may touch header " + quote(rule.name()) + ": it tells who the client is",
                         "use " + std::string(option->field) + " of http, and trusted_proxy"};
  }
  if (name == "via") {
    return FormatProblem{"no rule may touch header " + quote(rule.name()) + ": this box writes it itself",
                         "remove the rule"};
  }
  if (name == "host" && rule.action() != v1::Http::HeaderRule::SET) {
    return FormatProblem{"a request has exactly one host", "use action: SET"};
  }
  return std::nullopt;
}

std::optional<FormatProblem> header_value_problem(const std::string& value) {
  if (!is_http_header_value(value)) {
    return FormatProblem{"the value has a control byte", "leave out line ends and the like"};
  }
  for (std::size_t at = value.find("${"); at != std::string::npos;) {
    const std::size_t end = value.find('}', at);
    if (end == std::string::npos) return FormatProblem{"the value has a \"${\" without its \"}\"", "close it"};
    const std::string name = value.substr(at + 2, end - at - 2);
    if (std::ranges::find(kVariables, name) == kVariables.end()) {
      std::string all;
      for (const std::string_view known : kVariables) all += (all.empty() ? "" : ", ") + std::string(known);
      return FormatProblem{"there is no variable " + quote(name), "possible are " + all};
    }
    at = value.find("${", end);
  }
  return std::nullopt;
}

}  // namespace headgate::config
