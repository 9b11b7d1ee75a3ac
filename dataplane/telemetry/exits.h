// How a packet left the worker. Every packet that came in leaves by exactly one of these; each is counted.
#pragma once

#include <cstdint>

#include "dataplane/telemetry/drop_reasons.h"

namespace headgate::telemetry {

#define HEADGATE_EXITS(X)                                           \
  X(forwarded, "sent on towards a backend, a client or a next hop") \
  X(answered, "answered by the box itself: ping, RST, ICMP error")  \
  X(consumed, "ARP, neighbor discovery, VRRP: taken in")            \
  X(proxied, "taken in by a connection that ends here")             \
  X(exception, "handed to the kernel")                              \
  X(handed_over, "given to the worker that owns it")                \
  X(held, "waits for a hardware address or its first fragment")     \
  X(dropped, "dropped, see the drop reasons")

enum class Exit : std::uint8_t {
#define X(name, text) name,
  HEADGATE_EXITS(X)
#undef X
      count
};
inline constexpr unsigned kExits = static_cast<unsigned>(Exit::count);

// Why a packet was handed to another worker.
#define HEADGATE_HANDOVERS(X)                                                     \
  X(steering, "the port put it on another queue than its owner's")                \
  X(fragment, "fragments are matched by the owner of (addresses, id)")            \
  X(icmp_error, "belongs to the owner of the flow it quotes")                     \
  X(persistence, "persistence is decided by the owner of the client prefix")      \
  X(connection_limit, "the backend's connections are counted by its home worker") \
  X(neighbor, "ARP and neighbor discovery are worker 0's")                        \
  X(exception, "the way to the kernel is worker 0's")                             \
  X(advert, "adverts of the election are worker 0's")                             \
  X(transmit, "this worker has no transmit queue on the port")

enum class Handover : std::uint8_t {
#define X(name, text) name,
  HEADGATE_HANDOVERS(X)
#undef X
      count
};
inline constexpr unsigned kHandovers = static_cast<unsigned>(Handover::count);

const char* to_string(Exit exit);
const char* describe(Exit exit);
const char* to_string(Handover reason);
const char* describe(Handover reason);

}  // namespace headgate::telemetry
