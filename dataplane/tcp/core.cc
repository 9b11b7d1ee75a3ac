#include "dataplane/tcp/core.h"

#include <algorithm>

#include "dataplane/tcp/send.h"
#include "dataplane/tcp/splice.h"

namespace headgate::tcp {
namespace {

// Answers to segments that belong to no connection.
constexpr std::uint64_t kResetsPerSecond = 10'000;
constexpr std::uint64_t kResetsBurst = 1'000;

std::uint64_t hash_key(const SipKey& secret) {
  const std::uint64_t words[] = {6};
  return siphash(secret, words);
}

std::uint32_t low_of(const IpAddress& address) {
  return load_be32(address.bytes.data() + 12);
}

void unlink_timers(Core& k, Connection& c) {
  k.wheel.disarm(k.index_of(c));
  c.rtx_deadline = c.ack_deadline = c.idle_deadline = 0;
}

void leave_table(Core& k, Connection& c) {
  if (!c.in_table) return;
  c.in_table = false;
  k.table.erase(k.hash(tuple_of(c)), k.index_of(c));
}

void drop_send_queue(Core& k, Connection& c) {
  k.pieces.release_all(c.send);
  c.unsent = kNone;
  c.send_truesize = 0;
  c.snd_end = c.snd_una;
  release_recovery(k, c);
}

void drop_receive_queue(Core& k, Connection& c) {
  k.pieces.release_all(c.receive);
  c.receive_bytes = c.receive_truesize = 0;
}

void drop_reassembly(Core& k, Connection& c) {
  if (c.reassembly == kNone) return;
  const PieceList& list = k.reassemblies[c.reassembly].list;
  for (std::uint32_t i = list.head; i != kNone; i = k.pieces[i].next) c.receive_truesize -= k.pieces[i].charge();
  k.pieces.release_all(k.reassemblies[c.reassembly].list);
  k.reassemblies.free(c.reassembly);
  c.reassembly = kNone;
}

void end_for_peer(Core& k, Connection& c) {
  leave_table(k, c);
  unlink_timers(k, c);
  drop_send_queue(k, c);
  drop_reassembly(k, c);
  c.ack_now = false;
  c.state = State::done;
  mark_dirty(k, c);
}

// Tells the application what it has to know, in the order in which it happened. False when the connection is gone.
bool deliver(Core& k, Connection& c) {
  const ConnectionId id = k.id_of(c);
  const auto alive = [&] { return c.generation == id.generation && c.state != State::closed; };
  const auto take = [&](Event event) {
    if ((c.events & event) == 0) return false;
    c.events = static_cast<std::uint8_t>(c.events & ~event);
    return true;
  };
  if (take(kEventOpen)) {
    c.active ? k.events.connected(id) : k.events.accepted(id, c.listener);
    if (!alive()) return false;
  }
  if (take(kEventReset)) {
    k.events.reset(id, c.reason);
    if (alive()) {
      k.events.closed(id, c.reason);
      if (alive()) destroy(k, c);
    }
    return false;
  }
  pull_splice(k, c);
  if (take(kEventData) && c.splice_to == kNone && c.receive_bytes != 0) {
    k.events.data(id);
    if (!alive()) return false;
  }
  if (take(kEventWritable)) {
    k.events.writable(id);
    if (!alive()) return false;
  }
  if ((c.events & kEventFin) != 0 && c.receive_bytes == 0) {
    c.events = static_cast<std::uint8_t>((c.events & ~kEventFin) | kEventFinTold);
    k.events.fin(id);
    if (!alive()) return false;
  }
  if (c.state == State::done && c.receive_bytes == 0 && (c.events & kEventFin) == 0) {
    k.events.closed(id, c.reason);
    if (alive()) destroy(k, c);
    return false;
  }
  return true;
}

}  // namespace

Core::Core(const Config& configuration, Events& application, BufferPool& pool, Nanos start)
    : config(configuration),
      events(application),
      buffers(pool),
      now(start),
      connections(config.connections),
      pieces(config.pieces),
      recoveries(config.troubled),
      reassemblies(config.reassemblies),
      table(config.connections),
      wheel(connections.storage() + offsetof(Connection, wheel), sizeof(Connection), start),
      syns(config.half_open),
      time_waits(config.time_waits),
      secrets(config.secret),
      hash(hash_key(config.secret)),
      ports(secrets.ports()),
      resets(kResetsPerSecond, kResetsBurst) {
  HEADGATE_CHECK(!config.profiles.empty() && config.profiles.size() < 256);
}

Connection* Core::find(ConnectionId id) {
  if (id.index >= connections.touched()) return nullptr;
  Connection& c = connections[id.index];
  return c.generation == id.generation && c.state != State::closed ? &c : nullptr;
}

Connection* Core::find(const Tuple& tuple, std::uint64_t tuple_hash) {
  const std::uint32_t remote_low = low_of(tuple.src), local_low = low_of(tuple.dst);
  const std::uint32_t index = table.find(tuple_hash, [&](std::uint32_t candidate) {
    const Connection& c = connections[candidate];
    return c.remote_port == tuple.src_port && c.remote_low == remote_low && c.local_port == tuple.dst_port &&
           c.local_low == local_low &&
           ((!c.v6 && tuple.src.is_v4()) || (c.remote == tuple.src && c.local == tuple.dst));
  });
  return index == kNone ? nullptr : &connections[index];
}

void mark_dirty(Core& k, Connection& c) {
  if (c.dirty) return;
  c.dirty = true;
  c.dirty_next = kNone;
  const std::uint32_t index = k.index_of(c);
  (k.dirty_head == kNone ? k.dirty_head : k.connections[k.dirty_tail].dirty_next) = index;
  k.dirty_tail = index;
}

void set_deadline(Core& k, Connection& c, Tick Connection::* deadline, Nanos after) {
  const Tick tick = tick_after(k.now, after);
  c.*deadline = tick == 0 ? 1 : tick;
  k.wheel.arm(k.index_of(c), c.*deadline);
}

Connection* create(Core& k, const Tuple& tuple, std::uint8_t profile) {
  const std::uint32_t index = k.connections.allocate();
  if (index == kNone) return nullptr;
  Connection& c = k.connections[index];
  c.generation = ++k.generation;
  c.profile = profile;
  c.remote = tuple.src;
  c.local = tuple.dst;
  c.remote_low = low_of(tuple.src);
  c.local_low = low_of(tuple.dst);
  c.remote_port = tuple.src_port;
  c.local_port = tuple.dst_port;
  c.v6 = !tuple.src.is_v4();
  c.ts_offset = k.secrets.timestamp_offset(tuple.reversed());
  c.progress_at = c.last_received = tick_of(k.now);
  c.in_table = true;
  k.table.insert(k.hash(tuple), index);
  return &c;
}

void finish(Core& k, Connection& c) {
  end_for_peer(k, c);
}

void break_off(Core& k, Connection& c, CloseReason reason) {
  // Accepted and broken in one burst: the application never heard of it.
  if (!c.active && (c.events & kEventOpen) != 0) return destroy(k, c);
  end_for_peer(k, c);
  drop_receive_queue(k, c);
  c.reason = reason;
  c.events = kEventReset;
}

void enter_time_wait(Core& k, Connection& c) {
  const std::uint64_t name = k.secrets.name(tuple_of(c));
  TimeWait* entry = k.time_waits.find(name);
  if (entry == nullptr) entry = k.time_waits.insert(name, k.now, k.config.time_wait);
  if (entry != nullptr) {
    entry->snd_nxt = c.snd_nxt;
    entry->rcv_nxt = c.rcv_nxt;
    entry->ts_recent = c.ts_recent;
    entry->timestamps = c.timestamps;
  }
  finish(k, c);
}

void destroy(Core& k, Connection& c) {
  unsplice(k, c);
  leave_table(k, c);
  unlink_timers(k, c);
  drop_send_queue(k, c);
  drop_reassembly(k, c);
  drop_receive_queue(k, c);
  k.events.released(k.id_of(c));
  c.state = State::closed;
  c.events = 0;
  c.generation = 0;
  ++k.counters.closed;
  mark_dirty(k, c);
}

void flush(Core& k) {
  while (k.dirty_head != kNone) {
    const std::uint32_t index = k.dirty_head;
    Connection& c = k.connections[index];
    k.dirty_head = c.dirty_next;
    c.dirty = false;
    if (c.state != State::closed && deliver(k, c)) output(k, c);
    // Destroyed just now or by somebody else; when by itself, it is in the list once more.
    if (c.state == State::closed && !c.dirty) k.connections.free(index);
  }
}

}  // namespace headgate::tcp
