#include "dataplane/tcp/engine.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/base/touch.h"
#include "dataplane/tcp/connect.h"
#include "dataplane/tcp/deadlines.h"
#include "dataplane/tcp/emit.h"
#include "dataplane/tcp/inspect.h"
#include "dataplane/tcp/listen.h"
#include "dataplane/tcp/path_mtu.h"
#include "dataplane/tcp/receive.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/splice.h"

namespace headgate::tcp {
namespace {

void dispatch(Core& k, const Segment& s, std::uint64_t hash) {
  ++k.counters.segments_in;
  Connection* c = k.find(s.tuple, hash);
  if (c == nullptr) {
    segment_without_connection(k, s);
  } else if (c->state == State::syn_sent) {
    answer_to_syn(k, *c, s);
  } else {
    segment_arrives(k, *c, s);
  }
}

const std::byte* first_line(Core& k, std::uint32_t index) {
  return k.connections.storage() + std::size_t{index} * sizeof(Connection);
}

// What else a segment in order touches, and an acknowledgment. Requires: the first line was touched.
void prefetch_rest(Core& k, std::uint32_t index) {
  for (std::size_t line = 1; line < 4; ++line) __builtin_prefetch(first_line(k, index) + line * 64);
}

// fin() and closed() wait until everything was taken.
void note_taken(Core& k, Connection& c) {
  if (c.receive.empty() && ((c.events & kEventFin) != 0 || c.state == State::done)) mark_dirty(k, c);
}

}  // namespace

Engine::Engine(const Config& config, Events& events, BufferPool& buffers, Nanos now)
    : core_(std::make_unique<Core>(config, events, buffers, now)) {}

Engine::~Engine() {
  clear_output();
  for (std::uint32_t i = 0; i < core_->connections.touched(); ++i) {
    Connection& c = core_->connections[i];
    if (c.generation != 0 && c.state != State::closed) destroy(*core_, c);
  }
}

void Engine::input(const Segment& s, Nanos now) {
  core_->now = now;
  dispatch(*core_, s, core_->hash(s.tuple));
}

void Engine::input(std::span<const Segment> burst, Nanos now) {
  Core& k = *core_;
  k.now = now;
  std::array<std::uint64_t, 64> hashes;
  while (!burst.empty()) {
    const std::size_t count = std::min(burst.size(), hashes.size());
    for (std::size_t i = 0; i < count; ++i) {
      hashes[i] = k.hash(burst[i].tuple);
      k.table.touch(hashes[i]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      k.table.each_candidate(hashes[i], [&k](std::uint32_t index) { touch(first_line(k, index)); });
    }
    for (std::size_t i = 0; i < count; ++i) {
      k.table.each_candidate(hashes[i], [&k](std::uint32_t index) { prefetch_rest(k, index); });
    }
    for (std::size_t i = 0; i < count; ++i) dispatch(k, burst[i], hashes[i]);
    burst = burst.subspan(count);
  }
}

Engine::Claimed Engine::claim(const Tuple& tuple, Nanos now) const {
  Core& k = *core_;
  const std::uint64_t hash = k.hash(tuple);
  if (const Connection* c = k.find(tuple, hash)) return {Claim::connection, k.id_of(*c)};
  if (k.time_waits.used() != 0 && k.time_waits.find(k.secrets.name(tuple)) != nullptr) return {Claim::time_wait, {}};
  if (k.syns.used() == 0 && now >= k.cookies_until) return {};
  const auto number = k.listener_numbers.find(k.listener_name(tuple.dst, tuple.dst_port));
  if (number == k.listener_numbers.end() || !k.listeners[number->second].open) return {};
  if (k.syns.find(hash, tuple.src, tuple.src_port, number->second) != nullptr) return {Claim::half_open, {}};
  return {now < k.cookies_until ? Claim::maybe_cookie : Claim::none, {}};
}

ConnectionId Engine::find(const Tuple& tuple) const {
  const Connection* c = core_->find(tuple, core_->hash(tuple));
  return c == nullptr ? ConnectionId{} : core_->id_of(*c);
}

void Engine::set_mtu(std::uint32_t mtu) {
  core_->config.mtu = mtu;
}

void Engine::packet_too_big(const Tuple& quoted, std::uint32_t sequence, std::uint32_t mtu, Nanos now) {
  core_->now = now;
  path_too_small(*core_, quoted, {sequence}, mtu);
}

void Engine::unreachable(const Tuple& quoted, std::uint32_t sequence, Nanos now) {
  core_->now = now;
  path_unreachable(*core_, quoted, {sequence});
}

void Engine::advance(Nanos now) {
  Core& k = *core_;
  k.now = now;
  k.wheel.advance(
      now, k.config.timers_at_once, [&k](std::uint32_t index) { on_timer(k, k.connections[index]); },
      [&k](std::span<const std::uint32_t> due) {
        for (const std::uint32_t index : due) touch(first_line(k, index));
        for (const std::uint32_t index : due) prefetch_rest(k, index);
      });
  advance_half_open(k);
  k.time_waits.advance(now);
}

void Engine::flush(Nanos now) {
  core_->now = now;
  tcp::flush(*core_);
}

Nanos Engine::next_deadline(Nanos now) const {
  return std::min(
      {core_->wheel.next_deadline(now), core_->syns.next_deadline(now), core_->time_waits.next_deadline(now)});
}

std::span<OutSegment> Engine::output() {
  return core_->out;
}

void Engine::clear_output() {
  clear_output(core_->out.size());
}

void Engine::clear_output(std::size_t count) {
  std::vector<OutSegment>& out = core_->out;
  count = std::min(count, out.size());
  for (std::size_t i = 0; i < count; ++i) {
    for (const Slice& slice : out[i].payload()) drop_reference(slice.buffer);
  }
  out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(count));
}

std::optional<std::uint16_t> Engine::listen(const IpAddress& address, std::uint16_t port, std::uint8_t profile) {
  // Numbers of closed listeners are reused for the same address and port only: half-open entries and connections still
  // name them.
  const auto next = static_cast<std::uint16_t>(core_->listeners.size());
  if (next == kListenersMax) return std::nullopt;
  const auto [entry, fresh] = core_->listener_numbers.try_emplace(core_->listener_name(address, port), next);
  const std::uint16_t number = entry->second;
  if (fresh) core_->listeners.emplace_back();
  Listener& listener = core_->listeners[number];
  if (listener.open) return std::nullopt;
  listener = {address, port, profile, true};
  return number;
}

void Engine::unlisten(std::uint16_t listener) {
  if (listener >= core_->listeners.size() || !core_->listeners[listener].open) return;
  core_->listeners[listener].open = false;
}

std::optional<ConnectionId> Engine::connect(const IpAddress& local, const IpAddress& remote, std::uint16_t remote_port,
                                            const PortSet& ports, std::uint8_t profile) {
  Connection* c = tcp::connect(*core_, local, remote, remote_port, profile, ports);
  if (c == nullptr) return std::nullopt;
  return core_->id_of(*c);
}

bool Engine::send(ConnectionId id, Chain&& chain, bool more) {
  Connection* c = core_->find(id);
  if (c == nullptr || !sends_data(*c)) {
    chain.clear();
    return false;
  }
  c->corked = more;
  enqueue(*core_, *c, std::move(chain));
  if (c->queued() >= core_->profile(*c).send_buffer) c->want_writable = true;
  return true;
}

bool Engine::send_copy(ConnectionId id, std::span<const std::uint8_t> bytes, bool more) {
  Chain copy(core_->pieces);
  while (!bytes.empty()) {
    Buffer* buffer = core_->buffers.allocate();
    if (buffer == nullptr) return false;
    buffer->packing = true;
    const std::size_t length = std::min<std::size_t>(bytes.size(), buffer->tailroom);
    std::memcpy(buffer->data, bytes.data(), length);
    buffer->length = static_cast<std::uint16_t>(length);
    buffer->tailroom = static_cast<std::uint16_t>(buffer->tailroom - length);
    const bool kept = length != 0 && copy.append({buffer, 0, buffer->length});
    drop_reference(buffer);
    if (!kept) return false;
    bytes = bytes.subspan(length);
  }
  return send(id, std::move(copy), more);
}

std::uint32_t Engine::room(ConnectionId id) {
  Connection* c = core_->find(id);
  if (c == nullptr || !sends_data(*c)) return 0;
  const std::uint32_t limit = send_limit(*core_, *c), queued = c->queued();
  const bool full = queued >= limit || c->send_truesize >= 2 * limit + kTruesizeSlack;
  if (full) c->want_writable = true;
  return full ? 0 : limit - queued;
}

Chain Engine::receive(ConnectionId id, std::uint32_t most) {
  Core& k = *core_;
  Chain chain(k.pieces);
  Connection* c = k.find(id);
  if (c == nullptr) return chain;
  while (!c->receive.empty() && most != 0) {
    const std::uint32_t head = c->receive.head;
    if (k.pieces[head].length > most && !k.pieces.split(c->receive, head, static_cast<std::uint16_t>(most))) {
      break;
    }
    const std::uint32_t index = k.pieces.pop_front(c->receive);
    most -= k.pieces[index].length;
    c->receive_bytes -= k.pieces[index].length;
    c->receive_truesize -= k.pieces[index].charge();
    chain.adopt(index);
  }
  note_taken(k, *c);
  return chain;
}

std::span<const std::uint8_t> Engine::front(ConnectionId id) const {
  const Connection* c = core_->find(id);
  if (c == nullptr || c->receive.empty()) return {};
  return core_->pieces[c->receive.head].slice().bytes();
}

std::uint32_t Engine::discard(ConnectionId id, std::uint32_t bytes) {
  Core& k = *core_;
  Connection* c = k.find(id);
  if (c == nullptr) return 0;
  std::uint32_t gone = 0;
  while (!c->receive.empty() && gone < bytes) {
    Piece& head = k.pieces[c->receive.head];
    if (head.length > bytes - gone) {
      PiecePool::trim_front(head, bytes - gone);
      gone = bytes;
      break;
    }
    gone += head.length;
    c->receive_truesize -= head.charge();
    k.pieces.release(k.pieces.pop_front(c->receive));
  }
  c->receive_bytes -= gone;
  tcp::consume(k, *c, gone);
  note_taken(k, *c);
  return gone;
}

std::size_t Engine::peek(ConnectionId id, std::span<std::uint8_t> out) const {
  const Connection* c = core_->find(id);
  std::size_t copied = 0;
  for (std::uint32_t i = c == nullptr ? kNone : c->receive.head; i != kNone && copied < out.size();
       i = core_->pieces[i].next) {
    const auto bytes = core_->pieces[i].slice().bytes();
    const std::size_t length = std::min(bytes.size(), out.size() - copied);
    std::memcpy(out.data() + copied, bytes.data(), length);
    copied += length;
  }
  return copied;
}

void Engine::consume(ConnectionId id, std::uint32_t bytes) {
  if (Connection* c = core_->find(id)) tcp::consume(*core_, *c, bytes);
}

void Engine::shutdown(ConnectionId id) {
  if (Connection* c = core_->find(id)) shut_down(*core_, *c);
}

void Engine::abort(ConnectionId id) {
  Connection* c = core_->find(id);
  if (c == nullptr) return;
  if (c->synchronized() || c->state == State::syn_received) emit_reset(*core_, *c);
  destroy(*core_, *c);
}

void Engine::terminate(ConnectionId id) {
  Connection* c = core_->find(id);
  if (c == nullptr || c->state == State::done) return;
  if (c->synchronized() || c->state == State::syn_received) emit_reset(*core_, *c);
  break_off(*core_, *c, CloseReason::terminated);
}

bool Engine::splice(ConnectionId from, ConnectionId to) {
  Connection *a = core_->find(from), *b = core_->find(to);
  if (a == nullptr || b == nullptr) return false;
  tcp::splice(*core_, *a, *b);
  return true;
}

void Engine::set_user(ConnectionId id, std::uint64_t value) {
  if (Connection* c = core_->find(id)) c->user = value;
}

std::uint64_t Engine::user(ConnectionId id) const {
  const Connection* c = core_->find(id);
  return c == nullptr ? 0 : c->user;
}

Chain Engine::chain() {
  return Chain(core_->pieces);
}

std::optional<Info> Engine::info(ConnectionId id) const {
  const Connection* c = core_->find(id);
  if (c == nullptr) return std::nullopt;
  return inspect(*core_, *c);
}

std::uint64_t Engine::progress(ConnectionId id) const {
  const Connection* c = core_->find(id);
  return c == nullptr ? 0 : c->bytes_received + c->bytes_acked;
}

const Counters& Engine::counters() const {
  return core_->counters;
}
std::uint32_t Engine::connections() const {
  return core_->connections.used();
}
std::uint32_t Engine::half_open() const {
  return core_->syns.used();
}
std::uint32_t Engine::time_waits() const {
  return core_->time_waits.used();
}
std::uint32_t Engine::pieces() const {
  return core_->pieces.used();
}
std::uint64_t Engine::memory() const {
  return core_->pieces.truesize();
}
std::string Engine::audit() const {
  return tcp::audit(*core_);
}

}  // namespace headgate::tcp
