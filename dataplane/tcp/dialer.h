// What sessions ask of the worker: which backend, and a connection to it. Sessions know neither snapshots nor packets;
// the worker behind this knows nothing of what is said on a connection. Tests put two engines behind it.
//
// A connection's user word (Engine::user) belongs to whoever speaks on it: its kind in the top byte, by which the
// worker hands events on, and 56 bits of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/ids.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/time.h"
#include "dataplane/tcp/events.h"

namespace headgate::tcp {

enum class Speaker : std::uint8_t { none, relay, http };

constexpr std::uint64_t user_word(Speaker speaker, std::uint64_t own) {
  return std::uint64_t{static_cast<std::uint8_t>(speaker)} << 56 | (own & ((std::uint64_t{1} << 56) - 1));
}
constexpr Speaker speaker_of(std::uint64_t user) {
  return static_cast<Speaker>(user >> 56);
}

// Whom a backend is wanted for.
struct Wish {
  ServiceId service;
  PoolId pool;  // the service's, or a route's
  IpAddress client;
  std::uint16_t client_port = 0;
  BackendId preferred{};               // a cookie's; taken when it may have this client
  std::span<const BackendId> avoid{};  // tried already
  bool connect = false;                // for a new connection: backends at their limit are left out as well
};

enum class DialFailure : std::uint8_t {
  none,
  no_backend,  // none is up, undrained, with weight, and not to be avoided
  at_limit,    // those that could are at their limit of connections: wait for one, or give up
  asked,       // whether it is at its limit is another worker's to say: dial the same backend again after kDialAgain
  no_port,     // no local port or address towards it is left
  no_memory,   // of the engine
  gone,        // the service or its pool is no more
};

// An answer that had to be asked for is kept for ten times as long.
inline constexpr Nanos kDialAgain = kMillisecond;

class Dialer {
 public:
  virtual ~Dialer() = default;

  struct Chosen {
    BackendId backend{};
    DialFailure failure = DialFailure::none;
  };
  // The next turn of the pool's algorithm. Counts as taken. at_limit is asked here only where the wish is to connect:
  // else a connection may be idle.
  virtual Chosen choose(const Wish& wish) = 0;

  struct Dialed {
    ConnectionId connection{};
    DialFailure failure = DialFailure::none;
  };
  // A new connection to the backend, of whose limit it takes one until ended(). connected() or closed() follows.
  virtual Dialed dial(ServiceId service, BackendId backend, std::uint64_t user) = 0;

  enum class Ending : std::uint8_t { closed, connect_failed, reset };
  // Once for each connection that dial() gave, also for those that were aborted.
  virtual void ended(ConnectionId connection, BackendId backend, Ending ending) = 0;
  // False: drained, down, or no longer of the configuration. Idle connections to it are to be closed.
  virtual bool usable(BackendId backend) const = 0;
  // Whether an idle connection to it may be kept: not when its limit is so near that others may want the place.
  virtual bool may_keep(BackendId backend) const { return usable(backend); }
};

}  // namespace headgate::tcp
