// What the box tells of itself: Box::stats, read from the workers' counters without disturbing them.
#include <rte_mempool.h>

#include <algorithm>

#include "dataplane/app/box.h"
#include "dataplane/app/session_stats.h"
#include "dataplane/neighbor/limits.h"

namespace headgate::app {

namespace pb = dataplane::v1;

std::array<std::uint64_t, 6> Box::sum(bool service, Slot slot) const {
  std::array<std::uint64_t, 6> total{};
  for (unsigned i = 0; i < fleet_->size(); ++i) {
    const telemetry::WorkerCounters& counters = fleet_->at(i).counters();
    const telemetry::Traffic& traffic = (service ? counters.service : counters.backend)[slot];
    const std::array<std::uint64_t, 6> one{traffic.packets_in.read(),    traffic.bytes_in.read(),
                                           traffic.packets_out.read(),   traffic.bytes_out.read(),
                                           traffic.flows_started.read(), traffic.flows_ended.read()};
    for (std::size_t k = 0; k < one.size(); ++k) total[k] += one[k];
  }
  return total;
}

namespace {

void fill(pb::TrafficCounters* out, const std::array<std::uint64_t, 6>& now, const std::array<std::uint64_t, 6>& base) {
  out->set_packets_in(now[0] - base[0]);
  out->set_bytes_in(now[1] - base[1]);
  out->set_packets_out(now[2] - base[2]);
  out->set_bytes_out(now[3] - base[3]);
  out->set_flows_total(now[4] - base[4]);
  out->set_flows_now(now[4] > now[5] ? now[4] - now[5] : 0);
}

void add(pb::TrafficCounters* out, const pb::TrafficCounters& one) {
  out->set_packets_in(out->packets_in() + one.packets_in());
  out->set_bytes_in(out->bytes_in() + one.bytes_in());
  out->set_packets_out(out->packets_out() + one.packets_out());
  out->set_bytes_out(out->bytes_out() + one.bytes_out());
  out->set_flows_total(out->flows_total() + one.flows_total());
  out->set_flows_now(out->flows_now() + one.flows_now());
}

void fill_worker(pb::WorkerStats* out, const worker::Worker& worker) {
  const telemetry::WorkerCounters& c = worker.counters();
  out->set_worker(worker.index());
  out->set_steps(c.steps.read());
  out->set_busy_steps(c.busy_steps.read());
  out->set_busy_ns(c.busy_ns.read());
  std::uint64_t packets = 0;
  for (unsigned i = 0; i < telemetry::kExits; ++i) {
    const auto exit = static_cast<telemetry::Exit>(i);
    packets += c.exits[i].read();
    if (c.exits[i].read() == 0) continue;
    auto* e = out->add_exit();
    e->set_reason(telemetry::to_string(exit));
    e->set_packets(c.exits[i].read());
    e->set_meaning(telemetry::describe(exit));
  }
  out->set_packets(packets);
  for (const auto& counter : c.batches) out->add_batch_size_histogram(counter.read());
  for (unsigned i = 0; i < telemetry::kDropReasons; ++i) {
    if (c.drops[i].read() == 0 && c.answers[i].read() == 0) continue;
    const auto reason = static_cast<telemetry::DropReason>(i);
    auto* d = out->add_drop();
    d->set_reason(telemetry::to_string(reason));
    d->set_packets(c.drops[i].read());
    d->set_answered(c.answers[i].read());
    d->set_meaning(telemetry::describe(reason));
  }
  for (unsigned i = 0; i < telemetry::kHandovers; ++i) {
    if (c.handovers[i].read() == 0) continue;
    const auto reason = static_cast<telemetry::Handover>(i);
    auto* h = out->add_handover();
    h->set_reason(telemetry::to_string(reason));
    h->set_packets(c.handovers[i].read());
    h->set_meaning(telemetry::describe(reason));
  }
  out->set_flows_now(c.flows_now.read());
  out->set_flows_max(worker.flows().capacity());
  out->set_sleeps(c.sleeps.read());
  out->set_flows_shed(c.flows_shed.read());
}

// Published by the worker ten times a second: the engine's own counters are the worker's alone.
void fill_tcp(pb::WorkerStats* out, const worker::Worker& worker) {
  const telemetry::WorkerCounters& c = worker.counters();
  const worker::Proxies* proxies = worker.proxies();
  if (proxies == nullptr) return;
  for (unsigned i = 0; i < telemetry::kEngineCounters; ++i) {
    const telemetry::CounterText& text = telemetry::kEngineCounterTexts[i];
    add_count(out->mutable_tcp(), text.name, c.engine[i].read(), text.meaning);
  }
  out->set_connections_now(c.connections_now.read());
  out->set_connections_max(proxies->capacity());
  out->set_sessions_now(c.sessions_now.read());
  out->set_half_open_now(c.half_open_now.read());
  out->set_time_wait_now(c.time_waits_now.read());
  out->set_tcp_memory(c.tcp_memory_now.read());
  out->set_tcp_memory_max(proxies->memory_max());
  out->set_http_requests_now(c.http_requests_now.read());
  out->set_http_idle_backend_connections_now(c.http_idle_links_now.read());
}

}  // namespace

Box::Refused Box::refused(Slot service) const {
  Refused total{};
  for (unsigned i = 0; i < fleet_->size(); ++i) {
    const telemetry::Refusals& one = fleet_->at(i).counters().service_refused[service];
    for (std::size_t k = 0; k < total.size(); ++k) total[k] += one.by_reason[k].read();
  }
  return total;
}

Box::Conduct Box::conduct(Slot backend) const {
  Conduct total{};
  for (unsigned i = 0; i < fleet_->size(); ++i) {
    const telemetry::BackendConduct& one = fleet_->at(i).counters().conduct[backend];
    total[0] += one.connects.read();
    total[1] += one.connect_failures.read();
    total[2] += one.resets.read();
  }
  return total;
}

std::uint64_t Box::local_ports(Slot local) const {
  std::uint64_t total = 0;
  for (unsigned i = 0; i < fleet_->size(); ++i) total += fleet_->at(i).ports().live_of(local);
  return total;
}

void Box::fill_service(pb::ServiceStats* out, const snapshot::Service& service) const {
  const Base& base = service_base_[service.slot];
  out->set_id(service.id.value);
  out->set_name(fleet_->publisher().current()->name_of(service));
  fill(out->mutable_traffic(), sum(true, service.slot), base.traffic);
  const Refused now = refused(service.slot);
  for (std::size_t k = 0; k < now.size(); ++k) {
    if (now[k] == base.refused[k]) continue;
    auto* drop = out->add_drop();
    const bool named = k < telemetry::kRefusals.size();
    drop->set_reason(named ? telemetry::to_string(telemetry::kRefusals[k]) : "other");
    drop->set_packets(now[k] - base.refused[k]);
    drop->set_meaning(named ? telemetry::describe(telemetry::kRefusals[k]) : "refused for another reason");
  }
  if (service.proxied()) fill_sessions(*fleet_, service, base.sessions, out);
}

// Tables and pools that can run out, and how far they are from it.
void Box::fill_gauges(pb::StatsReply& reply) const {
  const auto gauge = [&reply](const std::string& name, std::uint64_t used, std::uint64_t size) {
    auto* g = reply.add_gauge();
    g->set_name(name);
    g->set_used(used);
    g->set_size(size);
    g->set_free(size > used ? size - used : 0);
  };
  const auto pool = [&gauge](const std::string& name, const rte_mempool* buffers) {
    gauge(name, buffers->size - std::min(buffers->size, rte_mempool_avail_count(buffers)), buffers->size);
  };
  pool("packet_buffers", pool_);
  for (const BoxPort& port : ports_) {
    for (const rte_mempool* buffers : port.port->pools()) pool("rx_buffers " + port.name, buffers);
  }
  std::uint64_t neighbors = 0, fragments = 0;
  for (unsigned i = 0; i < fleet_->size(); ++i) {
    neighbors = std::max(neighbors, fleet_->at(i).counters().neighbors_now.read());
    fragments = std::max(fragments, fleet_->at(i).counters().fragments_now.read());
  }
  gauge("neighbors", neighbors, neighbor::kNeighborsMax);    // every worker has the same
  gauge("fragments", fragments, flow::kFragmentEntriesMax);  // of the worker with most
  if (const auto& snapshot = fleet_->publisher().current()) {
    for (const auto& local : snapshot->local_addresses)
      gauge("local_ports " + to_string(local.address), local_ports(local.slot), 0);
  }
}

BusyTimes Box::busy() const {
  BusyTimes busy{std::chrono::steady_clock::now(), {}};
  for (unsigned i = 0; i < fleet_->size(); ++i) busy.workers.push_back(fleet_->at(i).counters().busy_ns.read());
  return busy;
}

void Box::stats(pb::StatsReply& reply, BusyTimes& since) const {
  const std::scoped_lock lock(mutex_);
  const auto& snapshot = fleet_->publisher().current();
  if (snapshot) {
    reply.set_generation(snapshot->generation);
    reply.mutable_time_bound_us()->Assign(telemetry::kTimeBoundsUs.begin(), telemetry::kTimeBoundsUs.end());
    for (const auto& service : snapshot->services) {
      fill_service(reply.add_service(), service);
    }
    for (const auto& pool : snapshot->pools) {
      auto* p = reply.add_pool();
      p->set_id(pool.id.value);
      p->set_name(snapshot->name_of(pool));
      for (std::uint16_t i = 0; i < pool.backend_count; ++i) {
        const auto& backend = snapshot->backends[pool.first_backend + i];
        auto* b = reply.add_backend();
        b->set_id(backend.id.value);
        b->set_name(snapshot->name_of(backend));
        b->set_pool_id(pool.id.value);
        b->set_health(backend.up ? pb::UP : pb::DOWN);
        b->set_drain(backend.drain);
        const Base& base = backend_base_[backend.slot];
        fill(b->mutable_traffic(), sum(false, backend.slot), base.traffic);
        const Conduct now = conduct(backend.slot);
        b->set_connects(now[0] - base.conduct[0]);
        b->set_connect_failures(now[1] - base.conduct[1]);
        b->set_resets(now[2] - base.conduct[2]);
        add(p->mutable_traffic(), b->traffic());
      }
    }
  }
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    const port::Port& port = *ports_[i].port;
    const port::PortStats stats = port.stats();
    const port::LinkState link = port.link();
    auto* p = reply.add_port();
    p->set_name(ports_[i].name);
    p->set_link_up(link.up);
    p->set_link_mbps(link.speed_mbps);
    p->set_mac(to_string(port.mac()));
    p->set_rx_packets(stats.rx_frames);
    p->set_rx_bytes(stats.rx_bytes);
    p->set_tx_packets(stats.tx_frames);
    p->set_tx_bytes(stats.tx_bytes);
    p->set_rx_errors(stats.rx_errors);
    p->set_tx_errors(stats.tx_errors);
    p->set_rx_missed(stats.rx_missed);
    p->set_rx_no_buffer(stats.rx_no_buffer);
    p->set_queues(port.queues());
    p->set_driver(port.driver());
    p->set_mtu(port.mtu());
    std::uint64_t matched = 0, missed = 0;
    for (unsigned w = 0; w < fleet_->size(); ++w) {
      matched += fleet_->at(w).counters().steering[i].matched.read();
      missed += fleet_->at(w).counters().steering[i].missed.read();
    }
    p->set_steering(worker::steering_state(port.rss_state().programmed, matched, missed));
  }
  const BusyTimes now = busy();
  const auto span_ns = static_cast<double>(std::chrono::nanoseconds(now.at - since.at).count());
  for (unsigned i = 0; i < fleet_->size(); ++i) {
    auto* w = reply.add_worker();
    fill_worker(w, fleet_->at(i));
    fill_tcp(w, fleet_->at(i));
    w->set_generation(fleet_->publisher().running_generation(i));
    w->set_busy_share(std::min(1.0, static_cast<double>(now.workers[i] - since.workers[i]) / span_ns));
  }
  since = now;
  fill_gauges(reply);
}

}  // namespace headgate::app
