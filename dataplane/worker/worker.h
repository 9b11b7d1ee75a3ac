// A worker: one deterministic function, step(now, frames in) -> frames out, over the snapshot, its mailboxes and its
// own tables. It reads no clock, makes no system call, allocates nothing per packet and holds no lock.
//
// Life of a packet (design section 3): pass 1 parses and hashes a burst, pass 2 prefetches, pass 3 acts. A packet of a
// known flow is rewritten and sent (forwarding.cc); any other is admitted or refused (admission.cc: decide() says what
// would happen and changes nothing, execute() does it; explain() is decide() in words).
//
// Thread rule: everything but the constructor, post() and the counters' readers runs on the worker's thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/balance/balancer.h"
#include "dataplane/balance/connection_limit.h"
#include "dataplane/balance/persistence.h"
#include "dataplane/base/check.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/token_bucket.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/fragment_table.h"
#include "dataplane/flow/port_allocator.h"
#include "dataplane/neighbor/neighbor_table.h"
#include "dataplane/neighbor/resolver.h"
#include "dataplane/packet/build.h"
#include "dataplane/packet/packet_info.h"
#include "dataplane/snapshot/model.h"
#include "dataplane/snapshot/publisher.h"
#include "dataplane/telemetry/capture.h"
#include "dataplane/telemetry/counters.h"
#include "dataplane/worker/decision.h"
#include "dataplane/worker/failover_link.h"
#include "dataplane/worker/limits.h"
#include "dataplane/worker/mailbox.h"
#include "dataplane/worker/proxies.h"
#include "dataplane/worker/steering.h"
#include "dataplane/worker/tx_batch.h"

struct rte_mbuf;
struct rte_mempool;

namespace headgate::worker {

struct Frame {
  rte_mbuf* mbuf = nullptr;
  std::uint16_t port = 0;
};

// What a worker must know of a port. Index = position on the command line.
struct PortFacts {
  MacAddress mac;
  std::uint16_t exception = snapshot::kNone;  // this port's way to the kernel
  std::uint16_t physical = snapshot::kNone;   // set on an exception port: the port it belongs to
  bool nic_steers = false;                    // RSS is programmed with our key and map: to be proved on traffic
  unsigned tx_queues = 1;                     // workers with index >= tx_queues send through worker 0
  bool chains = true;                         // sends frames of several buffers as they are
};

struct WorkerConfig {
  unsigned index = 0;
  std::uint32_t flows = 1 << 20;
  std::uint64_t seed = 1;
  std::vector<PortFacts> ports;
  rte_mempool* pool = nullptr;  // for what the worker itself says
  ProxyConfig proxy{};
};

// What the workers of a box share. Borrowed; outlives them.
struct Shared {
  const Steering& steering;
  Mailboxes& mailboxes;
  balance::LimitBoard& limits;
  balance::LoadBoard& loads;
  FailoverLink* failover = nullptr;  // none: no group is ever active
};

// `nic` once the first 1,000 packets proved it, `software` where the NIC does not steer or was caught, else `unproven`.
const char* steering_state(bool nic_steers, std::uint64_t matched, std::uint64_t missed);

telemetry::DropReason reason_of(packet::ParseError error);

class Worker final : private neighbor::ResolverSink {
 public:
  Worker(const WorkerConfig& config, const Shared& shared, snapshot::Publisher::Reader& reader);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Takes ownership of the frames' buffers; everything to send is in `tx` afterwards (and owned by it).
  void step(Nanos now, std::span<const Frame> frames, TxBatch& tx);
  // Seconds since 1970: what HTTP says and logs. Before step(), when a second began or so.
  void set_unix_time(std::int64_t unix_s) {
    if (proxies_) proxies_->set_unix_time(unix_s);
  }
  // The time at which step() has something to do although no frame came.
  Nanos next_deadline() const;
  bool has_mail_for(unsigned worker) const { return !shared_.mailboxes.at(config_.index, worker).empty(); }
  bool mailbox_empty() const { return shared_.mailboxes.empty_for(config_.index) && !control_pending(); }

  // From another thread: run `task` on the worker's thread between packets. One task at a time; false while one waits.
  // The task must be short (bounded slices).
  using Task = void (*)(Worker&, void*);
  bool post(Task task, void* argument);
  bool control_pending() const { return task_state_.load(std::memory_order_acquire) != TaskState::none; }
  // Takes a task back that has not begun; false when it has.
  bool withdraw();

  // On the worker's thread (tasks, tests):
  Explanation explain(std::span<const std::uint8_t> frame, std::uint16_t port, const Visit& visit = {}) const;
  // The route, the head as the backend would see it, the backend: steps and backend of the answer, nothing else.
  Explanation explain_request(const RequestQuestion& question) const;
  void set_capture(telemetry::Capture* capture) { capture_ = capture; }
  flow::FlowTable& flows() { return flows_; }
  const flow::FlowTable& flows() const { return flows_; }
  void end_flow(flow::Flow& flow);
  void clear_flow(flow::Flow& flow);  // by an operator: RST to both sides, then gone
  // Flows that may still be cleared in this step: what does not fit into its batch would be lost, and peers would hang.
  unsigned resets_left() const { return resets_left_; }
  Nanos now() const { return now_; }
  const neighbor::NeighborTable& neighbors() const { return neighbors_; }
  const snapshot::Snapshot* snapshot() const { return snapshot_; }
  // The backend persistence would give this client; only the decider of its prefix knows.
  Slot persistent_slot(const snapshot::Pool& pool, const IpAddress& client) const {
    const std::uint16_t index =
        pool.persistence_timeout == 0 ? snapshot::kNone : persistence_.find(*snapshot_, pool, client, now_);
    return index == snapshot::kNone ? kNoSlot : snapshot_->backends[index].slot;
  }
  std::uint32_t now_ms() const { return now_ms_; }
  unsigned index() const { return config_.index; }

  telemetry::WorkerCounters& counters() { return counters_; }
  const telemetry::WorkerCounters& counters() const { return counters_; }
  const flow::PortAllocator& ports() const { return ports_; }
  std::size_t held() const;
  Proxies* proxies() { return proxies_.get(); }  // null: nothing is proxied here
  const Proxies* proxies() const { return proxies_.get(); }

 private:
  struct Packet {
    rte_mbuf* mbuf = nullptr;
    std::uint8_t* data = nullptr;  // start of the frame
    std::uint16_t port = 0;
    packet::ParseError error = packet::ParseError::none;
    const snapshot::Interface* interface = nullptr;
    std::uint64_t hash = 0;
    packet::PacketInfo info;
  };

  // worker.cc: the batch
  void switch_snapshot();
  void switch_layout();
  void doubt_hops();
  void run_task();
  void take_messages();
  void take_message(Message& message);
  void pass1(Packet& p, const Frame& frame);
  Fate process(Packet& p, const Visit& visit);
  void finish(Packet& p, Fate fate);
  void timers();
  bool parse(Packet& p, rte_mbuf* mbuf, std::uint16_t port);
  void learn_macs();
  void learn_virtual_macs();
  bool addressed_to_us(const Packet& p) const;
  snapshot::GroupSlot group_of_mac(std::uint16_t port, const std::uint8_t* mac) const;
  // Of the address that the packet is sent to, which is whom an answer speaks for.
  snapshot::GroupSlot group_addressed(const Packet& p) const {
    if (snapshot_->groups.empty() || !p.info.is_ip()) return snapshot::kNoGroup;
    const snapshot::OwnAddress* own = snapshot_->own_addresses.find(p.info.tuple.dst);
    return own == nullptr ? snapshot::kNoGroup : own->group;
  }
  bool is_active(snapshot::GroupSlot group) const { return ((active_ >> group) & 1) != 0; }
  bool l4_checksum_ok(const Packet& p) const;
  Fate give(Packet& p, unsigned worker, Message::Kind kind, telemetry::Handover why, const Visit& visit = {});
  Fate drop(telemetry::DropReason reason) const { return {telemetry::Exit::dropped, reason}; }
  void count_drop(telemetry::DropReason reason, std::uint64_t n = 1);
  Fate fragment(Packet& p, bool owner_known);
  void give_up(const flow::HeldFragment& held);
  Fate resume(Packet& p, const Visit& visit);
  void prove_steering(const Packet& p);

  // admission.cc
  Decision decide(const Packet& p, const Visit& visit) const;
  Decision decide_miss(const Packet& p, const Visit& visit) const;
  Decision decide_service(const Packet& p, const snapshot::Service& service, const Visit& visit) const;
  Decision decide_own_address(const Packet& p, const snapshot::OwnAddress& own, const Visit& visit) const;
  Decision decide_foreign(const Packet& p) const;
  Decision decide_icmp_error(const Packet& p, const Visit& visit) const;
  bool is_neighbor_discovery(const Packet& p) const;
  bool at_limit(const snapshot::Backend& backend, const Visit& visit) const;
  balance::Choice choose(const Packet& p, const snapshot::Pool& pool, const Visit& visit) const;
  static const IpAddress& probe_destination(const snapshot::Service& service, const snapshot::Backend& backend);

  // starting.cc
  Fate execute(Packet& p, const Decision& decision, const Visit& visit);
  Fate start_service_flow(Packet& p, const Decision& decision, Visit visit);
  Fate start_flow(Packet& p, flow::Flow& flow, const Decision& decision);
  flow::Flow* allocate_flow();
  flow::PortPair port_pair(const flow::Flow& flow) const;
  bool choose_local(flow::Flow& flow, std::span<const std::uint16_t> locals, unsigned bucket);
  bool choose_snat(flow::Flow& flow, const snapshot::Interface& interface, unsigned bucket);
  bool choose_probe_local(flow::Flow& flow, const snapshot::Service& service, unsigned bucket);
  bool try_local(flow::Flow& flow, const IpAddress& address, unsigned bucket, std::uint64_t random);
  Slot persistent_backend(const snapshot::Pool& pool, const Packet& p);

  // explain.cc
  void describe(Explanation& out, const Packet& p, const Visit& visit) const;
  void describe_pool(Explanation& out, const snapshot::Pool& pool) const;
  void describe_choice(Explanation& out, const tcp::Wish& wish) const;

  // proxying.cc
  tcp::ConnectionId connection_of(const Packet& p) const;
  Decision decide_connection(const Packet& p, tcp::ConnectionId id) const;
  Decision decide_proxied(const Packet& p, const snapshot::Service& service, const Visit& visit) const;
  bool claimed_by_engine(const Packet& p) const;
  Fate take_segment(Packet& p, const Decision& decision, const Visit& visit);
  Fate take_icmp_error(Packet& p);
  void proxy_turn();
  void send_segment(const tcp::OutSegment& segment);
  void watch_groups(std::uint64_t before);
  void sweep_connections();

  // forwarding.cc
  Fate forward(Packet& p, flow::Flow& flow, flow::Direction direction);
  Fate predict(const Packet& p, const flow::Flow& flow, flow::Direction direction) const;
  Fate check_size(const Packet& p, const flow::Flow& flow, flow::Direction direction,
                  const snapshot::Interface& out) const;
  void track_syn_or_reset(const Packet& p, flow::Flow& flow, flow::Direction direction);
  bool watches_backend(const flow::Flow& flow) const;
  void note_expiry(flow::Flow& flow);
  void note_unanswered(flow::Flow& flow);
  bool proves_exchange(const flow::Flow& flow, flow::Direction direction) const;
  void resolve_hops(flow::Flow& flow);
  neighbor::NeighborRef resolve_hop(const IpAddress& target, std::uint64_t hash);
  void settle_hops();
  struct Hop {
    IpAddress address;
    std::uint16_t interface = snapshot::kNone;
  };
  std::optional<Hop> next_hop(const IpAddress& target, std::uint64_t hash) const;
  Fate predict_send(const flow::Flow& flow, flow::Direction direction, Hop& hop) const;
  Fate send_to(Packet& p, neighbor::NeighborRef ref);
  Fate send_to_kernel_socket(Packet& p);
  Fate transmit(Packet& p, std::uint16_t port);
  unsigned room_to_send() const;
  void write_ethernet(Packet& p, const snapshot::Interface& interface, const MacAddress& to, std::uint16_t port);
  Fate tunnel(Packet& p, const flow::Flow& flow, neighbor::NeighborRef ref);
  Fate translate_icmp_error(Packet& p, const Decision& decision);
  void clamp(Packet& p, const flow::Flow& flow, const snapshot::Interface& out);
  std::uint16_t gue_port(const flow::Flow& flow) const;
  IpAddress frame_target(const flow::Flow& flow) const;
  unsigned encapsulation(const flow::Flow& flow, flow::Direction direction) const;

  // answers.cc: what the box itself says
  Fate answer_ping(Packet& p);
  Fate reject(Packet& p, telemetry::DropReason why);
  Fate predict_reject(const Packet& p, telemetry::DropReason why) const;
  IpAddress icmp_error_source(const Packet& p) const;
  Fate predict_icmp_error(const Packet& p, telemetry::DropReason why) const;
  Fate answer_icmp_error(Packet& p, packet::IcmpError kind, std::uint32_t mtu, telemetry::DropReason why);
  bool reflect(Packet& p, std::span<const std::uint8_t> ip_packet);
  void reset_both(flow::Flow& flow);
  void send_reset(flow::Flow& flow, flow::Direction towards);
  void send_frame(std::uint16_t port, std::span<const std::uint8_t> frame);

  // neighbors.cc
  Fate handle_neighbor(Packet& p);
  void send(InterfaceId interface, std::span<const std::uint8_t> frame) override;
  void update(const neighbor::NeighborUpdate& update) override;
  void duplicate_address(InterfaceId interface, const IpAddress& address, const MacAddress& claimant) override;
  void apply_update(const neighbor::NeighborUpdate& update);
  void send_wanted();
  std::uint16_t interface_index(InterfaceId id) const;
  void release_held(const neighbor::Held& held, const neighbor::Neighbor& to);

  // failover.cc: adverts of the election, and which groups are active
  void switch_leases();
  void send_adverts();
  bool send_advert(const AdvertOut& advert);
  MacAddress mac_of_peer(const AdvertOut& advert);
  std::optional<RouterRef> advert_for(const Packet& p) const;
  Fate take_advert(Packet& p);

  // removal.cc: flows of removed backends
  void plan_removals(const snapshot::Snapshot& after);
  void sweep();
  bool being_removed(const flow::Flow& flow) const {
    return sweeping_ && flow.backend_slot < removal_.size() &&
           removal_[flow.backend_slot] != snapshot::RemovalPolicy::keep;
  }
  void remove_flow(flow::Flow& flow);

  const WorkerConfig config_;
  const Shared shared_;
  const Steering& steering_;
  snapshot::Publisher::Reader& reader_;
  const snapshot::Snapshot* snapshot_ = nullptr;
  std::uint64_t snapshot_sequence_ = 0;  // of its publication
  std::uint64_t layout_ = 0;             // of the snapshot

  flow::FlowTable flows_;
  flow::PortAllocator ports_;
  flow::FragmentTable fragments_;
  neighbor::NeighborTable neighbors_;
  std::unique_ptr<neighbor::Resolver> resolver_;  // worker 0 only
  balance::Balancer balancer_;
  balance::PersistenceTable persistence_;
  balance::WorkerLoad load_;
  mutable balance::Exclusions excluded_;  // of the choice in hand; kept because it is large
  Nanos load_gathered_ = 0;
  // Apart, so that a ping flood or a port scan does not silence path MTU discovery, nor traceroute it.
  TokenBucket answers_, too_big_, time_exceeded_;
  Rng rng_;
  std::array<std::uint16_t, kBuckets> local_cursor_;  // by port class: the next one for egress and probes over TCP
  telemetry::WorkerCounters counters_;
  telemetry::Capture* capture_ = nullptr;
  std::array<std::uint8_t, telemetry::kSnapLengthMax> capture_copy_;
  std::size_t capture_copied_ = 0;

  std::vector<std::uint16_t> hop_interface_;  // by neighbor ref: index of its interface in this snapshot
  std::array<std::uint32_t, kPortsMax> steering_seen_{};
  // The first 48 bits of a frame for us, as they lie in memory; mask 0 where any address will do.
  struct PortMac {
    std::uint64_t mac = 0, mask = 0;
  };
  std::array<PortMac, kPortsMax> macs_{};
  std::uint32_t hop_epoch_ = 1, neighbor_epoch_ = 0;
  unsigned resets_left_ = 0;  // in this step

  // What is remembered of the last snapshot, which may be freed before the next one is seen.
  struct KnownBackend {
    Slot slot, pool_slot;
    snapshot::RemovalPolicy on_removal;
  };
  std::vector<KnownBackend> known_backends_;
  std::vector<snapshot::RemovalPolicy> removal_;  // by backend slot, while sweeping
  bool sweeping_ = false;
  flow::FlowIndex sweep_at_ = 0;
  std::uint32_t connection_sweep_at_ = 0, group_sweep_at_ = 0;
  std::uint64_t group_sweep_mask_ = 0;                    // groups whose connections are being ended
  bool groups_left_ = false;                              // some entry of:
  std::array<Nanos, vrrp::kGroupsMax + 1> group_left_{};  // when its lease ended here; 0: it did not

  bool grant_used_ = false;  // a token brought by the message in hand became part of a flow

  enum class TaskState : std::uint8_t { none, waiting, running };
  std::atomic<TaskState> task_state_{TaskState::none};
  Task task_ = nullptr;
  void* task_argument_ = nullptr;

  Nanos now_ = 0;
  std::uint32_t now_ms_ = 0;
  // Failover: which groups are active in this step (bit n: slot n), and whom the packet in hand is sent for.
  std::uint64_t active_ = 1;
  snapshot::GroupSlot sending_for_ = snapshot::kNoGroup;
  struct VirtualMacs {
    std::array<snapshot::GroupSlot, 256> v4{}, v6{};  // by VRID; kNoGroup: not ours
  };
  std::vector<VirtualMacs> virtual_macs_;  // by port; empty: there are no groups
  AdvertOut advert_out_;                   // kept because they are large
  AdvertIn advert_in_;

  TxBatch* tx_ = nullptr;
  std::array<Packet, kBurst> batch_;
  std::unique_ptr<Proxies> proxies_;  // last: it gives back to all of the above
};

}  // namespace headgate::worker
