#include "dataplane/app/box.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "dataplane/app/probe_device.h"
#include "dataplane/app/steered.h"
#include "dataplane/http/site.h"
#include "dataplane/snapshot/store.h"
#include "dataplane/snapshot/update.h"

namespace headgate::app {

namespace pb = dataplane::v1;
using snapshot::Interface;
using snapshot::Snapshot;

namespace {

constexpr auto kSwitchTimeout = std::chrono::seconds(2);
constexpr const char* kVersion = "0.1.0";

void add(std::vector<pb::SnapshotError>& troubles, const std::string& path, const std::string& message) {
  pb::SnapshotError& trouble = troubles.emplace_back();
  trouble.set_path(path);
  trouble.set_message(message);
}

Result<std::shared_ptr<const http::Site>> compile_site(const snapshot::Service& service, PoolId pool,
                                                       const snapshot::ProxySpec& proxy,
                                                       const snapshot::HttpSpec& http) {
  return http::compile_site({.service = service.id, .pool = pool, .proxy = proxy, .http = http});
}

}  // namespace

Box::Box(std::vector<BoxPort> ports, std::unique_ptr<Fleet> fleet, rte_mempool* pool, const std::string& state_dir,
         std::uint64_t seed)
    : ports_(std::move(ports)),
      fleet_(std::move(fleet)),
      pool_(pool),
      seed_(seed),
      slots_(seed),
      service_base_(snapshot::kServiceSlots),
      backend_base_(snapshot::kBackendSlots),
      keeper_(state_dir + "/snapshot") {
  for (const BoxPort& port : ports_) {
    port_names_.push_back(port.name);
    const bool up = port.port->link().up;
    links_.push_back({up, port.port->link_changes()});
    if (!up) spdlog::warn("port {}: link is down", port.name);
  }
  std::vector<port::Port*> borrowed;
  for (const BoxPort& port : ports_) borrowed.push_back(port.port.get());
  election_ = std::make_unique<Election>(*fleet_, std::move(borrowed));
}

Box::~Box() {
  election_->stop();
  log_election();
  election_.reset();
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
  for (unsigned i = 0; i < fleet_->size(); ++i) {
    flow_limit += fleet_->at(i).flows().capacity();
    if (const worker::Proxies* proxies = fleet_->at(i).proxies()) flow_limit += proxies->capacity();
  }
  auto built = snapshot::build(message, {.port_names = port_names_,
                                         .previous = running.get(),
                                         .slots = slots_,
                                         .hash_key = seed_,
                                         .flow_limit = static_cast<std::uint32_t>(flow_limit),
                                         .compile_site = compile_site});
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
  message_ = std::make_shared<const pb::Snapshot>(message);
  log_changes(settle(*next));
  for (const pb::SnapshotError& trouble : switch_to(next)) *reply.add_warning() = trouble;
  election_->configure(*next);
  keeper_.keep({message_, next});
  spdlog::info("snapshot {} runs: {} services, {} pools, {} backends", next->generation, next->services.size(),
               next->pools.size(), next->backends.size());
  reply.set_accepted(true);
  reply.set_running_generation(next->generation);
  reply.set_running_digest(next->digest);
  return reply;
}

Box::Troubles Box::switch_to(std::shared_ptr<const Snapshot> next) {
  const std::uint64_t generation = next->generation;
  fleet_->publisher().publish(std::move(next));
  fleet_->wake_all();
  Troubles troubles = troubles_;
  if (!fleet_->publisher().wait_until_running(generation, kSwitchTimeout)) {
    // Nothing to try again: it switches as soon as it comes round. `show workers` has the generation of each.
    add(troubles, "worker",
        "a worker did not take the snapshot up within " + std::to_string(kSwitchTimeout.count()) +
            " s; it will when it comes round");
    spdlog::error("snapshot {}: {}", generation, troubles.back().message());
  }
  return troubles;
}

pb::StateReply Box::update_state(const pb::StateUpdate& message) {
  const std::scoped_lock lock(mutex_);
  const auto running = fleet_->publisher().current();
  const auto updated = snapshot::update(message, {.running = running.get(), .slots = slots_, .hash_key = seed_});
  pb::StateReply reply;
  if (updated) {
    for (const pb::SnapshotError& trouble : switch_to(*updated)) *reply.add_warning() = trouble;
    keeper_.keep_soon({message_, *updated});
    spdlog::debug("snapshot {} runs: states of {} backends", message.generation(), message.backend_size());
  } else {
    for (const snapshot::SnapshotError& error : updated.error().errors) {
      auto* e = reply.add_error();
      e->set_path(error.path);
      e->set_message(error.message);
    }
    const snapshot::SnapshotError& first = updated.error().errors.front();
    spdlog::warn("state update {} refused: {}: {}", message.generation(), first.path, first.message);
  }
  reply.set_outcome(updated ? pb::APPLIED : updated.error().resync ? pb::RESYNC : pb::INVALID);
  if (const auto& now = fleet_->publisher().current()) {
    reply.set_running_generation(now->generation);
    reply.set_running_digest(now->digest);
  }
  return reply;
}

void Box::start_from_kept() {
  const auto bytes = snapshot::load(keeper_.path());
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

Box::Troubles Box::settle(const Snapshot& snapshot) {
  Troubles troubles;
  configure_probe_device(troubles);
  steer(snapshot, troubles);
  check_mtus(snapshot, troubles);
  return troubles;
}

// Addresses are added before they are removed: a setter that fails leaves what ran before.
void Box::steer(const Snapshot& snapshot, Troubles& troubles) {
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    xdp::Steering* steering = ports_[i].port->steering();
    if (steering == nullptr) continue;
    const Steered steered = steered_to(snapshot, static_cast<std::uint16_t>(i));
    const auto report = [&](const Result<void>& result) {
      if (!result) add(troubles, "port " + ports_[i].name, "steering: " + result.error().message);
    };
    report(steering->refresh_kernel_addresses());
    report(steering->set_addresses(steered.addresses));
    report(steering->set_vrids(steered.vrids));
    report(steering->set_gateway(!steered.gateway.empty(), steered.gateway));
  }
}

void Box::check_mtus(const Snapshot& snapshot, Troubles& troubles) const {
  for (std::size_t i = 0; i < snapshot.interfaces.size(); ++i) {
    const Interface& interface = snapshot.interfaces[i];
    if (interface.port >= ports_.size() || interface.mtu <= ports_[interface.port].port->mtu()) continue;
    const BoxPort& port = ports_[interface.port];
    add(troubles, "interface[" + std::to_string(i) + "].mtu",
        "the MTU of " + interface.name + ", " + std::to_string(interface.mtu) + ", is above the " +
            std::to_string(port.port->mtu()) + " of port " + port.name +
            "; longer packets are lost. Lower it, or give the port mtu= on the dataplane's command line");
  }
}

// Each trouble is said when it comes and when it goes, not with every try.
void Box::log_changes(const Troubles& now) {
  const auto has = [](const Troubles& troubles, const pb::SnapshotError& wanted) {
    return std::ranges::any_of(troubles, [&](const pb::SnapshotError& one) {
      return one.path() == wanted.path() && one.message() == wanted.message();
    });
  };
  for (const pb::SnapshotError& one : now) {
    if (!has(troubles_, one)) spdlog::error("{}: {}", one.path(), one.message());
  }
  for (const pb::SnapshotError& one : troubles_) {
    if (!has(now, one)) spdlog::info("{}: works now, before: {}", one.path(), one.message());
  }
  troubles_ = now;
}

void Box::configure_probe_device(Troubles& troubles) {
  if (message_ == nullptr || message_->probe().port().empty()) return;
  const pb::Probe& probe = message_->probe();
  const std::uint16_t index = port_index(probe.port());
  if (index == snapshot::kNone) return;
  const port::KernelInterface* kernel = ports_[index].port->kernel_interface();
  const std::string wanted = probe.prefix_v4() + " " + probe.prefix_v6();
  if (kernel == nullptr || wanted == probe_configured_) return;
  if (const auto done = set_up_probe_device(ports_[index].port->spec().device, probe.prefix_v4(), probe.prefix_v6());
      !done) {
    add(troubles, "probe", done.error().message);
    return;
  }
  probe_configured_ = wanted;
}

void Box::set_bases(const Snapshot& snapshot) {
  for (const auto& service : snapshot.services) {
    if (service_base_[service.slot].id != service.id.value)
      service_base_[service.slot] = {
          service.id.value, sum(true, service.slot), refused(service.slot), {}, session_totals(*fleet_, service.slot)};
  }
  for (const auto& backend : snapshot.backends) {
    if (backend_base_[backend.slot].id != backend.id.value)
      backend_base_[backend.slot] = {backend.id.value, sum(false, backend.slot), {}, conduct(backend.slot), {}};
  }
}

void Box::release_slots() {
  if (!fleet_->publisher().reclaim()) return;  // a worker may still start flows with an old snapshot
  using snapshot::SlotKind;
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
  for (const Slot slot : slots_.retired(SlotKind::local_address)) {
    if (local_ports(slot) == 0) slots_.release(SlotKind::local_address, slot);
  }
}

void Box::log_election() {
  for (const std::string& line : election_->take_log()) spdlog::warn("{}", line);
}

void Box::tend() {
  log_election();
  const std::scoped_lock lock(mutex_);
  release_slots();
  watch_links();
  // Only what may work without another snapshot is tried again.
  const bool again =
      std::ranges::any_of(troubles_, [](const auto& one) { return !one.path().starts_with("interface"); });
  if (again) log_changes(settle(*fleet_->publisher().current()));
  for (const BoxPort& port : ports_) {
    if (xdp::Steering* steering = port.port->steering()) {
      if (const auto result = steering->refresh_kernel_addresses(); !result)
        spdlog::warn("port {}: {}", port.name, result.error().message);
    }
  }
}

void Box::watch_links() {
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    const port::LinkState link = ports_[i].port->link();
    const std::uint32_t changes = ports_[i].port->link_changes();
    if (link.up != links_[i].up) {
      if (link.up) {
        spdlog::info("port {}: link is up{}", ports_[i].name,
                     link.speed_mbps != 0 ? ", " + std::to_string(link.speed_mbps) + " Mbit/s" : "");
      } else {
        spdlog::warn("port {}: link is down", ports_[i].name);
      }
    } else if (changes != links_[i].changes) {
      spdlog::warn("port {}: link flapped, {} changes within a second; it is {}", ports_[i].name,
                   changes - links_[i].changes, link.up ? "up" : "down");
    }
    links_[i] = {link.up, changes};
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
    b->set_weight(backend.weight);
    b->set_drain(backend.drain);
  }
}

}  // namespace headgate::app
