#include "drivers/xdp/steering.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <unordered_map>

// The compiled program, so that nothing has to be found on a disk at run time.
asm(".section .rodata\n"
    ".balign 8\n"
    "headgate_steer_begin:\n"
    ".incbin \"" HEADGATE_STEER_OBJECT
    "\"\n"
    "headgate_steer_end:\n"
    ".previous\n");
extern "C" {
extern const char headgate_steer_begin[];
extern const char headgate_steer_end[];
}

namespace headgate::xdp {
namespace {

constexpr const char* kProgramName = "xsk_def_prog";  // see steer.bpf.c

std::string errno_text(int error) {
  return std::string(std::strerror(error)) + " (errno " + std::to_string(error) + ")";
}

tl::unexpected<Error> fail_errno(std::string what, int error) {
  const ErrorCode code = error == EPERM || error == EACCES                      ? ErrorCode::permission_denied
                         : error == E2BIG || error == ENOSPC || error == ENOMEM ? ErrorCode::exhausted
                                                                                : ErrorCode::internal;
  return fail(code, std::move(what) + ": " + errno_text(error));
}

steer_address to_key(const IpAddress& address) {
  steer_address key{};
  std::memcpy(key.bytes, address.bytes.data(), sizeof key.bytes);
  return key;
}

steer_prefix to_key(const IpPrefix& prefix) {
  const IpPrefix network = prefix.network();
  const unsigned mapped_bits = network.address.is_v4() ? 96u : 0u;
  return {.length = network.length + mapped_bits, .address = to_key(network.address)};
}

struct KeyOrder {
  template <class Key>
  bool operator()(const Key& a, const Key& b) const {
    return std::memcmp(&a, &b, sizeof(Key)) < 0;
  }
};
template <class Key>
using KeySet = std::set<Key, KeyOrder>;

template <class Key>
Result<KeySet<Key>> keys_of(int map) {
  KeySet<Key> keys;
  Key key{}, next{};
  for (bool first = true; bpf_map_get_next_key(map, first ? nullptr : &key, &next) == 0; first = false) {
    keys.insert(next);
    key = next;
  }
  if (errno != ENOENT) return fail_errno("cannot read a map of the XDP program", errno);
  return keys;
}

// Makes the map's keys equal `wanted`: first everything new, then away with what is gone.
template <class Key>
Result<void> converge(int map, const KeySet<Key>& wanted, const char* what) {
  const auto present = keys_of<Key>(map);
  if (!present) return tl::unexpected(present.error());
  const std::uint8_t on = 1;
  for (const Key& key : wanted) {
    if (present->contains(key)) continue;
    if (bpf_map_update_elem(map, &key, &on, BPF_ANY) != 0)
      return fail_errno(std::string("cannot add to the XDP program's ") + what, errno);
  }
  for (const Key& key : *present) {
    if (wanted.contains(key)) continue;
    if (bpf_map_delete_elem(map, &key) != 0 && errno != ENOENT)
      return fail_errno(std::string("cannot remove from the XDP program's ") + what, errno);
  }
  return {};
}

Result<bpf_prog_info> program_info(int fd, std::vector<std::uint32_t>* map_ids) {
  bpf_prog_info info{};
  std::uint32_t length = sizeof info;
  if (map_ids != nullptr) {
    map_ids->resize(64);
    info.nr_map_ids = static_cast<std::uint32_t>(map_ids->size());
    info.map_ids = reinterpret_cast<std::uintptr_t>(map_ids->data());
  }
  if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return fail_errno("cannot query the XDP program", errno);
  if (map_ids != nullptr) map_ids->resize(std::min<std::size_t>(info.nr_map_ids, map_ids->size()));
  return info;
}

Result<std::unordered_map<std::string, UniqueFd>> maps_of(int program) {
  std::vector<std::uint32_t> ids;
  const auto info = program_info(program, &ids);
  if (!info) return tl::unexpected(info.error());
  std::unordered_map<std::string, UniqueFd> maps;
  for (const std::uint32_t id : ids) {
    UniqueFd map(bpf_map_get_fd_by_id(id));
    bpf_map_info map_info{};
    std::uint32_t length = sizeof map_info;
    if (!map.valid() || bpf_obj_get_info_by_fd(map.get(), &map_info, &length) != 0) continue;
    maps.emplace(std::string(map_info.name, strnlen(map_info.name, sizeof map_info.name)), std::move(map));
  }
  return maps;
}

// libbpf and libxdp print advice for developers to stderr; ours are sentences in an Error.
void silence_libbpf() {
  libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
  libxdp_set_print([](libxdp_print_level, const char*, va_list) { return 0; });
}

// libbpf's option structs carry their own size. LIBBPF_OPTS does the same in a way that -Wextra of clang dislikes.
template <class Options>
Options sized() {
  Options options{};
  options.sz = sizeof options;
  return options;
}

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};

Result<UniqueFd> load_program() {
  silence_libbpf();
  const auto size = static_cast<std::size_t>(headgate_steer_end - headgate_steer_begin);
  auto options = sized<bpf_object_open_opts>();
  options.object_name = "headgate_steer";
  const std::unique_ptr<bpf_object, CloseObject> object(bpf_object__open_mem(headgate_steer_begin, size, &options));
  if (!object) return fail_errno("the built-in XDP program cannot be read; this is a build error", errno);
  if (bpf_object__load(object.get()) != 0) {
    return fail_errno("the kernel refused the XDP program; it takes root (CAP_BPF and CAP_NET_ADMIN) and BPF_SYSCALL",
                      errno);
  }
  const bpf_program* program = bpf_object__find_program_by_name(object.get(), kProgramName);
  if (program == nullptr) return fail(ErrorCode::internal, "the built-in XDP program has lost its entry point");
  // The descriptor outlives the object; the program keeps its maps alive.
  return UniqueFd(::dup(bpf_program__fd(program)));
}

Result<UniqueFd> attached_program(unsigned ifindex) {
  silence_libbpf();
  auto query = sized<bpf_xdp_query_opts>();
  const int error = bpf_xdp_query(static_cast<int>(ifindex), 0, &query);
  if (error != 0) return fail_errno("cannot ask interface " + std::to_string(ifindex) + " for its XDP program", -error);
  if (query.prog_id == 0) return UniqueFd();
  UniqueFd program(bpf_prog_get_fd_by_id(query.prog_id));
  if (!program.valid()) return fail_errno("cannot open XDP program " + std::to_string(query.prog_id), errno);
  return program;
}

int attached_mode(unsigned ifindex) {
  auto query = sized<bpf_xdp_query_opts>();
  if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0) return XDP_ATTACHED_NONE;
  return query.attach_mode;
}

}  // namespace

Result<Steering> Steering::from_program(UniqueFd program, unsigned ifindex) {
  auto maps = maps_of(program.get());
  if (!maps) return tl::unexpected(maps.error());
  Steering steering;
  const auto take = [&](const char* name, UniqueFd& into) {
    // The kernel keeps 15 characters of a map's name.
    const auto found = maps->find(std::string(name).substr(0, BPF_OBJ_NAME_LEN - 1));
    if (found == maps->end()) return false;
    into = std::move(found->second);
    return true;
  };
  if (!take("address_set", steering.address_set_) || !take("kernel_addresses", steering.kernel_addresses_) ||
      !take("vrids", steering.vrids_) || !take("gateway", steering.gateway_) ||
      !take("gateway_prefixes", steering.gateway_prefixes_) || !take("verdict_counters", steering.verdict_counters_)) {
    return fail(ErrorCode::already_exists, "the XDP program on interface " + std::to_string(ifindex) +
                                               " is not Headgate's; detach it with `ip link set dev IFNAME xdp off`");
  }
  steering.ifindex_ = ifindex;
  steering.program_ = std::move(program);
  return steering;
}

Result<Steering> Steering::load_only() {
  auto program = load_program();
  if (!program) return tl::unexpected(program.error());
  return from_program(std::move(*program), 0);
}

Result<Steering> Steering::attach_to(unsigned ifindex) {
  auto program = attached_program(ifindex);
  if (!program) return tl::unexpected(program.error());
  if (!program->valid()) {
    return fail(ErrorCode::not_found,
                "interface " + std::to_string(ifindex) + " has no XDP program; open it as an af_xdp port first");
  }
  auto steering = from_program(std::move(*program), ifindex);
  if (steering) steering->native_ = attached_mode(ifindex) != XDP_ATTACHED_SKB;
  return steering;
}

Result<Steering> Steering::install(const std::string& interface) {
  const unsigned ifindex = if_nametoindex(interface.c_str());
  if (ifindex == 0) return fail(ErrorCode::not_found, "there is no network interface \"" + interface + "\"");
  auto old_program = attached_program(ifindex);
  if (!old_program) return tl::unexpected(old_program.error());
  auto program = load_program();
  if (!program) return tl::unexpected(program.error());
  auto steering = from_program(std::move(*program), ifindex);
  if (!steering) return steering;

  if (old_program->valid()) {
    auto predecessor = from_program(std::move(*old_program), ifindex);
    if (!predecessor) return predecessor;
    if (auto copied = steering->copy_sets_from(*predecessor); !copied) return tl::unexpected(copied.error());
    steering->took_over_ = true;
  }
  if (auto refreshed = steering->refresh_kernel_addresses(); !refreshed) return tl::unexpected(refreshed.error());

  // Without UPDATE_IF_NOEXIST the kernel swaps programs in one step. The driver's own mode first; a program left in
  // generic mode must be replaced in that mode, because a device runs only one of the two.
  const int native = XDP_FLAGS_DRV_MODE, generic = XDP_FLAGS_SKB_MODE;
  const bool was_generic = steering->took_over_ && attached_mode(ifindex) == XDP_ATTACHED_SKB;
  int error = bpf_xdp_attach(static_cast<int>(ifindex), steering->program_.get(),
                             static_cast<std::uint32_t>(was_generic ? generic : native), nullptr);
  steering->native_ = !was_generic;
  if (error != 0 && !was_generic && !steering->took_over_) {
    error = bpf_xdp_attach(static_cast<int>(ifindex), steering->program_.get(), static_cast<std::uint32_t>(generic),
                           nullptr);
    steering->native_ = false;
  }
  if (error != 0) {
    return fail_errno("the XDP program cannot be attached to " + interface +
                          " (an MTU above one page and receive offloads such as LRO are the usual reasons)",
                      -error);
  }
  return steering;
}

void Steering::detach() {
  if (ifindex_ == 0) return;
  auto options = sized<bpf_xdp_attach_opts>();
  options.old_prog_fd = program_.get();
  const std::uint32_t mode = native_ ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  // REPLACE with the program expected there: a successor's is never taken away.
  bpf_xdp_detach(static_cast<int>(ifindex_), mode | XDP_FLAGS_REPLACE, &options);
  ifindex_ = 0;
}

void Steering::reattach() {
  if (ifindex_ == 0) return;
  const std::uint32_t mode = native_ ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  bpf_xdp_attach(static_cast<int>(ifindex_), program_.get(), mode | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr);
}

Result<void> Steering::copy_map(int from, int to, std::size_t key_size, std::size_t value_size) const {
  std::vector<std::uint8_t> key(key_size), next(key_size), value(value_size);
  for (bool first = true; bpf_map_get_next_key(from, first ? nullptr : key.data(), next.data()) == 0; first = false) {
    if (bpf_map_lookup_elem(from, next.data(), value.data()) == 0 &&
        bpf_map_update_elem(to, next.data(), value.data(), BPF_ANY) != 0) {
      return fail_errno("cannot take over the sets of the previous XDP program", errno);
    }
    key = next;
  }
  return {};
}

Result<void> Steering::copy_sets_from(const Steering& predecessor) {
  struct Copy {
    const UniqueFd &from, &to;
    std::size_t key_size, value_size;
  };
  const Copy copies[] = {
      {predecessor.address_set_, address_set_, sizeof(steer_address), 1},
      {predecessor.vrids_, vrids_, sizeof(std::uint32_t), 1},
      {predecessor.gateway_, gateway_, sizeof(std::uint32_t), sizeof(steer_gateway)},
      {predecessor.gateway_prefixes_, gateway_prefixes_, sizeof(steer_prefix), 1},
  };
  for (const Copy& copy : copies) {
    if (auto done = copy_map(copy.from.get(), copy.to.get(), copy.key_size, copy.value_size); !done) return done;
  }
  return {};
}

Result<void> Steering::set_addresses(std::span<const IpAddress> addresses) {
  KeySet<steer_address> wanted;
  for (const IpAddress& address : addresses) wanted.insert(to_key(address));
  if (wanted.size() > STEER_ADDRESSES_MAX) {
    return fail(ErrorCode::exhausted, std::to_string(wanted.size()) + " addresses are more than the XDP program's " +
                                          std::to_string(STEER_ADDRESSES_MAX));
  }
  return converge(address_set_.get(), wanted, "address set");
}

Result<void> Steering::set_vrids(std::span<const std::uint8_t> vrids) {
  std::array<std::uint8_t, 256> wanted{};
  for (const std::uint8_t vrid : vrids) wanted[vrid] = 1;
  for (const bool adding : {true, false}) {
    for (std::uint32_t vrid = 0; vrid < wanted.size(); ++vrid) {
      if ((wanted[vrid] != 0) != adding) continue;
      if (bpf_map_update_elem(vrids_.get(), &vrid, &wanted[vrid], BPF_ANY) != 0)
        return fail_errno("cannot change the XDP program's VRIDs", errno);
    }
  }
  return {};
}

Result<void> Steering::set_gateway(bool enabled, std::span<const IpPrefix> prefixes) {
  KeySet<steer_prefix> wanted;
  for (const IpPrefix& prefix : prefixes) wanted.insert(to_key(prefix));
  if (wanted.size() > STEER_PREFIXES_MAX) {
    return fail(ErrorCode::exhausted, std::to_string(wanted.size()) +
                                          " gateway prefixes are more than the XDP program's " +
                                          std::to_string(STEER_PREFIXES_MAX));
  }
  const std::uint32_t key = ifindex_ == 0 ? 1 : ifindex_;  // a test run says it came from loopback
  if (!enabled) {
    if (bpf_map_delete_elem(gateway_.get(), &key) != 0 && errno != ENOENT)
      return fail_errno("cannot switch the XDP program's gateway mode off", errno);
    return converge(gateway_prefixes_.get(), wanted, "gateway prefixes");
  }
  if (auto refreshed = refresh_kernel_addresses(); !refreshed) return refreshed;
  if (auto converged = converge(gateway_prefixes_.get(), wanted, "gateway prefixes"); !converged) return converged;
  ifreq request{};
  UniqueFd socket_fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (if_indextoname(key, request.ifr_name) == nullptr || ::ioctl(socket_fd.get(), SIOCGIFHWADDR, &request) != 0) {
    return fail_errno("cannot read the hardware address of interface " + std::to_string(key), errno);
  }
  steer_gateway value{};
  std::memcpy(value.mac, request.ifr_hwaddr.sa_data, sizeof value.mac);
  if (bpf_map_update_elem(gateway_.get(), &key, &value, BPF_ANY) != 0)
    return fail_errno("cannot switch the XDP program's gateway mode on", errno);
  return {};
}

Result<void> Steering::refresh_kernel_addresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return fail_errno("cannot list the kernel's addresses", errno);
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  KeySet<steer_address> wanted;
  const auto add = [&](const sockaddr* address) {
    if (address == nullptr) return;
    if (address->sa_family == AF_INET) {
      wanted.insert(to_key(IpAddress::load_v4(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr)));
    } else if (address->sa_family == AF_INET6) {
      wanted.insert(to_key(IpAddress::load_v6(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr)));
    }
  };
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
    add(i->ifa_addr);
    if ((i->ifa_flags & IFF_BROADCAST) != 0) add(i->ifa_broadaddr);
  }
  return converge(kernel_addresses_.get(), wanted, "kernel addresses");
}

Result<std::vector<IpAddress>> Steering::addresses() const {
  const auto keys = keys_of<steer_address>(address_set_.get());
  if (!keys) return tl::unexpected(keys.error());
  std::vector<IpAddress> addresses;
  for (const steer_address& key : *keys) addresses.push_back(IpAddress::load_v6(key.bytes));
  return addresses;
}

Result<SteeringCounters> Steering::counters() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return fail_errno("cannot count the processors", -cpus);
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(cpus));
  SteeringCounters sums{};
  for (std::uint32_t verdict = 0; verdict < STEER_VERDICTS; ++verdict) {
    if (bpf_map_lookup_elem(verdict_counters_.get(), &verdict, per_cpu.data()) != 0)
      return fail_errno("cannot read the XDP program's counters", errno);
    for (const std::uint64_t value : per_cpu) sums[verdict] += value;
  }
  return sums;
}

}  // namespace headgate::xdp
