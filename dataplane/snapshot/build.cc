#include "dataplane/snapshot/build.h"

#include <cstring>

#include "dataplane/snapshot/decode.h"

namespace headgate::snapshot {
namespace {

using internal::Context;

// An error tells the length, never the key.
void decode_cookie_keys(Context& context) {
  const auto& keys = context.message.cookie_key();
  if (static_cast<std::size_t>(keys.size()) > kCookieKeysMax)
    context.errors.add("cookie_key", internal::sentence("At most ", kCookieKeysMax, " keys; leave the oldest out."));
  for (int i = 0; i < keys.size(); ++i) {
    SipKey key;
    if (keys[i].size() != sizeof key) {
      context.errors.add(internal::at("cookie_key", i, ""),
                         internal::sentence("A key has ", sizeof key, " bytes and this one ", keys[i].size(), "."));
      continue;
    }
    std::memcpy(key.data(), keys[i].data(), sizeof key);
    context.out.cookie_keys.push_back(key);
  }
}

void decode(Context& context) {
  Snapshot& out = context.out;
  out.generation = context.message.generation();
  out.epoch = context.message.epoch();
  out.digest = context.message.digest();
  out.layout = context.input.previous == nullptr ? 1 : context.input.previous->layout + 1;
  out.drop_unmatched = context.message.drop_unmatched();
  if (out.generation == 0) context.errors.add("generation", "0 means that nothing runs; number snapshots from 1.");
  decode_cookie_keys(context);
  internal::decode_groups(context);
  internal::decode_interfaces(context);
  internal::decode_routers(context);
  internal::decode_local_addresses(context);
  internal::decode_services(context);
  internal::decode_routes(context);
  internal::decode_pools(context);
  internal::check_services(context);
  internal::decode_timeouts(context);
  internal::decode_probe(context);
}

std::string_view list_of(SlotKind kind) {
  switch (kind) {
    case SlotKind::service:
      return "service";
    case SlotKind::pool:
      return "pool";
    case SlotKind::backend:
      return "backend";
    case SlotKind::local_address:
      return "local_address";
  }
  return "";
}

// The only lasting effect of a build, and it cannot fail halfway.
void assign_slots(Context& context) {
  Snapshot& out = context.out;
  SlotTable::Request request;
  for (const Service& service : out.services) request.services.push_back(service.id.value);
  for (const Pool& pool : out.pools) request.pools.push_back(pool.id.value);
  for (const Backend& backend : out.backends) request.backends.push_back(backend.id.value);
  for (const LocalAddress& local : out.local_addresses) request.local_addresses.push_back(local.address);
  const auto assigned = context.input.slots.assign(request);
  if (!assigned) {
    context.errors.add(
        std::string(list_of(assigned.error())),
        "Flows of removed entries still hold so many slots that the new entries find none; clear these flows "
        "or wait until they end, then push again.");
    return;
  }
  for (std::size_t i = 0; i < out.services.size(); ++i) out.services[i].slot = assigned->services[i];
  for (std::size_t i = 0; i < out.pools.size(); ++i) out.pools[i].slot = assigned->pools[i];
  for (std::size_t i = 0; i < out.backends.size(); ++i) out.backends[i].slot = assigned->backends[i];
  for (std::size_t i = 0; i < out.local_addresses.size(); ++i)
    out.local_addresses[i].slot = assigned->local_addresses[i];
  internal::assign_groups(context);
}

}  // namespace

tl::expected<std::shared_ptr<const Snapshot>, std::vector<SnapshotError>> build(const dataplane::v1::Snapshot& message,
                                                                                const BuildInput& input) {
  auto snapshot = std::make_shared<Snapshot>();
  Context context(message, input, *snapshot);
  if (internal::check_limits(context)) decode(context);
  if (context.errors.empty()) internal::compile_http(context);
  if (context.errors.empty()) assign_slots(context);
  if (!context.errors.empty()) return tl::unexpected(context.errors.take());
  internal::build_tables(context);
  return snapshot;
}

}  // namespace headgate::snapshot
