#include "dataplane/snapshot/update.h"

#include "dataplane/snapshot/decode.h"

namespace headgate::snapshot {
namespace {

using internal::at;
using internal::Errors;
using internal::sentence;
namespace pb = internal::pb;

tl::unexpected<UpdateRefusal> resync(std::string path, std::string message) {
  return tl::unexpected(UpdateRefusal{.resync = true, .errors = {{std::move(path), std::move(message)}}});
}

std::uint16_t position_of(const UpdateInput& input, std::uint32_t id) {
  const Backend* backend = input.running->backend_of_slot(input.slots.slot_of_backend(BackendId{id}));
  return backend == nullptr ? kNone : static_cast<std::uint16_t>(backend - input.running->backends.data());
}

void refill_pools(Snapshot& out, const std::vector<bool>& touched, const UpdateInput& input) {
  bool pings = false;
  for (std::size_t i = 0; i < out.pools.size(); ++i) {
    if (!touched[i]) continue;
    const bool served = !out.pools[i].usable.empty();
    internal::fill_pool(out, out.pools[i], input.running);
    pings |= served == out.pools[i].usable.empty();
  }
  if (pings) internal::decide_pings(out, input.hash_key);
}

}  // namespace

tl::expected<std::shared_ptr<const Snapshot>, UpdateRefusal> update(const pb::StateUpdate& message,
                                                                    const UpdateInput& input) {
  if (input.running == nullptr) return resync("base_generation", "Nothing runs; push a whole snapshot.");
  if (message.base_generation() != input.running->generation) {
    return resync("base_generation", sentence("Generation ", input.running->generation, " runs, not ",
                                              message.base_generation(), "; push a whole snapshot."));
  }
  auto next = std::make_shared<Snapshot>(*input.running);
  next->generation = message.generation();
  Errors errors;
  if (message.generation() <= message.base_generation())
    errors.add("generation", sentence(message.generation(), " is not above the base's; number updates upwards."));
  std::vector<bool> named(next->backends.size()), touched(next->pools.size());
  for (int i = 0; i < message.backend_size(); ++i) {
    const pb::BackendState& in = message.backend(i);
    const std::string path = at("backend", i);
    const std::uint16_t position = position_of(input, in.backend_id());
    if (position == kNone)
      return resync(path + ".backend_id",
                    sentence("No backend with id ", in.backend_id(), " runs; push a whole snapshot."));
    if (named[position]) errors.add(path + ".backend_id", sentence("Id ", in.backend_id(), " is named twice."));
    named[position] = true;
    Backend& backend = next->backends[position];
    touched[backend.pool] = true;
    internal::decode_state(errors, path, in.weight(), in.health(), in.drain(), backend);
  }
  if (!errors.empty()) return tl::unexpected(UpdateRefusal{.resync = false, .errors = errors.take()});
  refill_pools(*next, touched, input);
  return next;
}

}  // namespace headgate::snapshot
