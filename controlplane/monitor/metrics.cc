#include "controlplane/monitor/metrics.h"

#include <map>

#include "controlplane/monitor/page.h"
#include "controlplane/monitor/proxy_metrics.h"

namespace headgate::monitor {
namespace {

namespace dp = dataplane::v1;

struct TrafficNames {
  const char *packets, *bytes, *flows, *started;
};

void traffic(Page& page, const TrafficNames& names, const Labels& labels, const dp::TrafficCounters& t) {
  for (const bool in : {true, false}) {
    Labels with = labels;
    with.emplace_back("direction", in ? "in" : "out");
    page.counter(names.packets, "Packets, in: from clients, out: to clients.", with,
                 in ? t.packets_in() : t.packets_out());
    page.counter(names.bytes, "Bytes of IP packets, in: from clients, out: to clients.", with,
                 in ? t.bytes_in() : t.bytes_out());
  }
  page.gauge(names.flows, "Flows now.", labels, static_cast<double>(t.flows_now()));
  page.counter(names.started, "Flows started.", labels, t.flows_total());
}

void system(Page& page, const Sample& sample) {
  const auto& s = sample.system;
  page.gauge("headgate_info", "1, with the version.", {{"version", s.version()}}, 1);
  page.gauge("headgate_uptime_seconds", "Since the control plane started.", {}, static_cast<double>(s.uptime_s()));
  page.gauge("headgate_config_revision", "Number of the revision in force.", {},
             static_cast<double>(s.revision().number()));
  page.gauge("headgate_config_unconfirmed", "1 while a commit waits for confirmation.", {},
             s.revision().rolls_back_in_s() != 0);
  page.gauge("headgate_dataplane_connected", "1 while the dataplane answers.", {}, s.dataplane_connected());
  page.gauge("headgate_dataplane_in_sync", "1 while the dataplane runs the configuration in force.", {}, s.in_sync());
  page.gauge("headgate_problems", "What show system calls a problem.", {}, s.problem_size());
}

// For joins: what a service is called is in the other metrics, what it is in this one.
void services(Page& page, const Sample& sample) {
  for (const auto& service : sample.services.service()) {
    page.gauge("headgate_service_info", "1, with what the service is.",
               {{"service", service.name()},
                {"address", service.address()},
                {"protocol", service.protocol()},
                {"mode", service.mode()},
                {"pool", service.pool()}},
               1);
  }
}

void health(Page& page, const Sample& sample) {
  for (const auto& pool : sample.system.pool()) {
    const Labels labels{{"pool", pool.name()}};
    page.gauge("headgate_pool_backends", "Backends of the pool.", labels, pool.backends());
    page.gauge("headgate_pool_healthy_backends", "Backends that could serve, resting backups among them.", labels,
               pool.healthy());
    page.gauge("headgate_pool_minimum_healthy_backends", "The configured minimum; 0: none.", labels,
               pool.minimum_healthy());
    page.gauge("headgate_pool_backups_serve", "1 while backups serve.", labels, pool.backups_serve());
  }
  const auto& probes = sample.system.probes();
  const auto results = "Probes, by what they said of the backend; not_made: nothing, for a cause on this box.";
  page.counter("headgate_probes_total", results, {{"result", "success"}}, probes.succeeded());
  page.counter("headgate_probes_total", results, {{"result", "failure"}}, probes.failed());
  page.counter("headgate_probes_total", results, {{"result", "not_made"}}, probes.not_made());
  page.counter("headgate_probes_late_total", "Probes behind their time by a twentieth of the interval.", {},
               probes.late());
  page.gauge("headgate_probes_under_way", "Probes without a result yet.", {}, probes.under_way());
}

void push(Page& page, const Sample& sample) {
  const auto& p = sample.system.push();
  page.counter("headgate_push_snapshots_total", "Whole snapshots that the dataplane accepted.", {}, p.snapshots());
  page.counter("headgate_push_updates_total", "Changes of backends' states that it applied.", {}, p.updates());
  page.counter("headgate_push_resyncs_total", "Changes of states that met another snapshot.", {}, p.resyncs());
  page.counter("headgate_push_refusals_total", "Snapshots and changes that it refused.", {}, p.refusals());
  std::vector<Page::Bucket> buckets;
  std::uint64_t beyond = 0;
  for (const auto& bucket : p.delay()) {
    if (bucket.up_to_ms() == 0)
      beyond = bucket.count();
    else
      buckets.push_back({bucket.up_to_ms() / 1000.0, bucket.count()});
  }
  page.histogram("headgate_push_delay_seconds", "From a verdict to the moment when every worker acts on it.", {},
                 buckets, beyond, p.delay_sum_s());
}

void backends(Page& page, const Sample& sample) {
  for (const auto& b : sample.backends.backend()) {
    const Labels labels{{"pool", b.pool()}, {"backend", b.name()}};
    page.gauge("headgate_backend_up", "1 while it takes part in balancing, or would but for draining.", labels, b.up());
    page.gauge("headgate_backend_draining", "1 while it takes no new flows on purpose.", labels,
               b.admin() != "enabled");
    page.gauge("headgate_backend_weight", "Share of new flows, as configured.", labels, b.weight_configured());
    if (b.probed() && b.last_probe_s() != 0)
      page.gauge("headgate_backend_probe_latency_seconds", "Of the last probe that succeeded.", labels,
                 b.latency_us() / 1e6);
  }
}

void failover(Page& page, const Sample& sample) {
  const auto& f = sample.failover;
  if (f.side().empty()) return;
  page.gauge("headgate_failover_epoch", "Promotions on both boxes, as far as this one knows.", {},
             static_cast<double>(f.epoch()));
  page.gauge("headgate_failover_control_lease", "1 while the dataplane hears this control plane.", {},
             f.control_lease());
  if (f.pair()) {
    page.gauge("headgate_failover_peer_up", "1 while the peer is heard on the HA link.", {}, f.peer().link_up());
    page.gauge("headgate_failover_peer_agreed", "1 while both boxes run the same configuration.", {},
               f.peer().agreed());
  }
  for (const auto& group : f.group()) {
    const Labels labels{{"group", group.name()}};
    page.gauge("headgate_group_class", "0: ok, 1: degraded, 2: fault.", labels, group.health());
    page.gauge("headgate_group_paused", "1 while an operator paused it.", labels, group.paused());
    if (!group.has_state()) continue;
    const dp::GroupState& state = group.state();
    const auto role = [&](dp::GroupRole is, const char* name) {
      page.gauge("headgate_group_role", "1 for the role that the group has on this box.",
                 {{"group", group.name()}, {"role", name}}, state.role() == is);
    };
    role(dp::ROLE_STARTING, "starting");
    role(dp::ROLE_BACKUP, "backup");
    role(dp::ROLE_ACTIVE, "active");
    role(dp::ROLE_FAULT, "fault");
    page.gauge("headgate_group_priority", "As advertised.", labels, state.priority());
    page.counter("headgate_group_transitions_total", "Changes of the role.", labels, state.transitions());
    page.counter("headgate_group_promotions_total", "Times that it became active here.", labels, state.promotions());
    page.counter("headgate_group_lease_gaps_total", "Lapses of the active lease after which it could go on.", labels,
                 state.lease_gaps());
    page.counter("headgate_group_withheld_total", "Adverts not sent because a worker made no progress.", labels,
                 state.withheld());
    page.counter("headgate_group_lease_dropped_total", "Frames that the lease stopped between a step and its sending.",
                 labels, state.dropped_at_send());
    for (const auto& router : state.router()) {
      const Labels with{
          {"group", group.name()}, {"interface", router.interface()}, {"family", router.ipv6() ? "ipv6" : "ipv4"}};
      page.counter("headgate_router_sent_total", "Adverts of ours.", with, router.sent());
      page.counter("headgate_router_accepted_total", "Adverts of ours that the driver took.", with, router.accepted());
      page.counter("headgate_router_received_total", "Adverts that arrived, bad ones too.", with, router.received());
      for (const auto& oddity : router.oddity()) {
        Labels odd = with;
        odd.emplace_back("reason", oddity.reason());
        page.counter("headgate_router_odd_adverts_total", "Adverts that were dropped or odd, by reason.", odd,
                     oddity.adverts());
      }
    }
  }
}

void counts(Page& page, const dp::StatsReply& stats) {
  page.gauge("headgate_dataplane_generation", "Generation of the snapshot that runs.", {},
             static_cast<double>(stats.generation()));
  for (const auto& service : stats.service()) {
    const Labels labels{{"service", service.name()}};
    traffic(page,
            {"headgate_service_packets_total", "headgate_service_bytes_total", "headgate_service_flows",
             "headgate_service_flows_started_total"},
            labels, service.traffic());
    for (const auto& drop : service.drop())
      page.counter("headgate_service_refused_total", "New flows refused, by reason.",
                   {{"service", service.name()}, {"reason", drop.reason()}}, drop.packets());
    proxied_service(page, stats, service);
  }
  std::map<std::uint32_t, std::string> pools;
  for (const auto& pool : stats.pool()) {
    pools[pool.id()] = pool.name();
    traffic(page,
            {"headgate_pool_packets_total", "headgate_pool_bytes_total", "headgate_pool_flows",
             "headgate_pool_flows_started_total"},
            {{"pool", pool.name()}}, pool.traffic());
  }
  for (const auto& backend : stats.backend())
    traffic(page,
            {"headgate_backend_packets_total", "headgate_backend_bytes_total", "headgate_backend_flows",
             "headgate_backend_flows_started_total"},
            {{"pool", pools[backend.pool_id()]}, {"backend", backend.name()}}, backend.traffic());
}

void ports(Page& page, const dp::StatsReply& stats) {
  for (const auto& p : stats.port()) {
    const Labels labels{{"port", p.name()}};
    page.gauge("headgate_port_up", "1 while the link is up.", labels, p.link_up());
    for (const bool in : {true, false}) {
      const Labels with{{"port", p.name()}, {"direction", in ? "receive" : "transmit"}};
      page.counter("headgate_port_packets_total", "Frames of the port.", with, in ? p.rx_packets() : p.tx_packets());
      page.counter("headgate_port_bytes_total", "Bytes of the port.", with, in ? p.rx_bytes() : p.tx_bytes());
      page.counter("headgate_port_errors_total", "Errors that the driver counted.", with,
                   in ? p.rx_errors() : p.tx_errors());
    }
    page.counter("headgate_port_missed_total", "Frames lost because no buffer or no time was left.", labels,
                 p.rx_missed() + p.rx_no_buffer());
  }
}

void workers(Page& page, const dp::StatsReply& stats) {
  for (const auto& w : stats.worker()) {
    const std::string name = std::to_string(w.worker());
    const Labels labels{{"worker", name}};
    page.gauge("headgate_worker_busy_ratio", "Share of its time with packets, since the sample before.", labels,
               w.busy_share());
    page.counter("headgate_worker_packets_total", "Packets that it decided about.", labels, w.packets());
    page.gauge("headgate_worker_flows", "Flows in its table.", labels, static_cast<double>(w.flows_now()));
    page.gauge("headgate_worker_flows_max", "Flows that fit its table.", labels, static_cast<double>(w.flows_max()));
    page.counter("headgate_worker_flows_shed_total", "Flows that made room for others in a full table.", labels,
                 w.flows_shed());
    for (const auto& drop : w.drop()) {
      const Labels with{{"worker", name}, {"reason", drop.reason()}};
      page.counter("headgate_dropped_packets_total", "Packets dropped, by reason.", with, drop.packets());
      page.counter("headgate_answered_packets_total", "Packets answered with RST or an ICMP error instead, by reason.",
                   with, drop.answered());
    }
    for (const auto& handover : w.handover())
      page.counter("headgate_handed_over_packets_total", "Packets passed to the worker that owns them, by reason.",
                   {{"worker", name}, {"reason", handover.reason()}}, handover.packets());
    tcp_engine(page, w);
  }
  for (const auto& gauge : stats.gauge()) {
    page.gauge("headgate_resource_free", "What is left of something that can run out.", {{"resource", gauge.name()}},
               static_cast<double>(gauge.free()));
    if (gauge.size() != 0)
      page.gauge("headgate_resource_size", "How much of it there is.", {{"resource", gauge.name()}},
                 static_cast<double>(gauge.size()));
  }
}

}  // namespace

std::string render(const Sample& sample) {
  Page page;
  system(page, sample);
  services(page, sample);
  health(page, sample);
  push(page, sample);
  backends(page, sample);
  failover(page, sample);
  if (sample.stats) {
    counts(page, *sample.stats);
    ports(page, *sample.stats);
    workers(page, *sample.stats);
  }
  return page.take();
}

}  // namespace headgate::monitor
