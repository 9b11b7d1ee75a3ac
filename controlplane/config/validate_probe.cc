// What a probe of a pool asks for: one kind, and values that make a question.
#include <algorithm>
#include <cctype>

#include "controlplane/config/checks.h"
#include "controlplane/config/format.h"
#include "controlplane/config/health_check.h"
#include "controlplane/config/http_text.h"

namespace headgate::config {
namespace {

constexpr std::size_t kTextMax = 4096;      // of one value: a probe's request stays small
constexpr std::size_t kDatagramMax = 1400;  // fits any link
constexpr std::size_t kDnsNameMax = 253;    // RFC 1035 2.3.4
constexpr std::size_t kDnsLabelMax = 63;
constexpr std::size_t kRepeatedMax = 32;

bool any_of(const std::string& text, bool (*is_wrong)(unsigned char)) {
  return std::any_of(text.begin(), text.end(),
                     [is_wrong](const char c) { return is_wrong(static_cast<unsigned char>(c)); });
}
bool is_control(unsigned char c) {
  return c < 0x20 || c == 0x7f;
}
bool is_control_or_space(unsigned char c) {
  return c <= 0x20 || c >= 0x7f;
}

bool is_dns_name(std::string name) {
  if (name == ".") return true;
  if (!name.empty() && name.back() == '.') name.pop_back();
  if (name.empty() || name.size() > kDnsNameMax || any_of(name, is_control_or_space)) return false;
  for (std::size_t start = 0; start <= name.size();) {
    const std::size_t end = std::min(name.find('.', start), name.size());
    if (end == start || end - start > kDnsLabelMax) return false;
    start = end + 1;
  }
  return name.find('\\') == std::string::npos;
}

const google::protobuf::FieldDescriptor& field_of(const google::protobuf::Message& message, const char* name) {
  return *message.GetDescriptor()->FindFieldByName(name);
}

class ProbeCheck {
 public:
  ProbeCheck(const v1::HealthCheck& check, const Node& node, Report& report)
      : check_(check), node_(node), report_(report) {}

  void run() {
    check_kind();
    if (check_.has_udp()) check_udp(node_.child("udp"), check_.udp());
    if (check_.has_http()) check_http(node_.child("http"), check_.http());
    if (check_.has_mysql()) check_mysql(node_.child("mysql"), check_.mysql());
    if (check_.has_dns()) check_dns(node_.child("dns"), check_.dns());
    if (check_.has_external()) check_external(node_.child("external"), check_.external());
  }

 private:
  void check_kind() {
    const std::vector<std::string> kinds = kinds_of(check_);
    if (kinds.size() == 1) return;
    if (kinds.empty()) {
      for (const char* kind : {"tcp", "icmp", "udp", "http", "mysql", "dns", "external"}) {
        if (report_.is_unreadable(node_.location(), kind)) return;
      }
      report_.error(node_.location(), "health_check does not say what to probe",
                    "add one of tcp {}, icmp {}, udp {}, http {}, mysql {}, dns {} and external {}");
      return;
    }
    std::string all;
    for (const std::string& kind : kinds) all += (all.empty() ? "" : ", ") + kind;
    report_.error(node_.location_of(kinds.back().c_str()), "health_check has several kinds: " + all,
                  "keep one of them");
  }

  void check_length(Location where, const std::string& name, const std::string& value, std::size_t bytes_max) {
    if (value.size() <= bytes_max) return;
    report_.error(where, name + " has " + std::to_string(value.size()) + " bytes",
                  "use at most " + std::to_string(bytes_max));
  }

  void check_udp(const Node& node, const v1::HealthCheck::Udp& udp) {
    check_length(node.location_of("payload"), "payload", udp.payload(), kDatagramMax);
    check_length(node.location_of("expect"), "expect", udp.expect(), kDatagramMax);
    if (udp.has_payload() && udp.payload().empty()) {
      report_.error(node.location_of("payload"), "payload is empty", "write what the server answers");
    }
  }

  void check_http(const Node& node, const v1::HealthCheck::Http& http) {
    if (http.has_path() && (!http.path().starts_with('/') || any_of(http.path(), is_control_or_space))) {
      report_.error(node.location_of("path"), quoted(http.path()) + " is no path of a request",
                    "begin it with '/' and write spaces and what is not ASCII as %XX");
    }
    if (http.has_host() && (http.host().empty() || any_of(http.host(), is_control_or_space))) {
      report_.error(node.location_of("host"), quoted(http.host()) + " is no host", "write it like www.example.com");
    }
    // Its form is the schema's; a range must rise as well.
    const std::string& form = field_of(http, "status").options().GetExtension(v1::pattern);
    if (http.has_status() && Patterns().match(form, http.status()) && !parse_status(http.status())) {
      report_.error(node.location_of("status"), quoted(http.status()) + " has a range that falls",
                    "write the lower code first, like 200-299");
    }
    if (!http.body().empty() && http.method() == v1::HealthCheck::Http::HEAD) {
      report_.error(node.location_of("body"), "an answer to HEAD has no body", "remove body or use method: GET");
    }
    for (const char* name : {"path", "host", "body"}) {
      const auto* field = http.GetDescriptor()->FindFieldByName(name);
      check_length(node.location_of(name), name, http.GetReflection()->GetString(http, field), kTextMax);
    }
    check_headers(node, http);
    if (http.has_tls()) check_tls(node.child("tls"), http.tls());
  }

  void check_headers(const Node& node, const v1::HealthCheck::Http& http) {
    check_count(node.location(), "header", http.header_size());
    for (int i = 0; i < http.header_size(); ++i) {
      const std::string& header = http.header(i);
      const std::size_t colon = header.find(':');
      const Location where = node.location_of("header", i);
      check_length(where, "header", header, kTextMax);
      if (colon == std::string::npos || !is_http_token(header.substr(0, colon)) || any_of(header, is_control)) {
        report_.error(where, quoted(header) + " is no header", "write it like \"X-Probe: yes\"");
        continue;
      }
      std::string name = header.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](const unsigned char c) { return static_cast<char>(std::tolower(c)); });
      if (name == "host") report_.error(where, "the host has a field of its own", "set host instead");
      if (name == "connection" || name == "content-length" || name == "transfer-encoding") {
        report_.error(where, "a probe says " + quoted(header.substr(0, colon)) + " itself", "remove it");
      }
    }
  }

  void check_tls(const Node& node, const v1::HealthCheck::Http::Tls& tls) {
    const bool verify = !tls.has_verify() || tls.verify();
    if (tls.has_ca_file() && !tls.ca_file().starts_with('/')) {
      report_.error(node.location_of("ca_file"), quoted(tls.ca_file()) + " is no absolute path", "begin it with '/'");
    }
    if (tls.has_ca_file() && !verify) {
      report_.warn(node.location_of("ca_file"), "ca_file has no effect with verify: false", "remove one of the two");
    }
    if (tls.has_sni() && !is_dns_name(tls.sni())) {
      report_.error(node.location_of("sni"), quoted(tls.sni()) + " is no name of a host",
                    "write it like www.example.com");
    }
  }

  void check_mysql(const Node& node, const v1::HealthCheck::Mysql& mysql) {
    check_length(node.location_of("user"), "user", mysql.user(), 128);
    check_length(node.location_of("password"), "password", mysql.password(), 256);
    check_length(node.location_of("database"), "database", mysql.database(), 256);
    check_length(node.location_of("query"), "query", mysql.query(), kTextMax);
    for (const char* name : {"user", "password", "database"}) {
      const auto* field = mysql.GetDescriptor()->FindFieldByName(name);
      if (mysql.GetReflection()->GetString(mysql, field).find('\0') == std::string::npos) continue;
      report_.error(node.location_of(name), std::string(name) + " has a zero byte", "remove it");
    }
  }

  void check_dns(const Node& node, const v1::HealthCheck::Dns& dns) {
    if (dns.has_name() && !is_dns_name(dns.name())) {
      report_.error(node.location_of("name"), quoted(dns.name()) + " is no name of the DNS",
                    "write it like www.example.com");
    }
    if (!dns.has_address()) return;
    const auto address = parse_address(dns.address());
    const bool v4 = dns.type() == v1::HealthCheck::Dns::A, v6 = dns.type() == v1::HealthCheck::Dns::AAAA;
    if (address && (address->is_v4() ? v4 : v6)) return;
    if (!address) return;  // reported by the schema
    report_.error(node.location_of("address"),
                  "an answer of type " + v1::HealthCheck::Dns::Type_Name(dns.type()) + " has no " +
                      family_name(address->is_v4()) + " address",
                  address->is_v4() ? "use type: A" : "use type: AAAA");
  }

  void check_external(const Node& node, const v1::HealthCheck::External& external) {
    check_count(node.location(), "argument", external.argument_size());
    if (external.has_program() &&
        (!external.program().starts_with('/') || external.program().find('\0') != std::string::npos)) {
      report_.error(node.location_of("program"), quoted(external.program()) + " is no absolute path",
                    "begin it with '/': no shell looks for it");
    }
    for (int i = 0; i < external.argument_size(); ++i) {
      check_length(node.location_of("argument", i), "argument", external.argument(i), kTextMax);
      if (external.argument(i).find('\0') == std::string::npos) continue;
      report_.error(node.location_of("argument", i), "argument has a zero byte", "remove it");
    }
  }

  void check_count(Location where, const std::string& name, int count) {
    if (static_cast<std::size_t>(count) <= kRepeatedMax) return;
    report_.error(where, std::to_string(count) + " times " + name, "use at most " + std::to_string(kRepeatedMax));
  }

  const v1::HealthCheck& check_;
  const Node node_;
  Report& report_;
};

// Of a health check or an agent: the ways they travel, and their times.
template <class Probe>
void check_travel(const Site& site, const Node& node, const Probe& probe, const std::string& what, Report& report) {
  if (probe.via() == v1::HealthCheck::PATH && !site.config->has_probe()) {
    report.error(node.location(), what + " along the path of traffic need a probe block and there is none",
                 "add probe { port: ... } or set via: KERNEL");
  }
  const std::uint32_t interval = probe.has_interval_ms() ? probe.interval_ms() : 2000;
  const std::uint32_t timeout = probe.has_timeout_ms() ? probe.timeout_ms() : 1000;
  if (timeout <= interval) return;
  report.warn(node.location(),
              "timeout_ms " + std::to_string(timeout) + " is above interval_ms " + std::to_string(interval) +
                  ": a dead backend is probed less often",
              "raise interval_ms or lower timeout_ms");
}

// A probe without a port takes the backend's, or else that of the one service port of the pool.
void check_port(const Site& site, const Node& node, const v1::Pool& pool, Report& report) {
  const v1::HealthCheck& check = pool.health_check();
  const std::vector<std::string> kinds = kinds_of(check);
  if (kinds.size() != 1 || kinds.front() == "icmp" || port_of(check)) return;
  const std::vector<const v1::Service*>& services = site.users_of(pool.name());
  const bool only_udp = !services.empty() && std::all_of(services.begin(), services.end(), [](const v1::Service* s) {
    return s->protocol() == v1::Service::UDP;
  });
  if (only_udp && check.has_tcp()) {
    report.warn(node.location(), "a TCP probe for a pool that only serves UDP",
                "probe with udp { payload: ... } or dns { name: ... }, or set tcp { port: ... }");
  }
  std::set<std::uint32_t> ports;
  for (const v1::Service* service : services) ports.insert(service->port());
  const bool open = std::any_of(pool.backend().begin(), pool.backend().end(),
                                [](const v1::Backend& backend) { return !backend.has_port(); });
  if (!open || ports.size() <= 1) return;
  report.error(node.location(),
               "services on several ports use pool " + quoted(pool.name()) + ": it is open which one to probe",
               "set " + kinds.front() + " { port: ... }");
}

void check_agent(const Site& site, const Node& node, const v1::Agent& agent, Report& report) {
  check_travel(site, node, agent, "questions to agents", report);
  if (agent.send().size() > kTextMax) {
    report.error(node.location_of("send"), "send has " + std::to_string(agent.send().size()) + " bytes",
                 "use at most " + std::to_string(kTextMax));
  }
}

}  // namespace

void check_probes(const Site& site, const Node& pool_node, const v1::Pool& pool, Report& report) {
  if (pool.has_agent()) check_agent(site, pool_node.child("agent"), pool.agent(), report);
  if (!pool.has_health_check()) {
    report.warn(pool_node.location(),
                "pool " + quoted(pool.name()) + " has no health_check: a dead backend keeps getting flows",
                "add health_check { tcp {} }");
    return;
  }
  const Node node = pool_node.child("health_check");
  ProbeCheck(pool.health_check(), node, report).run();
  check_travel(site, node, pool.health_check(), "probes", report);
  check_port(site, node, pool, report);
}

}  // namespace headgate::config
