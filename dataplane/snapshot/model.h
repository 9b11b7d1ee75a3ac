// The immutable state that workers forward with. Built off the workers from a checked protobuf snapshot, published by
// RCU, shared by all workers, never written after publication. Everything a packet needs is an index or a pointer away.
//
// A Snapshot is a value and cheap to copy: what is large is shared by copies, and backends, the one long table that
// changes with a state, are plain memory (update.h). So tables here are SharedArray, FlatMap, or short.
//
// Positions (indices into the vectors) are valid inside one Snapshot only. Mutable per-worker state is keyed by Slot,
// which stays with an id across snapshots; backend_by_slot etc. lead back from a slot to this snapshot's entry, if it
// still exists.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "dataplane/base/flat_map.h"
#include "dataplane/base/ids.h"
#include "dataplane/base/keyed_hash.h"
#include "dataplane/base/shared_array.h"
#include "dataplane/base/siphash.h"
#include "dataplane/base/time.h"
#include "dataplane/base/tuple.h"
#include "dataplane/snapshot/http_spec.h"
#include "dataplane/vrrp/group.h"

namespace headgate::http {
struct Site;  // an HTTP service as its sessions use it; made by BuildInput::compile_site
}

namespace headgate::snapshot {

// Limits: one place. A snapshot beyond them is refused whole.
inline constexpr std::size_t kServicesMax = 4096;
inline constexpr std::size_t kPoolsMax = 4096;
inline constexpr std::size_t kBackendsMax = 16384;
inline constexpr std::size_t kInterfacesMax = 256;
inline constexpr std::size_t kLocalAddressesMax = 1024;
inline constexpr std::size_t kRoutesMax = 4096;
inline constexpr std::size_t kNextHopsMax = 16;  // of one route
inline constexpr std::uint32_t kWeightMax = 1000;
inline constexpr unsigned kMaglevSlots = 65537;
inline constexpr std::uint16_t kNone = 0xffff;           // no index
inline constexpr std::size_t kInterfaceEntriesMax = 64;  // prefixes, own addresses or snat addresses of one interface
inline constexpr std::size_t kMaglevPoolsMax = 1024;     // 128 KiB each
inline constexpr std::size_t kNatEndpointsMax = 262144;  // (backend, port, protocol) of services in mode nat
inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::uint32_t kTimeoutSecondsMax = 1'000'000;  // flows count milliseconds in 32 bits
inline constexpr std::uint32_t kProxyTimeoutMsMax = 3'600'000;
inline constexpr std::uint32_t kProxyTimeoutSecondsMax = 604'800;  // a week
inline constexpr std::uint32_t kConnectAttemptsMax = 8;
inline constexpr std::uint32_t kQueueLimitMax = 65'536;
inline constexpr std::size_t kProxyPrefixesMax = 256;  // header_from, or trusted, of one service
inline constexpr std::size_t kHttpRoutesMax = 1024;    // of one service
inline constexpr std::size_t kHttpRulesMax = 256;      // header rules or conditions of one service or route
inline constexpr std::size_t kCookieKeysMax = 3;
inline constexpr std::size_t kHttpTextMax = 4096;               // bytes of any text of a rule or route
inline constexpr std::uint16_t kMtuMin = 1280, kMtuMax = 9000;  // RFC 8200 section 5; our largest buffers
// Slots: twice the limit, so that a whole configuration can be replaced while flows still hold all of the old one.
inline constexpr std::size_t kServiceSlots = 2 * kServicesMax;
inline constexpr std::size_t kPoolSlots = 2 * kPoolsMax;
inline constexpr std::size_t kBackendSlots = 2 * kBackendsMax;
inline constexpr std::size_t kLocalAddressSlots = 2 * kLocalAddressesMax;

enum class Mode : std::uint8_t { full_nat, nat, dsr, tunnel };
enum class Algorithm : std::uint8_t { round_robin, least_connections, source_hash, maglev };
enum class Encapsulation : std::uint8_t { ipip, gue };
enum class RemovalPolicy : std::uint8_t { keep, reset, rehash };
// What becomes of a service's connections: forwarded packet by packet, or ended here, with others to backends.
enum class Ends : std::uint8_t { forwarded, tcp_proxy, http };
enum class Egress : std::uint8_t { drop, route, snat };

// A group's number in masks and in flows: stays with its id. 0 is no group: what always is ours.
using GroupSlot = std::uint8_t;
inline constexpr GroupSlot kNoGroup = 0;
static_assert(vrrp::kGroupsMax == 63, "one bit of a word each, and one for no group");

struct Interface {
  InterfaceId id;
  std::string name;
  std::uint16_t port = kNone;  // index into the dataplane's ports, by command-line order
  std::uint16_t vlan = 0;
  std::uint16_t mtu = 1500;
  bool gateway = false;
  Egress egress = Egress::drop;
  GroupSlot group = kNoGroup;  // of the first address that floats: whose box the servers' own traffic goes by
  std::vector<IpPrefix> prefixes;
  std::vector<IpAddress> addresses;           // those that float included
  std::vector<std::uint16_t> snat_addresses;  // indices into Snapshot::local_addresses (they are entered there too)
  // An address of ours to resolve neighbors from, per on-link prefix (same order as `prefixes`); unspecified when there
  // is none.
  std::vector<IpAddress> resolve_from;
};

struct NextHop {
  IpAddress gateway;  // unspecified: the destination is on-link
  std::uint16_t interface = kNone;
};
struct Route {
  IpPrefix prefix;
  std::vector<NextHop> next_hops;
};

struct LocalAddress {
  LocalAddressId id;    // 0 for snat addresses that are not local addresses too
  Slot slot = kNoSlot;  // stays with the address, not the id: the local ports in use belong to the address
  IpAddress address;
  std::uint16_t interface = kNone;  // kNone: in no on-link prefix, so routed to us
  GroupSlot group = kNoGroup;
  bool allocates = true;  // false: the other box opens flows from it, we only answer for it while the group is here
};

struct Backend {
  BackendId id;
  Slot slot = kNoSlot;
  std::uint16_t pool = kNone;
  std::uint16_t port = 0;  // 0 = the service's
  std::uint16_t weight = 1;
  IpAddress address;
  bool up = true, drain = false;      // these two and the weight are states: an update changes them
  std::uint32_t max_connections = 0;  // 0 = no limit (also when the limit could never bind: see BuildInput::flow_limit)
  bool usable() const { return up && !drain && weight != 0; }
};
static_assert(std::is_trivially_copyable_v<Backend>);

struct Pool {
  PoolId id;
  Slot slot = kNoSlot;
  Algorithm algorithm = Algorithm::round_robin;
  RemovalPolicy on_removal = RemovalPolicy::keep;
  bool equal_weights = true;        // of the usable backends
  bool any_limit = false;           // some usable backend has max_connections
  std::uint16_t first_backend = 0;  // backends [first_backend, first_backend + backend_count) of Snapshot::backends
  std::uint16_t backend_count = 0;
  SharedArray<std::uint16_t> usable;             // indices into Snapshot::backends, in order
  SharedArray<std::uint32_t> cumulative_weight;  // of `usable`, for weighted sampling
  // source_hash only: cumulative weights of all backends by offset from first_backend, whatever their health, so that a
  // backend that goes down moves only its own clients (a second hash skips it).
  SharedArray<std::uint32_t> all_cumulative_weight;
  // kMaglevSlots entries, each an offset from first_backend; built over all backends with weight > 0 whatever their
  // health (down ones are skipped by a second probe). Shared between snapshots while membership and weights are the
  // same.
  std::shared_ptr<const std::vector<std::uint16_t>> maglev;
  std::uint8_t persistence_v4 = 32, persistence_v6 = 128;
  Nanos persistence_timeout = 0;  // 0 = no persistence
};

struct Service {
  ServiceId id;
  Slot slot = kNoSlot;
  std::uint16_t pool = kNone;
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
  Mode mode = Mode::full_nat;
  Encapsulation encapsulation = Encapsulation::ipip;
  std::uint16_t gue_port = 6080;
  bool ping = true;
  bool reset_on_expiry = true;
  GroupSlot group = kNoGroup;
  IpAddress address;
  // Indices into Snapshot::local_addresses usable towards backends of that family: those of the service's group from
  // which this box may open flows.
  SharedArray<std::uint16_t> local_v4, local_v6;
  Ends ends = Ends::forwarded;
  std::shared_ptr<const ProxySpec> proxy;  // tcp_proxy, http
  std::shared_ptr<const http::Site> site;  // http
  bool proxied() const { return ends != Ends::forwarded; }
};

// Addresses that fail over together (vrrp/group.h).
struct Group {
  GroupSlot slot = kNoGroup;
  bool virtual_mac = true;
  vrrp::GroupConfig config;
  std::vector<std::uint16_t> interfaces;  // of config.routers, in their order
};

// Of services, pools and backends, by position: for people, apart from what packets touch.
struct Names {
  std::vector<std::string> services, pools, backends;
};

// What an address of ours is. One address may be several things.
struct OwnAddress {
  std::uint16_t interface = kNone;      // interface whose prefix holds it (we answer ARP/ND there), or kNone
  std::uint16_t local_address = kNone;  // index
  bool service = false;
  GroupSlot group = kNoGroup;  // ours only while this group is active
  std::uint8_t vrid = 0;       // answered for with this virtual MAC; 0: with the port's
  bool answers_ping = false;   // one of its services wants ping answered and has a backend that can serve
  bool interface_address = false;
};

struct Endpoint {  // address, protocol, port
  IpAddress address;
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
struct EndpointHash {
  std::uint64_t key;
  std::size_t operator()(const Endpoint& e) const {
    return fold_multiply(e.address.low() ^ key,
                         e.address.high() ^ (std::uint64_t{e.port} << 8 | e.protocol) ^ 0x9e3779b97f4a7c15ull);
  }
};
struct AddressHash {
  std::uint64_t key;
  std::size_t operator()(const IpAddress& a) const {
    return fold_multiply(a.low() ^ key, a.high() ^ 0x9e3779b97f4a7c15ull);
  }
};

struct IdHash {
  std::uint64_t key;
  std::size_t operator()(std::uint32_t id) const { return fold_multiply(id ^ key, 0x9e3779b97f4a7c15ull); }
};

struct Timeouts {
  Nanos tcp_syn = 10 * kSecond, tcp_established = 7440 * kSecond, tcp_transitory = 240 * kSecond,
        tcp_closed = 4 * kSecond;
  Nanos udp = 300 * kSecond, udp_unreplied = 30 * kSecond, icmp = 60 * kSecond;
};

// Longest-prefix match by one hash map per prefix length present, longest first.
class RouteTable {
 public:
  RouteTable() = default;
  RouteTable(const std::vector<Route>& routes, std::uint64_t hash_key);
  // Index into Snapshot::routes, or kNone.
  std::uint16_t find(const IpAddress& address) const;

 private:
  struct Level {
    std::uint8_t length;
    FlatMap<IpAddress, std::uint16_t, AddressHash> prefixes;
  };
  std::vector<Level> v4_, v6_;
};

struct Snapshot {
  std::uint64_t generation = 0, epoch = 0;
  // Counts whole snapshots. Equal: the two differ in backends' states and what follows from them, in nothing else.
  std::uint64_t layout = 0;
  std::string digest;
  bool drop_unmatched = false;
  std::vector<SipKey> cookie_keys;  // of persistence cookies: the first signs, all are believed; none: the worker's own

  std::vector<Interface> interfaces;
  std::vector<Route> routes;  // the on-link prefixes are in it too, as routes with an unspecified gateway
  RouteTable route_table;
  std::vector<LocalAddress> local_addresses;
  std::vector<Backend> backends;
  std::vector<Pool> pools;
  std::vector<Service> services;
  std::vector<Group> groups;
  Nanos control_grace = 30 * kSecond;
  // For probes and the like, which work whether a group is here or not: local addresses of no group, by family.
  std::vector<std::uint16_t> own_local_v4, own_local_v6;
  std::shared_ptr<const Names> names;
  Timeouts timeouts;

  // [port][vlan] -> interface: small, linear in the VLANs of a port.
  struct PortVlan {
    std::uint16_t vlan, interface;
  };
  std::vector<std::vector<PortVlan>> interfaces_by_port;

  FlatMap<IpAddress, OwnAddress, AddressHash> own_addresses;
  FlatMap<Endpoint, std::uint16_t, EndpointHash> services_by_endpoint;
  // Endpoints from which replies of `nat` flows come: (backend address, port, protocol). Value: a service's index.
  FlatMap<Endpoint, std::uint16_t, EndpointHash> nat_endpoints;
  // Those of earlier snapshots whose flows may live on (policy `keep`); they are in nat_endpoints too, value kNone.
  struct DepartedEndpoint {
    Endpoint endpoint;
    BackendId backend;
  };
  std::vector<DepartedEndpoint> departed_nat_endpoints;

  std::vector<std::uint16_t> service_by_slot, pool_by_slot, backend_by_slot;  // kNone when gone
  // Where something is that is named by id, not by a packet.
  FlatMap<std::uint32_t, std::uint16_t, IdHash> services_by_id, pools_by_id, backends_by_id;

  std::uint16_t probe_port = kNone;  // index of a port
  IpPrefix probe_v4, probe_v6;       // length 0 = none
  // Probed backends by id: (backend index, a service that uses its pool and says mode and address).
  struct ProbeTarget {
    std::uint16_t backend = kNone, service = kNone;
  };
  FlatMap<std::uint32_t, ProbeTarget, IdHash> probe_targets;

  // Requires: an element of this snapshot's.
  const std::string& name_of(const Service& service) const { return names->services[position(services, service)]; }
  const std::string& name_of(const Pool& pool) const { return names->pools[position(pools, pool)]; }
  const std::string& name_of(const Backend& backend) const { return names->backends[position(backends, backend)]; }

  const Service* service_of_slot(Slot slot) const {
    return slot < service_by_slot.size() && service_by_slot[slot] != kNone ? &services[service_by_slot[slot]] : nullptr;
  }
  const Backend* backend_of_slot(Slot slot) const {
    return slot < backend_by_slot.size() && backend_by_slot[slot] != kNone ? &backends[backend_by_slot[slot]] : nullptr;
  }
  const Service* service_of(ServiceId id) const { return entry_of(services, services_by_id, id.value); }
  const Pool* pool_of(PoolId id) const { return entry_of(pools, pools_by_id, id.value); }
  const Backend* backend_of(BackendId id) const { return entry_of(backends, backends_by_id, id.value); }
  const Interface* interface_at(std::uint16_t port, std::uint16_t vlan) const {
    if (port >= interfaces_by_port.size()) return nullptr;
    for (const PortVlan& entry : interfaces_by_port[port]) {
      if (entry.vlan == vlan) return &interfaces[entry.interface];
    }
    return nullptr;
  }
  const Service* find_service(const IpAddress& address, std::uint16_t port, std::uint8_t protocol) const {
    const std::uint16_t* index = services_by_endpoint.find(Endpoint{address, port, protocol});
    return index == nullptr ? nullptr : &services[*index];
  }

 private:
  template <class Entry, class Map>
  static const Entry* entry_of(const std::vector<Entry>& entries, const Map& map, std::uint32_t id) {
    const std::uint16_t* index = map.find(id);
    return index == nullptr ? nullptr : &entries[*index];
  }
  template <class Entry>
  static std::size_t position(const std::vector<Entry>& entries, const Entry& entry) {
    return static_cast<std::size_t>(&entry - entries.data());
  }
};

}  // namespace headgate::snapshot
