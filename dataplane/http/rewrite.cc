#include "dataplane/http/rewrite.h"

#include <functional>

#include "dataplane/base/check.h"
#include "dataplane/http/chars.h"
#include "dataplane/http/cookie.h"

namespace headgate::http {
namespace {

constexpr std::string_view kVersion = "HTTP/1.1";
constexpr std::string_view kLineEnd = "\r\n";

bool is_inside(std::string_view part, std::string_view whole) {
  const std::less_equal<> before;
  return before(whole.begin(), part.begin()) && before(part.end(), whole.end());
}

void write_request_line(std::string_view path, std::string_view buffer, const RequestHead& head, HeadWriter& writer) {
  const bool same_path = head.form == TargetForm::origin && path == head.path.of(buffer);
  const std::string_view line = head.line.of(buffer);
  if (same_path && line.substr(0, line.size() - 2).ends_with(kVersion)) {
    writer.keep(line);
    return;
  }
  writer.keep(line.substr(0, head.method_text.length + std::size_t{1}));
  // RFC 9112 3.2.4: OPTIONS for a whole server, which came with its name.
  const bool server =
      head.form == TargetForm::asterisk || (head.method == Method::options && head.path.empty() && head.query.empty());
  if (server) {
    writer.text("*");
  } else if (is_inside(path, buffer)) {
    writer.keep(path);
  } else {
    writer.target(path.empty() ? "/" : path);
  }
  writer.keep(head.query.of(buffer)).text(" ").text(kVersion).text(kLineEnd);
}

// RFC 9110 7.2: exactly one. Where the client named none, the address it connected to.
void write_host(const RequestContext& context, std::string_view buffer, const RequestHead& head, HeadWriter& writer) {
  writer.text("Host: ");
  if (!head.authority.empty()) {
    writer.keep(head.authority.of(buffer));
  } else {
    if (!context.service.is_v4()) writer.text("[");
    writer.address(context.service);
    if (!context.service.is_v4()) writer.text("]");
    if (context.service_port != (context.secure ? 443 : 80)) writer.text(":").number(context.service_port);
  }
  writer.text(kLineEnd);
}

// The Cookie field without our cookie, or nothing when it held no other.
void write_cookie(std::string_view ours, std::string_view buffer, const Field& field, HeadWriter& writer) {
  CookieReader scan(field.value_in(buffer));
  bool found = false;
  for (CookiePair pair; scan.next(pair);) found |= pair.name == ours;
  if (!found) {
    writer.keep(field);
    return;
  }
  CookieReader reader(field.value_in(buffer));
  bool first = true;
  for (CookiePair pair; reader.next(pair);) {
    if (pair.name == ours) continue;
    writer.text(first ? "Cookie: " : "; ").keep(pair.whole);
    first = false;
  }
  if (!first) writer.text(kLineEnd);
}

void write_connection(const RequestRewrite& rewrite, std::string_view buffer, const RequestHead& head,
                      HeadWriter& writer) {
  if (head.body == BodyKind::chunked) writer.text("Transfer-Encoding: chunked\r\n");
  if (head.max_forwards) {
    HEADGATE_CHECK(*head.max_forwards > 0);
    writer.text("Max-Forwards: ").number(*head.max_forwards - 1).text(kLineEnd);
  }
  if (!head.upgrade.empty()) {
    writer.text("Upgrade: ").keep(head.upgrade.of(buffer)).text("\r\nConnection: upgrade\r\n");
  } else if (head.trailers_welcome) {
    writer.text(rewrite.close ? "TE: trailers\r\nConnection: TE, close\r\n" : "TE: trailers\r\nConnection: TE\r\n");
  } else if (rewrite.close) {
    writer.text("Connection: close\r\n");
  }
}

void write_status_line(std::string_view buffer, const ResponseHead& head, HeadWriter& writer) {
  const std::string_view line = head.line.of(buffer);
  constexpr std::size_t kBeforePhrase = 13;  // "HTTP/1.1 200 "
  if (line.starts_with(kVersion) && head.reason.at == kBeforePhrase) {
    writer.keep(line);
    return;
  }
  writer.text(kVersion).text(" ").number(head.status).text(" ").keep(head.reason.of(buffer)).text(kLineEnd);
}

void write_response_connection(const ResponseRewrite& rewrite, std::string_view buffer, const ResponseHead& head,
                               HeadWriter& writer) {
  if (rewrite.plan.tunnel) {
    writer.text("Upgrade: ").keep(head.upgrade.of(buffer)).text("\r\nConnection: upgrade\r\n");
    return;
  }
  if (rewrite.plan.body == BodyKind::chunked) writer.text("Transfer-Encoding: chunked\r\n");
  if (!rewrite.plan.keep_client) {
    writer.text("Connection: close\r\n");
  } else if (rewrite.client_http10) {
    writer.text("Connection: keep-alive\r\n");
  }
}

}  // namespace

void write_request(const RequestRewrite& rewrite, const RequestContext& context, std::string_view buffer,
                   const RequestHead& head, HeadWriter& writer) {
  const ForwardedOptions& forwarded = *rewrite.forwarded;
  const bool trusted = forwarded.trusts(context.client);
  const HeaderRules* rules = rewrite.rules != nullptr && !rewrite.rules->empty() ? rewrite.rules : nullptr;
  write_request_line(rewrite.path, buffer, head, writer);
  const bool new_host = head.form == TargetForm::absolute || !head.fields.has(FieldName::host);
  const bool rules_host = rules != nullptr && rules->sets_host();
  if (new_host && !rules_host) write_host(context, buffer, head, writer);
  for (const Field& field : head.fields) {
    if (field.hop || replaces_forwarded(forwarded, trusted, head, field.name)) continue;
    if (field.name == FieldName::host && (new_host || rules_host)) continue;
    if (rules != nullptr && rules->removes(field.name_in(buffer))) continue;
    if (field.name == FieldName::cookie && !rewrite.cookie.empty()) {
      write_cookie(rewrite.cookie, buffer, field, writer);
    } else {
      writer.keep(field);
    }
  }
  write_forwarded(forwarded, trusted, buffer, head, context, writer);
  if (!rewrite.via.empty()) writer.line("Via", rewrite.via);
  if (rules != nullptr) rules->write(context, writer);
  write_connection(rewrite, buffer, head, writer);
  writer.text(kLineEnd);
}

void write_response(const ResponseRewrite& rewrite, const RequestContext& context, std::string_view buffer,
                    const ResponseHead& head, HeadWriter& writer) {
  const HeaderRules* rules = rewrite.rules != nullptr && !rewrite.rules->empty() ? rewrite.rules : nullptr;
  write_status_line(buffer, head, writer);
  for (const Field& field : head.fields) {
    if (field.hop || (rules != nullptr && rules->removes(field.name_in(buffer)))) continue;
    writer.keep(field);
  }
  if (!rewrite.date.empty() && !head.fields.has(FieldName::date)) writer.line("Date", rewrite.date);
  if (!rewrite.via.empty()) writer.line("Via", rewrite.via);
  if (rules != nullptr) rules->write(context, writer);
  writer.text(rewrite.set_cookie);
  write_response_connection(rewrite, buffer, head, writer);
  writer.text(kLineEnd);
}

void write_interim(std::string_view buffer, const ResponseHead& head, HeadWriter& writer) {
  HEADGATE_CHECK(head.interim());
  write_status_line(buffer, head, writer);
  for (const Field& field : head.fields) {
    if (!field.hop) writer.keep(field);
  }
  writer.text(kLineEnd);
}

}  // namespace headgate::http
