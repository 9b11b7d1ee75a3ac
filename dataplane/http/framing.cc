#include "dataplane/http/framing.h"

#include "dataplane/http/chars.h"

namespace headgate::http {
namespace {

constexpr std::uint64_t kLengthMax = 0x7fff'ffff'ffff'ffffull;

// Members of a comma-separated list (RFC 9110 5.6.1), one after another.
class ListReader {
 public:
  explicit ListReader(std::string_view list) : rest_(list) {}

  bool next(std::string_view& member) {
    if (done_) return false;
    const std::size_t comma = rest_.find(',');
    member = trim(rest_.substr(0, comma));
    done_ = comma == std::string_view::npos;
    if (!done_) rest_.remove_prefix(comma + 1);
    return true;
  }

 private:
  std::string_view rest_;
  bool done_ = false;
};

// Fields that everybody on the way is meant to see, or that say who the client is.
bool is_protected(FieldName name) {
  switch (name) {
    case FieldName::authorization:
    case FieldName::cache_control:
    case FieldName::content_encoding:
    case FieldName::content_range:
    case FieldName::content_type:
    case FieldName::cookie:
    case FieldName::date:
    case FieldName::expect:
    case FieldName::forwarded:
    case FieldName::location:
    case FieldName::max_forwards:
    case FieldName::set_cookie:
    case FieldName::via:
    case FieldName::x_forwarded_for:
    case FieldName::x_forwarded_host:
    case FieldName::x_forwarded_port:
    case FieldName::x_forwarded_proto:
    case FieldName::x_real_ip:
      return true;
    default:
      return false;
  }
}

bool is_framing(FieldName name) {
  return name == FieldName::host || name == FieldName::content_length || name == FieldName::transfer_encoding;
}

Reason apply_option(std::string_view option, std::string_view buffer, Head& head) {
  ConnectionOptions& said = head.connection;
  if (same_ignoring_case(option, "close")) return said.close = true, Reason::none;
  if (same_ignoring_case(option, "keep-alive")) return said.keep_alive = true, Reason::none;
  if (same_ignoring_case(option, "upgrade")) return said.upgrade = true, Reason::none;
  if (same_ignoring_case(option, "te")) return said.te = true, Reason::none;
  const FieldName name = classify(option);
  if (is_framing(name)) return Reason::connection_names_framing;
  if (is_protected(name)) return Reason::none;
  for (Field& field : head.fields) {
    if (field.name == name && same_ignoring_case(field.name_in(buffer), option)) field.hop = true;
  }
  return Reason::none;
}

}  // namespace

Reason read_content_length(std::string_view value, std::uint64_t& length) {
  if (value.empty() || !all(value, kDigit)) return Reason::bad_content_length;
  std::uint64_t sum = 0;
  for (const char c : value) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (sum > (kLengthMax - digit) / 10) return Reason::bad_content_length;
    sum = sum * 10 + digit;
  }
  length = sum;
  return Reason::none;
}

Reason read_transfer_encoding(std::string_view value) {
  ListReader list(value);
  unsigned members = 0, chunked = 0;
  bool last = false;
  for (std::string_view member; list.next(member); ++members) {
    const std::string_view coding = trim(member.substr(0, member.find(';')));
    if (coding.empty() || !all(coding, kToken)) return Reason::bad_encoding;
    last = same_ignoring_case(coding, "chunked");
    chunked += last ? 1 : 0;
    if (last && coding.size() != member.size()) return Reason::bad_encoding;  // chunked has no parameters
  }
  if (chunked > 1) return Reason::repeated_encoding;
  if (chunked == 1 && !last) return Reason::chunked_not_last;
  return members == 1 && chunked == 1 ? Reason::none : Reason::encoding_unsupported;
}

Reason read_body_framing(std::string_view buffer, Head& head) {
  bool length = false, encoding = false;
  for (const Field& field : head.fields) {
    Reason reason = Reason::none;
    if (field.name == FieldName::content_length) {
      reason =
          length ? Reason::repeated_content_length : read_content_length(field.value_in(buffer), head.content_length);
      length = true;
    } else if (field.name == FieldName::transfer_encoding) {
      reason = encoding ? Reason::repeated_encoding : read_transfer_encoding(field.value_in(buffer));
      encoding = true;
    }
    if (reason != Reason::none) return reason;
  }
  if (length && encoding) return Reason::length_and_encoding;
  if (encoding && head.minor_version == 0) return Reason::encoding_in_http10;  // RFC 9112 6.1
  if (encoding) {
    head.body = BodyKind::chunked;
  } else {
    head.body = length && head.content_length != 0 ? BodyKind::length : BodyKind::none;
  }
  return Reason::none;
}

Reason read_connection(std::string_view buffer, Head& head) {
  if (!head.fields.has(FieldName::connection)) return Reason::none;
  unsigned options = 0;
  for (const Field& field : head.fields) {
    if (field.name != FieldName::connection) continue;
    ListReader list(field.value_in(buffer));
    for (std::string_view option; list.next(option);) {
      if (++options > kConnectionOptionsMax || !all(option, kToken)) return Reason::bad_connection;
      if (option.empty()) continue;
      const Reason reason = apply_option(option, buffer, head);
      if (reason != Reason::none) return reason;
    }
  }
  return Reason::none;
}

void mark_hop_by_hop(Head& head) {
  for (Field& field : head.fields) {
    switch (field.name) {
      case FieldName::connection:
      case FieldName::http2_settings:
      case FieldName::keep_alive:
      case FieldName::proxy_connection:
      case FieldName::te:
      case FieldName::transfer_encoding:
      case FieldName::upgrade:
        field.hop = true;
        break;
      default:
        break;
    }
  }
}

bool wants_keep_alive(const Head& head) {
  return !head.connection.close && (head.minor_version >= 1 || head.connection.keep_alive);
}

Slice read_upgrade(std::string_view buffer, const Head& head) {
  Slice protocol;
  if (!head.connection.upgrade || head.minor_version == 0) return protocol;  // RFC 9110 7.8
  for (const Field& field : head.fields) {
    if (field.name != FieldName::upgrade) continue;
    const std::string_view value = field.value_in(buffer);
    if (!protocol.empty() || value.find(',') != std::string_view::npos) return {};
    protocol = {field.value_at, field.value_length};
  }
  return protocol;
}

bool lists(std::string_view list, std::string_view member) {
  ListReader reader(list);
  for (std::string_view each; reader.next(each);) {
    if (same_ignoring_case(each, member)) return true;
  }
  return false;
}

ResponsePlan plan_response(const ResponseHead& head, const Exchange& exchange) {
  ResponsePlan plan;
  plan.tunnel = head.status == 101;
  if (plan.tunnel) return plan;
  const bool modern = exchange.client_minor_version >= 1;
  plan.body = head.body;
  // RFC 9112 6.1: nobody below 1.1 is sent chunks. Their body ends with the connection.
  if (head.body == BodyKind::chunked && !modern) plan.body = BodyKind::until_close;
  if (head.body == BodyKind::until_close && modern) plan.body = BodyKind::chunked;
  plan.trailers = head.body == BodyKind::chunked && modern && exchange.trailers_welcome;
  plan.keep_client = exchange.client_keep_alive && exchange.request_body_done && plan.body != BodyKind::until_close;
  // A backend that sends Content-Length or Transfer-Encoding where no body may be will send one some day.
  const bool sound = head.status != 204 || (head.content_length == 0 && !head.fields.has(FieldName::transfer_encoding));
  plan.keep_backend = head.keep_alive && exchange.request_body_done && sound && head.body != BodyKind::until_close;
  return plan;
}

}  // namespace headgate::http
