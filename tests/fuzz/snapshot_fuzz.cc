// What a control plane can push: bytes -> protobuf -> build. An accepted snapshot has only indices in range and finds
// everything it holds; a refused one has a reason and leaves the slots alone; the same message twice gives the same.
//
// Random bytes rarely make a snapshot that is accepted, so a mutator of our own edits the parsed message through
// reflection half of the time (Debian has no libprotobuf-mutator for this clang).
#include <google/protobuf/reflection.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/balance/balancer.h"
#include "dataplane/base/check.h"
#include "dataplane/base/rng.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/snapshot/update.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace {

using namespace headgate;            // NOLINT: a program, not a header
using namespace headgate::snapshot;  // NOLINT
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

const std::string kPorts[] = {"p0", "p1"};

template <class Entries>
void check_slots(const Entries& entries, const std::vector<std::uint16_t>& by_slot) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    HEADGATE_CHECK(entries[i].slot < by_slot.size() && by_slot[entries[i].slot] == i);
  }
  HEADGATE_CHECK(by_slot.size() - static_cast<std::size_t>(std::ranges::count(by_slot, kNone)) == entries.size());
}

void check_network(const Snapshot& s) {
  for (std::size_t i = 0; i < s.interfaces.size(); ++i) {
    const Interface& interface = s.interfaces[i];
    HEADGATE_CHECK(s.interface_at(interface.port, interface.vlan) == &interface);
    HEADGATE_CHECK(interface.vlan <= 4094 && interface.mtu >= kMtuMin && interface.mtu <= kMtuMax);
    HEADGATE_CHECK(interface.resolve_from.size() == interface.prefixes.size());
    HEADGATE_CHECK(interface.egress != Egress::snat || !interface.snat_addresses.empty());
    for (const std::uint16_t local : interface.snat_addresses) HEADGATE_CHECK(local < s.local_addresses.size());
    for (const IpAddress& address : interface.addresses) {
      HEADGATE_CHECK(s.own_addresses.find(address) != nullptr && s.own_addresses.find(address)->interface == i);
    }
    for (const IpPrefix& prefix : interface.prefixes) {
      const bool everywhere = !prefix.address.is_v4() && prefix.address.is_link_local();
      HEADGATE_CHECK(everywhere || s.route_table.find(prefix.address) != kNone);
    }
  }
  for (const Route& route : s.routes) {
    HEADGATE_CHECK(!route.next_hops.empty() && route.next_hops.size() <= kNextHopsMax);
    for (const NextHop& hop : route.next_hops) HEADGATE_CHECK(hop.interface < s.interfaces.size());
    const std::uint16_t found = s.route_table.find(route.prefix.address);
    HEADGATE_CHECK(found < s.routes.size() && s.routes[found].prefix.length >= route.prefix.length);
  }
  for (std::size_t i = 0; i < s.local_addresses.size(); ++i) {
    const OwnAddress* own = s.own_addresses.find(s.local_addresses[i].address);
    HEADGATE_CHECK(own != nullptr && own->local_address == i);
    HEADGATE_CHECK(own->interface == kNone || own->interface < s.interfaces.size());
  }
}

void check_pool(const Snapshot& s, std::size_t index) {
  const Pool& pool = s.pools[index];
  HEADGATE_CHECK(std::size_t{pool.first_backend} + pool.backend_count <= s.backends.size());
  HEADGATE_CHECK(std::ranges::is_sorted(pool.usable) && pool.usable.size() == pool.cumulative_weight.size());
  for (std::size_t i = 0; i < pool.usable.size(); ++i) {
    HEADGATE_CHECK(pool.usable[i] < s.backends.size());
    const Backend& backend = s.backends[pool.usable[i]];
    HEADGATE_CHECK(backend.usable() && backend.pool == index && backend.weight <= kWeightMax);
    HEADGATE_CHECK(pool.cumulative_weight[i] == (i == 0 ? 0 : pool.cumulative_weight[i - 1]) + backend.weight);
  }
  if (pool.maglev != nullptr) {
    HEADGATE_CHECK(pool.maglev->size() == kMaglevSlots);
    for (const std::uint16_t offset : *pool.maglev) {
      HEADGATE_CHECK(offset < pool.backend_count && s.backends[pool.first_backend + offset].weight != 0);
    }
  }
  balance::Exclusions excluded;
  static balance::Balancer balancer(0, 1);
  for (std::size_t turn = 0; turn <= std::min<std::size_t>(pool.usable.size(), 4); ++turn) {
    const balance::ClientKey client{IpAddress::from_v4(static_cast<std::uint32_t>(turn)), 7, kProtocolTcp};
    const balance::Choice choice = balancer.peek(s, pool, client, {}, excluded);
    balancer.take(s, pool, choice, excluded);
    HEADGATE_CHECK(static_cast<bool>(choice) == (turn < pool.usable.size()));
    if (!choice) break;
    HEADGATE_CHECK(std::ranges::binary_search(pool.usable, choice.backend) && !excluded.contains(choice.backend));
    excluded.add(choice.backend);
  }
}

void check_services(const Snapshot& s) {
  for (const Service& service : s.services) {
    HEADGATE_CHECK(service.pool < s.pools.size() && service.port != 0);
    HEADGATE_CHECK(s.find_service(service.address, service.port, service.protocol) == &service);
    HEADGATE_CHECK(s.own_addresses.find(service.address) != nullptr && s.own_addresses.find(service.address)->service);
    for (const auto* locals : {&service.local_v4, &service.local_v6}) {
      for (const std::uint16_t local : *locals) {
        HEADGATE_CHECK(local < s.local_addresses.size());
        HEADGATE_CHECK(s.local_addresses[local].address.is_v4() == (locals == &service.local_v4));
      }
    }
    const Pool& pool = s.pools[service.pool];
    for (unsigned i = 0; i < pool.backend_count; ++i) {
      const Backend& backend = s.backends[pool.first_backend + i];
      HEADGATE_CHECK(service.mode == Mode::tunnel || backend.address.is_v4() == service.address.is_v4());
      if (service.mode != Mode::nat) continue;
      const std::uint16_t port = backend.port == 0 ? service.port : backend.port;
      const std::uint16_t* found = s.nat_endpoints.find({backend.address, port, service.protocol});
      HEADGATE_CHECK(found != nullptr && *found < s.services.size() && s.services[*found].mode == Mode::nat);
    }
    const bool has_local = !(service.address.is_v4() ? service.local_v4 : service.local_v6).empty();
    HEADGATE_CHECK(service.mode != Mode::full_nat || has_local);
  }
  for (std::size_t i = 0; i < s.backends.size(); ++i) {
    HEADGATE_CHECK(s.backends[i].pool < s.pools.size());
    const auto* target = s.probe_targets.find(s.backends[i].id.value);
    HEADGATE_CHECK(target == nullptr || (target->backend == i && target->service < s.services.size()));
  }
}

void check_refusal(const std::vector<SnapshotError>& errors) {
  HEADGATE_CHECK(!errors.empty() && errors.size() <= kErrorsMax + 1);
  for (const SnapshotError& error : errors) HEADGATE_CHECK(!error.message.empty() && error.message.size() < 1000);
}

// An update of some states, drawn from the message itself, gives what a build of the message with these states gives.
void check_update(const dataplane::v1::Snapshot& message, const Snapshot& running, SlotTable& slots, Rng& rng) {
  dataplane::v1::Snapshot whole = message;
  dataplane::v1::StateUpdate update;
  update.set_base_generation(running.generation + (rng.chance(0.05) ? 1 : 0));
  update.set_generation(running.generation + 1);
  bool valid = update.base_generation() == running.generation && update.generation() > running.generation;
  for (auto& pool : *whole.mutable_pool()) {
    for (auto& backend : *pool.mutable_backend()) {
      if (!rng.chance(0.3)) continue;
      auto& state = *update.add_backend();
      state.set_backend_id(rng.chance(0.01) ? rng.below(100) : backend.id());
      state.set_weight(rng.chance(0.02) ? kWeightMax + 1 : rng.below(4));
      state.set_health(rng.chance(0.5) ? dataplane::v1::UP : dataplane::v1::DOWN);
      state.set_drain(rng.chance(0.2));
      valid &= state.backend_id() == backend.id() && state.weight() <= kWeightMax;
      backend.set_weight(state.weight());
      backend.set_health(state.health());
      backend.set_drain(state.drain());
    }
  }
  const auto updated = snapshot::update(update, {.running = &running, .slots = slots, .hash_key = 7});
  if (!updated) {
    HEADGATE_CHECK(!valid);
    return check_refusal(updated.error().errors);
  }
  if (!valid) return;  // another backend's id was drawn, by chance one that runs
  const auto built = build(whole, {.port_names = kPorts, .previous = &running, .slots = slots, .hash_key = 7});
  HEADGATE_CHECK(built.has_value());
  const Snapshot &a = **updated, &b = **built;
  for (std::size_t i = 0; i < a.pools.size(); ++i) {
    check_pool(a, i);
    HEADGATE_CHECK(std::ranges::equal(a.pools[i].usable, b.pools[i].usable));
    HEADGATE_CHECK(std::ranges::equal(a.pools[i].cumulative_weight, b.pools[i].cumulative_weight));
    HEADGATE_CHECK((a.pools[i].maglev == nullptr) == (b.pools[i].maglev == nullptr));
    HEADGATE_CHECK(a.pools[i].maglev == nullptr || *a.pools[i].maglev == *b.pools[i].maglev);
  }
  for (const Service& service : a.services) {
    HEADGATE_CHECK(a.own_addresses.find(service.address)->answers_ping ==
                   b.own_addresses.find(service.address)->answers_ping);
  }
}

void check_build(const dataplane::v1::Snapshot& message) {
  SlotTable slots(7);
  const auto first = build(message, {.port_names = kPorts, .slots = slots, .hash_key = 7});
  if (!first) {
    check_refusal(first.error());
    for (const SlotKind kind : {SlotKind::service, SlotKind::pool, SlotKind::backend, SlotKind::local_address}) {
      HEADGATE_CHECK(slots.used(kind) == 0);
    }
    return;
  }
  const Snapshot& s = **first;
  check_network(s);
  check_services(s);
  check_slots(s.services, s.service_by_slot);
  check_slots(s.pools, s.pool_by_slot);
  check_slots(s.backends, s.backend_by_slot);
  for (std::size_t i = 0; i < s.pools.size(); ++i) check_pool(s, i);

  const auto again = build(message, {.port_names = kPorts, .previous = &s, .slots = slots, .hash_key = 7});
  HEADGATE_CHECK(again.has_value() && (*again)->backend_by_slot == s.backend_by_slot);
  for (std::size_t i = 0; i < s.pools.size(); ++i) HEADGATE_CHECK((*again)->pools[i].maglev == s.pools[i].maglev);
  Rng rng(message.ByteSizeLong());
  check_update(message, s, slots, rng);
}

// Any message below `root`, each with about the same chance.
Message& some_message(Message& root, Rng& rng) {
  std::vector<Message*> all = {&root};
  for (std::size_t next = 0; next < all.size(); ++next) {
    Message& m = *all[next];
    std::vector<const FieldDescriptor*> fields;
    m.GetReflection()->ListFields(m, &fields);
    for (const FieldDescriptor* f : fields) {
      if (f->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      if (!f->is_repeated()) {
        all.push_back(m.GetReflection()->MutableMessage(&m, f));
        continue;
      }
      for (int i = 0; i < m.GetReflection()->FieldSize(m, f); ++i) {
        all.push_back(m.GetReflection()->MutableRepeatedMessage(&m, f, i));
      }
    }
  }
  return *all[rng.below(static_cast<std::uint32_t>(all.size()))];
}

std::string some_text(const std::string& old, Rng& rng) {
  static const char* const kTexts[] = {"10.0.0.1",
                                       "10.0.0.2",
                                       "10.0.0.0/24",
                                       "10.0.1.7",
                                       "192.0.2.1",
                                       "192.0.2.0/24",
                                       "0.0.0.0/0",
                                       "2001:db8::1",
                                       "::/0",
                                       "2001:db8::/64",
                                       "fe80::1",
                                       "fe80::/64",
                                       "198.18.0.0/15",
                                       "p0",
                                       "p1",
                                       "a",
                                       "",
                                       "255.255.255.255"};
  if (rng.chance(0.5) || old.empty()) return kTexts[rng.below(std::size(kTexts))];
  std::string text = old;
  char& c = text[rng.below(static_cast<std::uint32_t>(text.size()))];
  c = "0123456789abcdef.:/"[rng.below(19)];
  return text;
}

std::uint32_t some_number(std::uint32_t old, Rng& rng) {
  static constexpr std::uint32_t kNumbers[] = {0,    1,    2,    3,    80,    443,   1000,         1001,
                                               1280, 4094, 4095, 9000, 65535, 65536, 4'000'000'000};
  return rng.chance(0.3) ? old + 1 : rng.chance(0.5) ? rng.below(8) : kNumbers[rng.below(std::size(kNumbers))];
}

void edit_scalar(Message& m, const FieldDescriptor* f, Rng& rng) {
  const Reflection& r = *m.GetReflection();
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      if (f->is_repeated()) return r.AddUInt32(&m, f, rng.below(8));
      return r.SetUInt32(&m, f, some_number(r.GetUInt32(m, f), rng));
    case FieldDescriptor::CPPTYPE_UINT64:
      return r.SetUInt64(&m, f, rng.below(3));
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.SetBool(&m, f, rng.chance(0.5));
    case FieldDescriptor::CPPTYPE_ENUM:
      return r.SetEnumValue(&m, f, static_cast<int>(rng.below(6)));
    case FieldDescriptor::CPPTYPE_STRING:
      if (f->is_repeated()) return r.AddString(&m, f, some_text("", rng));
      return r.SetString(&m, f, some_text(r.GetString(m, f), rng));
    default:
      return;
  }
}

void edit(Message& root, Rng& rng) {
  Message& m = some_message(root, rng);
  const Reflection& r = *m.GetReflection();
  const auto fields = static_cast<std::uint32_t>(m.GetDescriptor()->field_count());
  const FieldDescriptor* f = m.GetDescriptor()->field(static_cast<int>(rng.below(fields)));
  if (f->is_repeated() && r.FieldSize(m, f) > 0 && rng.chance(0.4)) return r.RemoveLast(&m, f);
  if (f->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return edit_scalar(m, f, rng);
  if (!f->is_repeated()) {
    r.MutableMessage(&m, f);
    return;
  }
  const int size = r.FieldSize(m, f);
  if (size == 0) {
    r.AddMessage(&m, f);
    return;
  }
  const auto from = static_cast<int>(rng.below(static_cast<std::uint32_t>(size)));
  if (rng.chance(0.5)) return r.SwapElements(&m, f, from, size - 1);
  Message* added = r.AddMessage(&m, f);
  added->CopyFrom(r.GetRepeatedMessage(m, f, from));
  for (int i = 0; i < added->GetDescriptor()->field_count(); ++i) {  // a copy that may be accepted has ids of its own
    const FieldDescriptor* scalar = added->GetDescriptor()->field(i);
    if (!scalar->is_repeated() && i < 4) edit_scalar(*added, scalar, rng);
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  Rng rng(seed);
  dataplane::v1::Snapshot message;
  if (rng.chance(0.1) || !message.ParseFromArray(data, static_cast<int>(size)))
    return LLVMFuzzerMutate(data, size, size_max);
  for (unsigned edits = 1 + rng.below(3); edits > 0; --edits) edit(message, rng);
  if (message.ByteSizeLong() > size_max) return LLVMFuzzerMutate(data, size, size_max);
  const std::string bytes = message.SerializeAsString();
  std::ranges::copy(bytes, data);
  return bytes.size();
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // a line per text that is not UTF-8
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dataplane::v1::Snapshot message;
  if (message.ParseFromArray(data, static_cast<int>(size))) check_build(message);
  return 0;
}
