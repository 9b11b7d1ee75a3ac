#include "dataplane/http/forwarded.h"

#include <algorithm>
#include <optional>

#include "dataplane/http/chars.h"

namespace headgate::http {
namespace {

unsigned count(const RequestHead& head, FieldName name) {
  if (!head.fields.has(name)) return 0;
  return static_cast<unsigned>(std::ranges::count(head.fields, name, &Field::name));
}

// All received values of a list, each with ", " behind it.
void write_received(std::string_view buffer, const RequestHead& head, FieldName name, HeadWriter& writer) {
  if (!head.fields.has(name)) return;
  for (const Field& field : head.fields) {
    if (field.name == name && field.value_length != 0) writer.keep(field.value_in(buffer)).text(", ");
  }
}

// RFC 7239 4 and 6: IPv6 in brackets and, for the brackets, in quotes.
void write_node(const IpAddress& address, HeadWriter& writer) {
  if (address.is_v4()) {
    writer.address(address);
  } else {
    writer.text("\"[").address(address).text("]\"");
  }
}

void write_rfc7239(bool trusted, std::string_view buffer, const RequestHead& head, const RequestContext& context,
                   HeadWriter& writer) {
  writer.text("Forwarded: ");
  if (trusted) write_received(buffer, head, FieldName::forwarded, writer);
  writer.text("for=");
  write_node(context.client, writer);
  // A host that parse_authority() took has no quotes or backslashes.
  if (!context.host.empty()) writer.text(";host=\"").value(context.host).text("\"");
  writer.text(context.secure ? ";proto=https\r\n" : ";proto=http\r\n");
}

std::optional<IpAddress> parse_hop(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  return parse_ip(text);
}

}  // namespace

bool ForwardedOptions::trusts(const IpAddress& peer) const {
  return std::ranges::any_of(trusted, [&](const IpPrefix& prefix) { return prefix.contains(peer); });
}

bool replaces_forwarded(const ForwardedOptions& options, bool trusted, const RequestHead& head, FieldName name) {
  switch (name) {
    case FieldName::x_forwarded_for:
      return !trusted || options.x_forwarded_for;
    case FieldName::forwarded:
      return !trusted || options.forwarded;
    case FieldName::x_forwarded_proto:
    case FieldName::x_forwarded_port:
    case FieldName::x_forwarded_host:
      return !trusted || count(head, name) > 1;
    case FieldName::x_real_ip:
      return !trusted;
    default:
      return false;
  }
}

void write_forwarded(const ForwardedOptions& options, bool trusted, std::string_view buffer, const RequestHead& head,
                     const RequestContext& context, HeadWriter& writer) {
  if (options.x_forwarded_for) {
    writer.text("X-Forwarded-For: ");
    if (trusted) write_received(buffer, head, FieldName::x_forwarded_for, writer);
    writer.address(context.client).text("\r\n");
  }
  const auto kept = [&](FieldName name) { return trusted && count(head, name) == 1; };
  if (options.x_forwarded_proto && !kept(FieldName::x_forwarded_proto)) {
    writer.text(context.secure ? "X-Forwarded-Proto: https\r\n" : "X-Forwarded-Proto: http\r\n");
  }
  if (options.x_forwarded_port && !kept(FieldName::x_forwarded_port)) {
    writer.text("X-Forwarded-Port: ").number(context.service_port).text("\r\n");
  }
  if (options.x_forwarded_host && !kept(FieldName::x_forwarded_host) && !context.host.empty()) {
    writer.line("X-Forwarded-Host", context.host);
  }
  if (options.forwarded) write_rfc7239(trusted, buffer, head, context, writer);
}

IpAddress effective_client(const ForwardedOptions& options, std::string_view buffer, const RequestHead& head,
                           const IpAddress& peer) {
  IpAddress client = peer;
  if (!head.fields.has(FieldName::x_forwarded_for)) return client;
  for (std::size_t i = head.fields.count; i-- > 0 && options.trusts(client);) {
    const Field& field = head.fields.fields[i];
    if (field.name != FieldName::x_forwarded_for) continue;
    std::string_view rest = field.value_in(buffer);
    while (options.trusts(client)) {
      const std::size_t comma = rest.rfind(',');
      const auto hop = parse_hop(trim(rest.substr(comma == std::string_view::npos ? 0 : comma + 1)));
      if (!hop) return client;
      client = *hop;
      if (comma == std::string_view::npos) break;
      rest = rest.substr(0, comma);
    }
  }
  return client;
}

}  // namespace headgate::http
