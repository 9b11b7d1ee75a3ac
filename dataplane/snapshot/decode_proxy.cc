// Services whose connections end here: messages Proxy and Http become plain structs. Whether rules and routes make
// sense together is for the compiler of sites to say (BuildInput::compile_site).
#include "dataplane/snapshot/decode.h"

namespace headgate::snapshot::internal {
namespace {

// One service's fields, with their defaults and bounds.
class Fields {
 public:
  Fields(Context& context, std::string path) : context_(context), path_(std::move(path)) {}

  // 0: the default.
  void number(std::string_view name, std::uint32_t value, std::uint32_t most, std::string_view unit,
              std::uint32_t& out) {
    if (value > most) {
      fail(name, sentence(value, unit, " is too much; use at most ", most, ", or 0 for the default."));
    } else if (value != 0) {
      out = value;
    }
  }
  void ms(std::string_view name, std::uint32_t value, Nanos& out) {
    std::uint32_t chosen = static_cast<std::uint32_t>(out / kMillisecond);
    number(name, value, kProxyTimeoutMsMax, " ms", chosen);
    out = chosen * kMillisecond;
  }
  void seconds(std::string_view name, std::uint32_t value, Nanos& out) {
    std::uint32_t chosen = static_cast<std::uint32_t>(out / kSecond);
    number(name, value, kProxyTimeoutSecondsMax, " s", chosen);
    out = chosen * kSecond;
  }
  template <class Texts>
  void prefixes(std::string_view name, const Texts& texts, std::vector<IpPrefix>& out) {
    if (!count(name, texts.size(), kProxyPrefixesMax)) return;
    for (int i = 0; i < texts.size(); ++i) {
      std::string why;
      if (const auto prefix = parse_network(texts[i], why)) {
        out.push_back(*prefix);
      } else {
        context_.errors.add(at(path_, name, i), std::move(why));
      }
    }
  }
  bool count(std::string_view name, int size, std::size_t most) {
    if (static_cast<std::size_t>(size) <= most) return true;
    fail(name, sentence(static_cast<std::uint64_t>(size), " entries are too many; the limit is ",
                        static_cast<std::uint64_t>(most), "."));
    return false;
  }
  void text(const std::string& path, const std::string& value, std::string& out) {
    if (value.size() <= kHttpTextMax) {
      out = value;
    } else {
      context_.errors.add(
          path, sentence("The text is longer than ", static_cast<std::uint64_t>(kHttpTextMax), " bytes; shorten it."));
    }
  }
  void fail(std::string_view name, std::string message) {
    context_.errors.add(path_ + "." + std::string(name), std::move(message));
  }
  const std::string& path() const { return path_; }
  Context& context() { return context_; }

 private:
  Context& context_;
  std::string path_;
};

std::shared_ptr<const ProxySpec> decode_proxy_spec(Context& context, int i, const pb::Proxy& in) {
  auto out = std::make_shared<ProxySpec>();
  Fields fields(context, at("service", i, "proxy"));
  fields.ms("connect_timeout_ms", in.connect_timeout_ms(), out->connect_timeout);
  fields.number("connect_attempts", in.connect_attempts(), kConnectAttemptsMax, "", out->connect_attempts);
  fields.seconds("idle_timeout_s", in.idle_timeout_s(), out->idle_timeout);
  fields.seconds("half_closed_timeout_s", in.half_closed_timeout_s(), out->half_closed_timeout);
  fields.number("queue_limit", in.queue_limit(), kQueueLimitMax, "", out->queue_limit);
  fields.ms("queue_timeout_ms", in.queue_timeout_ms(), out->queue_timeout);
  fields.prefixes("header_from", in.header_from(), out->header_from);
  switch (in.send_header()) {
    case pb::PROXY_HEADER_NONE:
      break;
    case pb::PROXY_HEADER_V1:
      out->send_header = ProxyHeader::v1;
      break;
    case pb::PROXY_HEADER_V2:
      out->send_header = ProxyHeader::v2;
      break;
    default:
      fields.fail("send_header", "The version is unknown; use PROXY_HEADER_NONE, PROXY_HEADER_V1 or PROXY_HEADER_V2.");
  }
  return out;
}

template <class Rules>
void decode_rules(Fields& fields, std::string_view name, const Rules& in, std::vector<HttpHeaderRule>& out) {
  using Action = HttpHeaderRule::Action;
  if (!fields.count(name, in.size(), kHttpRulesMax)) return;
  for (int i = 0; i < in.size(); ++i) {
    const std::string path = at(fields.path(), name, i);
    HttpHeaderRule& rule = out.emplace_back();
    switch (in[i].action()) {
      case pb::HttpHeaderRule::ADD:
        rule.action = Action::add;
        break;
      case pb::HttpHeaderRule::SET:
        rule.action = Action::set;
        break;
      case pb::HttpHeaderRule::REMOVE:
        rule.action = Action::remove;
        break;
      default:
        fields.context().errors.add(path + ".action", "The action is unknown; use ADD, SET or REMOVE.");
    }
    fields.text(path + ".name", in[i].name(), rule.name);
    fields.text(path + ".value", in[i].value(), rule.value);
  }
}

std::uint16_t decode_status(Fields& fields, std::string_view name, std::uint32_t value) {
  if (value >= 200 && value <= 599) return static_cast<std::uint16_t>(value);
  fields.fail(name, sentence(value, " is no status of an answer; use 200 to 599."));
  return 500;
}

void decode_action(Fields& fields, const pb::HttpRoute& in, HttpRoute& out) {
  switch (in.action_case()) {
    case pb::HttpRoute::kPoolId:
      out.action = PoolId{in.pool_id()};
      break;
    case pb::HttpRoute::kRedirect: {
      HttpRedirect redirect;
      if (in.redirect().status() != 0)
        redirect.status = decode_status(fields, "redirect.status", in.redirect().status());
      fields.text(fields.path() + ".redirect.scheme", in.redirect().scheme(), redirect.scheme);
      fields.text(fields.path() + ".redirect.host", in.redirect().host(), redirect.host);
      fields.text(fields.path() + ".redirect.path", in.redirect().path(), redirect.path);
      out.action = std::move(redirect);
      break;
    }
    case pb::HttpRoute::kStatus:
      out.action = HttpRoute::Status{decode_status(fields, "status", in.status())};
      break;
    case pb::HttpRoute::ACTION_NOT_SET:
      break;
  }
}

void decode_route(Fields& fields, const pb::HttpRoute& in, HttpRoute& out) {
  out.id = in.id();
  if (std::string problem = name_problem(in.name()); !problem.empty()) fields.fail("name", std::move(problem));
  out.name = in.name().substr(0, kNameBytesMax);
  fields.text(fields.path() + ".host", in.host(), out.host);
  fields.text(fields.path() + ".path", in.path(), out.path);
  fields.text(fields.path() + ".path_prefix", in.path_prefix(), out.path_prefix);
  fields.text(fields.path() + ".method", in.method(), out.method);
  if (fields.count("header", in.header_size(), kHttpRulesMax)) {
    for (int h = 0; h < in.header_size(); ++h) {
      const std::string path = at(fields.path(), "header", h);
      HttpCondition& condition = out.headers.emplace_back();
      fields.text(path + ".name", in.header(h).name(), condition.name);
      fields.text(path + ".value", in.header(h).value(), condition.value);
    }
  }
  decode_action(fields, in, out);
  decode_rules(fields, "request_header", in.request_header(), out.request_headers);
  decode_rules(fields, "response_header", in.response_header(), out.response_headers);
}

void decode_routes_of(Context& context, Fields& fields, const pb::Http& in, HttpSpec& out) {
  if (!fields.count("route", in.route_size(), kHttpRoutesMax)) return;
  std::unordered_set<std::uint32_t> ids;
  for (int r = 0; r < in.route_size(); ++r) {
    Fields of_route(context, at(fields.path(), "route", r));
    if (in.route(r).id() == 0) {
      of_route.fail("id", "0 means none; give the route an id of its own.");
    } else if (!ids.insert(in.route(r).id()).second) {
      of_route.fail("id",
                    sentence("Id ", in.route(r).id(), " is used twice in this service; every route needs its own."));
    }
    decode_route(of_route, in.route(r), out.routes.emplace_back());
  }
}

HttpSpec decode_http_spec(Context& context, int i, const pb::Http& in) {
  HttpSpec out;
  Fields fields(context, at("service", i, "http"));
  fields.ms("request_timeout_ms", in.request_timeout_ms(), out.request_timeout);
  fields.seconds("keepalive_timeout_s", in.keepalive_timeout_s(), out.keepalive_timeout);
  fields.seconds("response_timeout_s", in.response_timeout_s(), out.response_timeout);
  out.requests_per_connection = in.requests_per_connection();
  out.reuse = !in.no_reuse();
  out.x_forwarded_for = !in.no_x_forwarded_for();
  out.x_forwarded_proto = !in.no_x_forwarded_proto();
  out.x_forwarded_port = in.x_forwarded_port();
  out.x_forwarded_host = in.x_forwarded_host();
  out.forwarded = in.forwarded();
  fields.prefixes("trusted", in.trusted(), out.trusted);
  decode_rules(fields, "request_header", in.request_header(), out.request_headers);
  decode_rules(fields, "response_header", in.response_header(), out.response_headers);
  decode_routes_of(context, fields, in, out);
  if (in.has_cookie()) {
    out.cookie.emplace();
    fields.text(fields.path() + ".cookie.name", in.cookie().name(), out.cookie->name);
    out.cookie->max_age_s = in.cookie().max_age_s();
  }
  out.access_log = in.access_log();
  return out;
}

}  // namespace

void decode_proxy(Context& context, int i, Service& out) {
  const pb::Service& in = context.message.service(i);
  if (in.has_http() && out.ends != Ends::http)
    context.errors.add(at("service", i, "http"),
                       "Only services of protocol HTTP have it; remove it or change the protocol.");
  if (!out.proxied()) {
    if (in.has_proxy())
      context.errors.add(at("service", i, "proxy"),
                         "Only services of protocol TCP_PROXY and HTTP have it; remove it or change the protocol.");
    return;
  }
  if (in.mode() != pb::FULL_NAT)
    context.errors.add(at("service", i, "mode"),
                       "Connections of TCP_PROXY and HTTP end here and go on from a local address; use FULL_NAT.");
  out.proxy = decode_proxy_spec(context, i, in.proxy());
  if (out.ends == Ends::http) context.http.emplace(i, decode_http_spec(context, i, in.http()));
}

void compile_http(Context& context) {
  for (auto& [i, http] : context.http) {
    Service& service = context.out.services[static_cast<std::size_t>(i)];
    if (!context.input.compile_site) {
      context.errors.add(at("service", i, "protocol"), "This dataplane serves no HTTP; use TCP_PROXY.");
      continue;
    }
    auto site = context.input.compile_site(service, context.out.pools[service.pool].id, *service.proxy, http);
    if (site) {
      service.site = std::move(*site);
    } else {
      context.errors.add(at("service", i, "http"), site.error().message);
    }
  }
}

}  // namespace headgate::snapshot::internal
