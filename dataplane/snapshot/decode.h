// Inside of build(): the message becomes a Snapshot's plain entries, position by position, and every error is
// collected. An entry with an error still takes its place (with harmless values), so that positions stay those of the
// message.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/snapshot/model.h"

namespace headgate::snapshot::internal {

namespace pb = ::headgate::dataplane::v1;

// Text for errors only; arguments are texts and unsigned numbers.
inline std::string piece(std::string_view text) {
  return std::string(text);
}
inline std::string piece(std::uint64_t number) {
  return std::to_string(number);
}
template <class... Parts>
std::string sentence(const Parts&... parts) {
  return (piece(parts) + ...);
}
// The text of a message, quoted, printable and not longer than a line.
std::string quoted(std::string_view text);
std::string at(std::string_view list, int index, std::string_view field = {});
std::string at(const std::string& entry, std::string_view list, int index, std::string_view field = {});

class Errors {
 public:
  void add(std::string path, std::string message);
  bool empty() const { return errors_.empty(); }
  std::vector<SnapshotError> take();

 private:
  std::vector<SnapshotError> errors_;
  std::size_t omitted_ = 0;
};

// Who else uses an address of ours, for messages and conflicts.
struct OwnUse {
  bool interface_address = false, local_address = false, service = false, snat = false;
  bool grouped = false;        // said for one of its uses
  std::uint32_t group_id = 0;  // of that use; 0: none
};

// What checks of services need to know of a pool, so that a pool of many services is walked once.
struct PoolFacts {
  int first_v4 = -1, first_v6 = -1;         // positions of backends
  int lowest_port = -1, highest_port = -1;  // of backends that have one; positions
  int off_link = -1;                        // a backend that is in no on-link prefix or on-link route
  bool used = false;
};

struct Context {
  Context(const pb::Snapshot& message_in, const BuildInput& input_in, Snapshot& out_in)
      : message(message_in), input(input_in), out(out_in), own(0, AddressHash{input_in.hash_key}) {}

  const pb::Snapshot& message;
  const BuildInput& input;
  Snapshot& out;
  Names names;  // becomes out.names
  Errors errors;

  std::unordered_map<std::uint32_t, std::uint16_t> interface_by_id, pool_by_id, local_address_by_id;
  std::unordered_map<std::string_view, std::uint16_t> interface_by_name;
  std::unordered_map<std::uint32_t, std::uint16_t> group_by_id;
  std::unordered_map<IpAddress, OwnUse, AddressHash> own;
  std::vector<PoolFacts> pool_facts;
  // On-link prefixes alone: an own address is answered for on the interface whose prefix holds it, whatever routes say.
  std::vector<Route> on_link_routes;
  RouteTable on_link;
  std::map<int, HttpSpec> http;  // by position of its service

  const Route* on_link_route(const IpAddress& address) const {
    const std::uint16_t index = on_link.find(address);
    return index == kNone ? nullptr : &on_link_routes[index];
  }
  std::uint16_t on_link_interface(const IpAddress& address) const {
    const Route* route = on_link_route(address);
    return route == nullptr ? kNone : route->next_hops.front().interface;
  }
};

// A unicast address, or nothing and an error. `path` makes the path; it is called on errors only.
template <class Path>
std::optional<IpAddress> decode_address(Context& context, const Path& path, const std::string& text);
std::optional<IpAddress> parse_unicast(const std::string& text, std::string& why);
// Nothing and the reason when the text is no prefix. Host bits are cleared.
std::optional<IpPrefix> parse_network(const std::string& text, std::string& why);
bool is_v6_link_local(const IpAddress& address);
// "" or why `address` cannot be a host of its on-link prefix (IPv4 network or broadcast address).
std::string not_a_host(const Context& context, const IpAddress& address);
std::string name_problem(const std::string& name);

// In this order. Each reads what the earlier ones wrote.
bool check_limits(Context& context);  // false: too large to look at
void decode_groups(Context& context);
// An address of ours is of one group, or of none, whatever it is used for. Nothing when the id is unknown.
void note_group(Context& context, const std::string& path, const IpAddress& address, std::uint32_t group_id);
void decode_interfaces(Context& context);
void decode_routers(Context& context);  // of groups: they name interfaces
void decode_local_addresses(Context& context);
void decode_services(Context& context);
// Proxy and Http of service i, after its protocol is known.
void decode_proxy(Context& context, int i, Service& out);
void decode_routes(Context& context);
void decode_pools(Context& context);
// A backend's health, weight and drain, of a snapshot or an update.
void decode_state(Errors& errors, const std::string& path, std::uint32_t weight, pb::Health health, bool drain,
                  Backend& out);
void check_services(Context& context);  // against pools and local addresses
void compile_http(Context& context);    // after all of them were decoded without an error
void decode_timeouts(Context& context);
void decode_probe(Context& context);

// After a decoding without errors and with slots: the tables that packets are looked up in.
void build_tables(Context& context);
void assign_groups(Context& context);  // slots and virtual MACs
// The part of them that follows from backends' states. `previous`: may share Maglev tables; null for none.
void fill_pool(Snapshot& out, Pool& pool, const Snapshot* previous);
void decide_pings(Snapshot& out, std::uint64_t hash_key);

template <class Path>
std::optional<IpAddress> decode_address(Context& context, const Path& path, const std::string& text) {
  std::string why;
  auto address = parse_unicast(text, why);
  if (!address) context.errors.add(path(), std::move(why));
  return address;
}

}  // namespace headgate::snapshot::internal
