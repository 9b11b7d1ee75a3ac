// Services whose connections end here: what they ask of protocol and mode, and their sessions.
#include "controlplane/config/checks.h"
#include "controlplane/config/http_text.h"
#include "controlplane/config/pool_use.h"

namespace headgate::config {
namespace {

constexpr std::uint32_t kHttpsPort = 443;

void check_blocks(const Node& node, const v1::Service& service, Report& report) {
  if (!service.has_protocol()) return;  // reported by the schema or the parser
  const std::string protocol = v1::Service::Protocol_Name(service.protocol());
  if (service.has_proxy() && !is_proxied(service)) {
    report.error(node.child("proxy").location(),
                 "proxy is for sessions, and a service with protocol " + protocol + " has none",
                 "remove it or use protocol: TCP_PROXY");
  }
  if (service.has_http() && service.protocol() != v1::Service::HTTP) {
    report.error(node.child("http").location(), "a service with protocol " + protocol + " does not look at requests",
                 "remove http or use protocol: HTTP");
  }
}

bool is_everybody(const std::string& text) {
  const auto prefix = parse_prefix(text);
  return prefix && prefix->length == 0;
}

// A backend's connection carries the requests of many clients, a client's those of many when a proxy is before us.
void check_http_sessions(const Node& node, const v1::Proxy& proxy, Report& report) {
  if (proxy.send_proxy() != v1::Proxy::NONE) {
    report.error(node.location_of("send_proxy"),
                 "send_proxy is for TCP_PROXY: with HTTP requests of many clients share a connection to a backend",
                 "remove it; X-Forwarded-For tells backends who the client is");
  }
  if (proxy.accept_proxy_from_size() != 0) {
    report.error(node.location_of("accept_proxy_from", 0), "accept_proxy_from is for TCP_PROXY alone",
                 "remove it, and name the proxies before this box in trusted_proxy of http");
  }
}

void check_sessions(const Node& node, const v1::Proxy& proxy, Report& report) {
  if (proxy.has_queue_timeout_ms() && proxy.queue_limit() == 0) {
    report.warn(node.location_of("queue_timeout_ms"), "queue_timeout_ms has no effect without queue_limit",
                "set queue_limit or remove it");
  }
  check_prefix_count(node, "accept_proxy_from", proxy.accept_proxy_from_size(), report);
  for (int i = 0; i < proxy.accept_proxy_from_size(); ++i) {
    if (!is_everybody(proxy.accept_proxy_from(i))) continue;
    report.warn(node.location_of("accept_proxy_from", i),
                "every client has to send a PROXY protocol header, and may say in it that it is another",
                "name only the proxies before this box");
  }
}

}  // namespace

void check_prefix_count(const Node& node, const char* list, int count, Report& report) {
  if (static_cast<std::size_t>(count) <= kProxyPrefixesMax) return;
  report.error(node.location_of(list, 0), std::to_string(count) + " times " + list,
               "use at most " + std::to_string(kProxyPrefixesMax) + ", or shorter prefixes");
}

void check_proxied(const Node& node, const v1::Service& service, Report& report) {
  check_blocks(node, service, report);
  if (!is_proxied(service)) return;
  const std::string protocol = v1::Service::Protocol_Name(service.protocol());
  if (service.mode() != v1::Service::FULL_NAT) {
    report.error(node.location_of("mode"),
                 "connections of protocol " + protocol + " end here, and mode " +
                     v1::Service::Mode_Name(service.mode()) + " would pass them on",
                 "remove mode, or use protocol: TCP");
  }
  if (service.protocol() == v1::Service::HTTP && service.port() == kHttpsPort) {
    report.warn(node.location_of("port"), "clients speak TLS to port 443, and protocol HTTP does not",
                "use another port, or protocol: TCP_PROXY to let the backends speak it");
  }
  if (service.has_proxy()) check_sessions(node.child("proxy"), service.proxy(), report);
  if (service.has_proxy() && service.protocol() == v1::Service::HTTP)
    check_http_sessions(node.child("proxy"), service.proxy(), report);
  if (service.has_http()) check_http(node.child("http"), service.http(), report);
}

}  // namespace headgate::config
