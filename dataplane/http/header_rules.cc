#include "dataplane/http/header_rules.h"

#include <algorithm>
#include <array>

#include "dataplane/http/chars.h"

namespace headgate::http {
namespace {

using Action = HeaderRuleSpec::Action;

constexpr std::array kVariables{
#define X(name, text) std::string_view(#name),
    HEADGATE_HTTP_VARIABLES(X)
#undef X
};

Variable find_variable(std::string_view name) {
  const auto found = std::ranges::find(kVariables, name);
  return static_cast<Variable>(found - kVariables.begin());
}

// Why rules may not touch this field; empty: they may.
const char* untouchable(FieldName name, Action action) {
  switch (name) {
    case FieldName::connection:
    case FieldName::content_length:
    case FieldName::expect:
    case FieldName::http2_settings:
    case FieldName::keep_alive:
    case FieldName::max_forwards:
    case FieldName::proxy_connection:
    case FieldName::te:
    case FieldName::trailer:
    case FieldName::transfer_encoding:
    case FieldName::upgrade:
      return "it frames messages or belongs to one connection; leave it to the proxy";
    case FieldName::forwarded:
    case FieldName::via:
    case FieldName::x_forwarded_for:
    case FieldName::x_forwarded_host:
    case FieldName::x_forwarded_port:
    case FieldName::x_forwarded_proto:
      return "it is written by the forwarding options; use those";
    case FieldName::host:
      return action == Action::set ? "" : "a request has exactly one; use set";
    default:
      return "";
  }
}

void write_variable(Variable variable, const RequestContext& context, HeadWriter& writer) {
  switch (variable) {
    case Variable::client_ip:
      writer.address(context.client);
      return;
    case Variable::client_port:
      writer.number(context.client_port);
      return;
    case Variable::service_ip:
      writer.address(context.service);
      return;
    case Variable::service_port:
      writer.number(context.service_port);
      return;
    case Variable::scheme:
      writer.text(context.secure ? "https" : "http");
      return;
    case Variable::host:
      writer.value(context.host);
      return;
    case Variable::method:
      writer.value(context.method);
      return;
    case Variable::path:
      writer.value(context.path);
      return;
    case Variable::request_id:
      writer.value(context.request_id);
      return;
    case Variable::none:
      return;
  }
}

}  // namespace

Result<std::vector<HeaderRules::Part>> HeaderRules::parse_value(const HeaderRuleSpec& spec) {
  const auto wrong = [&](const std::string& what) {
    return fail(ErrorCode::invalid_argument, "header " + spec.name + ": " + what);
  };
  if (!all(spec.value, kValue)) return wrong("the value has a control byte; leave it out");
  std::vector<Part> parts;
  std::string_view rest = spec.value;
  for (std::size_t dollar; (dollar = rest.find("${")) != std::string_view::npos;) {
    const std::size_t end = rest.find('}', dollar);
    if (end == std::string_view::npos) return wrong("\"${\" without \"}\"; close it");
    const std::string_view name = rest.substr(dollar + 2, end - dollar - 2);
    const Variable variable = find_variable(name);
    if (variable == Variable::none) return wrong("there is no variable " + std::string(name));
    parts.push_back({std::string(rest.substr(0, dollar)), variable});
    rest.remove_prefix(end + 1);
  }
  parts.push_back({std::string(rest), Variable::none});
  return parts;
}

Result<HeaderRules> HeaderRules::compile(std::span<const HeaderRuleSpec> specs) {
  HeaderRules rules;
  for (const HeaderRuleSpec& spec : specs) {
    const auto wrong = [&](const std::string& what) {
      return fail(ErrorCode::invalid_argument, "header " + spec.name + ": " + what);
    };
    if (spec.name.empty() || !all(spec.name, kToken)) return wrong("not a name of a field");
    const FieldName name = classify(spec.name);
    const char* reason = untouchable(name, spec.action);
    if (*reason != 0) return wrong(reason);
    auto parts = spec.action == Action::remove ? std::vector<Part>() : parse_value(spec);
    if (!parts) return tl::unexpected(parts.error());
    rules.sets_host_ |= name == FieldName::host;
    rules.rules_.push_back({spec.action, spec.name, std::move(*parts)});
  }
  return rules;
}

bool HeaderRules::removes(std::string_view name) const {
  return std::ranges::any_of(
      rules_, [&](const Rule& rule) { return rule.action != Action::add && same_ignoring_case(rule.name, name); });
}

void HeaderRules::write(const RequestContext& context, HeadWriter& writer) const {
  for (const Rule& rule : rules_) {
    if (rule.action == Action::remove) continue;
    writer.text(rule.name).text(": ");
    for (const Part& part : rule.parts) {
      writer.text(part.text);
      write_variable(part.variable, context, writer);
    }
    writer.text("\r\n");
  }
}

}  // namespace headgate::http
