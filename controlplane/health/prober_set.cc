#include "controlplane/health/prober_set.h"

namespace headgate::health {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

ProberSet::ProberSet(asio::io_context& io, std::uint64_t seed, const Done& done)
    : tcp_(io, done),
      icmp_(io, done, seed + 1),
      udp_(io, done),
      http_(io, done),
      mysql_(io, done),
      dns_(io, done, seed + 2),
      external_(io, done),
      agent_(io, done) {}

Prober& ProberSet::of(const Check& check) {
  return std::visit(Overloaded{
                        [this](const TcpCheck&) -> Prober& { return tcp_; },
                        [this](const IcmpCheck&) -> Prober& { return icmp_; },
                        [this](const UdpCheck&) -> Prober& { return udp_; },
                        [this](const HttpCheck&) -> Prober& { return http_; },
                        [this](const MysqlCheck&) -> Prober& { return mysql_; },
                        [this](const DnsCheck&) -> Prober& { return dns_; },
                        [this](const ExternalCheck&) -> Prober& { return external_; },
                        [this](const AgentCheck&) -> Prober& { return agent_; },
                    },
                    check);
}

}  // namespace headgate::health
