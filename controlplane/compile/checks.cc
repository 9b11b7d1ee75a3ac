#include "controlplane/compile/checks.h"

#include "controlplane/config/address.h"
#include "controlplane/config/health_check.h"

namespace headgate::compile {
namespace {

using Wanted = config::v1::HealthCheck;

health::HttpCheck http_of(const Wanted::Http& http) {
  health::HttpCheck check;
  check.method = Wanted::Http::Method_Name(http.method());
  if (http.has_path()) check.path = http.path();
  check.host = http.host();
  check.headers = {http.header().begin(), http.header().end()};
  if (http.has_status()) {
    check.status.clear();
    const auto ranges = *config::parse_status(http.status());
    for (const auto& [first, last] : ranges) check.status.push_back({first, last});
  }
  check.body = http.body();
  if (http.has_tls()) {
    check.tls = health::HttpTls{.sni = http.tls().sni(),
                                .verify = !http.tls().has_verify() || http.tls().verify(),
                                .ca_file = http.tls().ca_file()};
  }
  return check;
}

std::uint16_t number_of(Wanted::Dns::Type type) {  // RFC 1035 3.2.2, RFC 3596, RFC 2782
  switch (type) {
    case Wanted::Dns::AAAA:
      return 28;
    case Wanted::Dns::CNAME:
      return 5;
    case Wanted::Dns::MX:
      return 15;
    case Wanted::Dns::NS:
      return 2;
    case Wanted::Dns::PTR:
      return 12;
    case Wanted::Dns::SOA:
      return 6;
    case Wanted::Dns::SRV:
      return 33;
    case Wanted::Dns::TXT:
      return 16;
    default:
      return 1;
  }
}

health::DnsCheck dns_of(const Wanted::Dns& dns) {
  health::DnsCheck check{.name = dns.name(), .type = number_of(dns.type())};
  if (dns.has_address()) check.expect = *config::parse_address(dns.address());
  return check;
}

}  // namespace

health::SharedCheck check_of(const config::v1::Pool& pool) {
  const Wanted& wanted = pool.health_check();
  if (wanted.has_icmp()) return health::Check(health::IcmpCheck{});
  if (wanted.has_udp()) {
    return health::Check(health::UdpCheck{.payload = wanted.udp().payload(), .expect = wanted.udp().expect()});
  }
  if (wanted.has_http()) return health::Check(http_of(wanted.http()));
  if (wanted.has_mysql()) {
    const auto& mysql = wanted.mysql();
    return health::Check(health::MysqlCheck{
        .user = mysql.user(), .password = mysql.password(), .database = mysql.database(), .query = mysql.query()});
  }
  if (wanted.has_dns()) return health::Check(dns_of(wanted.dns()));
  if (wanted.has_external()) {
    const auto& external = wanted.external();
    return health::Check(health::ExternalCheck{.program = external.program(),
                                               .arguments = {external.argument().begin(), external.argument().end()},
                                               .pool = pool.name()});
  }
  return {};
}

health::SharedCheck agent_check_of(const config::v1::Pool& pool) {
  return health::Check(health::AgentCheck{.send = pool.agent().send()});
}

}  // namespace headgate::compile
