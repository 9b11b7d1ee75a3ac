// Every kind of probe behind one Prober: the target's check says which.
#pragma once

#include "controlplane/health/agent_prober.h"
#include "controlplane/health/dns_prober.h"
#include "controlplane/health/external_prober.h"
#include "controlplane/health/http_prober.h"
#include "controlplane/health/icmp_prober.h"
#include "controlplane/health/mysql_prober.h"
#include "controlplane/health/tcp_prober.h"
#include "controlplane/health/udp_prober.h"

namespace headgate::health {

// Thread: that of the io_context. Must not be destroyed while the io_context still runs handlers.
class ProberSet : public Prober {
 public:
  ProberSet(asio::io_context& io, std::uint64_t seed, const Done& done);
  void start(std::uint64_t probe, const Target& target) override { of(*target.check).start(probe, target); }

 private:
  Prober& of(const Check& check);

  TcpProber tcp_;
  IcmpProber icmp_;
  UdpProber udp_;
  HttpProber http_;
  MysqlProber mysql_;
  DnsProber dns_;
  ExternalProber external_;
  AgentProber agent_;
};

}  // namespace headgate::health
