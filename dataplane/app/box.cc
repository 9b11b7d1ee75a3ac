#include "dataplane/app/box.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "dataplane/app/probe_device.h"
#include "dataplane/snapshot/store.h"

namespace headgate::app {

namespace pb = dataplane::v1;
using snapshot::Egress;
using snapshot::Interface;
using snapshot::Snapshot;

namespace {

constexpr auto kSwitchTimeout = std::chrono::seconds(2);
constexpr const char* kVersion = "0.1.0";

}  // namespace

Box::Box(std::vector<BoxPort> ports, std::unique_ptr<Fleet> fleet, rte_mempool* pool, std::string state_dir,
         std::uint64_t seed)
    : ports_(std::move(ports)),
      fleet_(std::move(fleet)),
      pool_(pool),
      state_dir_(std::move(state_dir)),
      seed_(seed),
      slots_(seed),
      service_base_(snapshot::kServiceSlots),
      backend_base_(snapshot::kBackendSlots) {
  for (const BoxPort& port : ports_) port_names_.push_back(port.name);
}

Box::~Box() {
  fleet_->stop();
}

std::uint16_t Box::port_index(const std::string& name) const {
  const auto it = std::find(port_names_.begin(), port_names_.end(), name);
  return it == port_names_.end() ? snapshot::kNone : static_cast<std::uint16_t>(it - port_names_.begin());
}

std::shared_ptr<const Snapshot> Box::current() const {
  const std::scoped_lock lock(mutex_);
  return fleet_->publisher().current();
}

pb::ApplyReply Box::apply(const pb::Snapshot& message) {
  const std::scoped_lock lock(mutex_);
  pb::ApplyReply reply;
  const auto& running = fleet_->publisher().current();
  std::uint64_t flow_limit = 0;
  for (unsigned i = 0; i < fleet_->size(); ++i) flow_limit += fleet_->at(i).flows().capacity();
  auto built = snapshot::build(message, {.port_names = port_names_,
                                         .previous = running.get(),
                                         .slots = slots_,
                                         .hash_key = seed_,
                                         .flow_limit = static_cast<std::uint32_t>(flow_limit)});
  if (!built) {
    for (const snapshot::SnapshotError& error : built.error()) {
      auto* e = reply.add_error();
      e->set_path(error.path);
      e->set_message(error.message);
    }
    reply.set_running_generation(running ? running->generation : 0);
    reply.set_running_digest(running ? running->digest : "");
    spdlog::warn("snapshot {} refused: {} errors, first: {}: {}", message.generation(), built.error().size(),
                 built.error().front().path, built.error().front().message);
    return reply;
  }
  const std::shared_ptr<const Snapshot> next = *built;
  set_bases(*next);
  configure_probe_device(message);
  steer(*next);
  fleet_->publisher().publish(next);
  fleet_->wake_all();
  if (!fleet_->publisher().wait_until_running(next->generation, kSwitchTimeout)) {
    spdlog::error("snapshot {}: a worker did not take it up within {} s", next->generation, kSwitchTimeout.count());
  }
  message_ = message;
  if (const auto stored = snapshot::store(state_dir_ + "/snapshot", message.SerializeAsString()); !stored) {
    spdlog::error("snapshot {} runs but could not be kept for a restart: {}", next->generation, stored.error().message);
  }
  spdlog::info("snapshot {} runs: {} services, {} pools, {} backends", next->generation, next->services.size(),
               next->pools.size(), next->backends.size());
  reply.set_accepted(true);
  reply.set_running_generation(next->generation);
  reply.set_running_digest(next->digest);
  return reply;
}

void Box::start_from_kept() {
  const auto bytes = snapshot::load(state_dir_ + "/snapshot");
  if (!bytes) {
    if (bytes.error().code != ErrorCode::not_found) spdlog::warn("kept snapshot ignored: {}", bytes.error().message);
    return;
  }
  pb::Snapshot message;
  if (!message.ParseFromString(*bytes)) {
    spdlog::warn("kept snapshot ignored: its content is not a snapshot");
    return;
  }
  if (apply(message).accepted()) spdlog::info("forwarding from the kept snapshot {}", message.generation());
}

// Which frames of shared interfaces come to us: see design section 3, AF_XDP steering.
void Box::steer(const Snapshot& snapshot) {
  std::vector<IpAddress> own;
  for (const auto& service : snapshot.services) own.push_back(service.address);
  for (const auto& local : snapshot.local_addresses) own.push_back(local.address);
  for (const Interface& interface : snapshot.interfaces)
    own.insert(own.end(), interface.addresses.begin(), interface.addresses.end());
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    xdp::Steering* steering = ports_[i].port->steering();
    if (steering == nullptr) continue;
    std::vector<IpAddress> addresses = own;
    std::vector<IpPrefix> gateway;
    for (const Interface& interface : snapshot.interfaces) {
      if (interface.port == i && interface.gateway) {
        for (const IpPrefix& prefix : interface.prefixes) gateway.push_back(prefix.network());
      }
      // Replies to the servers' routed traffic arrive elsewhere, addressed to the servers themselves.
      if (interface.port != i && interface.egress == Egress::route) {
        for (const auto& backend : snapshot.backends) {
          for (const IpPrefix& prefix : interface.prefixes) {
            if (prefix.contains(backend.address)) addresses.push_back(backend.address);
          }
        }
      }
    }
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    const auto report = [&](const Result<void>& result) {
      if (!result) spdlog::error("port {}: steering: {}", ports_[i].name, result.error().message);
    };
    report(steering->refresh_kernel_addresses());
    report(steering->set_addresses(addresses));
    report(steering->set_gateway(!gateway.empty(), gateway));
  }
}

void Box::configure_probe_device(const pb::Snapshot& message) {
  if (!message.has_probe() || message.probe().port().empty()) return;
  const std::uint16_t index = port_index(message.probe().port());
  if (index == snapshot::kNone) return;
  const port::KernelInterface* kernel = ports_[index].port->kernel_interface();
  const std::string wanted = message.probe().prefix_v4() + " " + message.probe().prefix_v6();
  if (kernel == nullptr || wanted == probe_configured_) return;
  if (const auto done = set_up_probe_device(ports_[index].port->spec().device, message.probe().prefix_v4(),
                                            message.probe().prefix_v6());
      !done) {
    spdlog::error("probe device: {}", done.error().message);
    return;
  }
  probe_configured_ = wanted;
}

void Box::set_bases(const Snapshot& snapshot) {
  for (const auto& service : snapshot.services) {
    if (service_base_[service.slot].id != service.id.value)
      service_base_[service.slot] = {service.id.value, sum(true, service.slot)};
  }
  for (const auto& backend : snapshot.backends) {
    if (backend_base_[backend.slot].id != backend.id.value)
      backend_base_[backend.slot] = {backend.id.value, sum(false, backend.slot)};
  }
}

void Box::release_slots() {
  if (!fleet_->publisher().reclaim()) return;  // a worker may still start flows with an old snapshot
  using snapshot::SlotKind;
  bool any_flow = false;
  for (unsigned i = 0; i < fleet_->size(); ++i) any_flow = any_flow || fleet_->at(i).counters().flows_now.read() != 0;
  for (const bool service : {true, false}) {
    const SlotKind kind = service ? SlotKind::service : SlotKind::backend;
    for (const Slot slot : slots_.retired(kind)) {
      const auto total = sum(service, slot);
      if (total[4] != total[5]) continue;  // flows started, flows ended
      slots_.release(kind, slot);
      (service ? service_base_ : backend_base_)[slot].id = 0;
    }
  }
  for (const Slot slot : slots_.retired(SlotKind::pool)) slots_.release(SlotKind::pool, slot);
  // Flows are not counted per local address: its slot waits for a moment without any.
  if (!any_flow) {
    for (const Slot slot : slots_.retired(SlotKind::local_address)) slots_.release(SlotKind::local_address, slot);
  }
}

void Box::tend() {
  const std::scoped_lock lock(mutex_);
  release_slots();
  for (const BoxPort& port : ports_) {
    if (xdp::Steering* steering = port.port->steering()) {
      if (const auto result = steering->refresh_kernel_addresses(); !result)
        spdlog::warn("port {}: {}", port.name, result.error().message);
    }
  }
}

void Box::running(pb::RunningReply& reply) const {
  const std::scoped_lock lock(mutex_);
  const auto& snapshot = fleet_->publisher().current();
  reply.set_version(kVersion);
  reply.set_workers(fleet_->size());
  reply.set_pid(static_cast<std::uint64_t>(getpid()));
  for (const std::string& name : port_names_) reply.add_port(name);
  if (!snapshot) return;
  reply.set_generation(snapshot->generation);
  reply.set_digest(snapshot->digest);
  reply.set_epoch(snapshot->epoch);
  for (const auto& backend : snapshot->backends) {
    auto* b = reply.add_backend();
    b->set_backend_id(backend.id.value);
    b->set_health(backend.up ? pb::UP : pb::DOWN);
  }
}

}  // namespace headgate::app
