// What the roles of the engine share. Each role is a header of functions over Core and a Connection (listen, connect,
// receive, acknowledge, send, recovery, congestion, deadlines); engine.h is the only header for others.
//
// Within one call of the engine: roles change state and mark connections dirty; only flush() tells applications and
// sends, each dirty connection once. Exceptions are answers that lose their meaning when they are merged: duplicate
// ACKs (RFC 5681 4.2), the ACK of every second segment, challenge ACKs, resets and the handshake.
#pragma once

#include <array>
#include <unordered_map>
#include <vector>

#include "dataplane/base/keyed_hash.h"
#include "dataplane/base/token_bucket.h"
#include "dataplane/tcp/config.h"
#include "dataplane/tcp/counters.h"
#include "dataplane/tcp/events.h"
#include "dataplane/tcp/isn.h"
#include "dataplane/tcp/memory.h"
#include "dataplane/tcp/ports.h"
#include "dataplane/tcp/recovery.h"
#include "dataplane/tcp/segment.h"
#include "dataplane/tcp/syn_table.h"
#include "dataplane/tcp/table.h"
#include "dataplane/tcp/time_wait.h"

namespace headgate::tcp {

// Data that came out of order (RFC 9293 3.10.7.4, 2018 3), sorted, without overlaps, all behind rcv_nxt.
struct Reassembly {
  PieceList list;
  std::uint32_t pieces = 0;
  std::array<Seq, kSackBlocksMax> recent;  // where the last arrivals lie, newest first: what SACK reports first
  std::uint8_t recent_count = 0;
  bool has_fin = false, has_duplicate = false;
  Seq fin;              // number of a FIN that came early
  SackBlock duplicate;  // to be reported once (RFC 2883)
};

struct Listener {
  IpAddress address;
  std::uint16_t port = 0;
  std::uint8_t profile = 0;
  bool open = false;
};

struct Core {
  Core(const Config& configuration, Events& application, BufferPool& buffers, Nanos start);

  Config config;
  Events& events;
  BufferPool& buffers;
  Nanos now;
  Slab<Connection> connections;
  PiecePool pieces;
  Slab<Recovery> recoveries;
  Slab<Reassembly> reassemblies;
  ConnectionTable table;
  TimerWheel wheel;
  SynTable syns;
  TimeWaitTable time_waits;
  Secrets secrets;
  KeyedHash hash;
  PortPicker ports;
  std::vector<Listener> listeners;
  std::unordered_map<std::uint64_t, std::uint16_t> listener_numbers;  // by name of (address, port), closed ones too
  std::vector<OutSegment> out;
  Counters counters;
  TokenBucket resets;       // answers to segments of no connection
  Nanos cookies_until = 0;  // an ACK may be a cookie's until then
  std::uint32_t dirty_head = kNone, dirty_tail = kNone;
  std::uint32_t generation = 0;

  const Profile& profile(const Connection& c) const { return config.profiles[c.profile]; }
  std::uint32_t index_of(const Connection& c) { return static_cast<std::uint32_t>(&c - &connections[0]); }
  ConnectionId id_of(const Connection& c) { return {index_of(c), c.generation}; }
  Connection* find(ConnectionId id);
  // `tuple`: src is the peer, as segments arrive.
  Connection* find(const Tuple& tuple, std::uint64_t tuple_hash);
  // 64 bits of SipHash stand for address and port, as in TIME-WAIT.
  std::uint64_t listener_name(const IpAddress& address, std::uint16_t port) const {
    return secrets.name({{}, address, 0, port, kProtocolTcp});
  }
  Recovery* recovery(const Connection& c) { return c.recovery == kNone ? nullptr : &recoveries[c.recovery]; }
  const Recovery* recovery(const Connection& c) const {
    return c.recovery == kNone ? nullptr : &recoveries[c.recovery];
  }
  Reassembly* reassembly(const Connection& c) { return c.reassembly == kNone ? nullptr : &reassemblies[c.reassembly]; }
  Pressure pressure() const { return pressure_of(pieces.truesize(), config.memory); }
  std::uint32_t timestamp(const Connection& c) const { return tick_of(now) + c.ts_offset; }
};

// As segments of this connection arrive: src is the peer.
inline Tuple tuple_of(const Connection& c) {
  if (c.v6) return {c.remote, c.local, c.remote_port, c.local_port, kProtocolTcp};
  return {IpAddress::from_v4(c.remote_low), IpAddress::from_v4(c.local_low), c.remote_port, c.local_port, kProtocolTcp};
}

void mark_dirty(Core& k, Connection& c);
// Sets one of the connection's deadlines and makes sure that the wheel looks at it in time.
void set_deadline(Core& k, Connection& c, Tick Connection::* deadline, Nanos after);

// -- life (core.cc)
// In the table, with its keyed values set; null when there is no room. `tuple`: src is the peer.
Connection* create(Core& k, const Tuple& tuple, std::uint8_t profile);
// Ended in order, or broken for `reason`: no more segments, no more timers. The application is told by flush().
void finish(Core& k, Connection& c);
void break_off(Core& k, Connection& c, CloseReason reason);
void enter_time_wait(Core& k, Connection& c);
// Gives everything back; the slot is free after the next flush.
void destroy(Core& k, Connection& c);
void flush(Core& k);

}  // namespace headgate::tcp
