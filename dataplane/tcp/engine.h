// The TCP engine of one worker: RFC 9293 and what a proxy needs with it. A pure function of (segment | time | call of
// the application, now) to (state, list of segments): it reads no clock, keeps no globals, draws all chance from the
// secret in its configuration, and is single threaded.
//
// A worker's turn: input() for each segment of a burst, advance() for time, flush() once (applications are called, each
// connection with news sends once), then output() and clear_output(). `now` never goes back.
//
// Not the engine's business: Ethernet, IP, checksums, addresses that are not ours. A segment handed in has a right
// checksum, comes from a unicast address and is for one of ours.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "dataplane/tcp/config.h"
#include "dataplane/tcp/counters.h"
#include "dataplane/tcp/events.h"
#include "dataplane/tcp/ports.h"
#include "dataplane/tcp/segment.h"

namespace headgate::tcp {

struct Core;

// tcp_info of a connection: what `show connections` prints.
struct Info {
  Tuple tuple;  // src is the peer
  State state = State::closed;
  Seq snd_una, snd_nxt, rcv_nxt;
  bool fin_received = false;
  std::uint16_t mss = 0;
  std::uint8_t snd_scale = 0, rcv_scale = 0;
  bool timestamps = false, sack = false, ecn = false;
  std::uint32_t unacknowledged = 0, unsent = 0;  // bytes of the send queue
  std::uint32_t received = 0, unconsumed = 0;    // bytes waiting for the application, and taken but not consumed
  std::uint32_t truesize = 0;                    // of what both queues hold
  std::uint32_t snd_wnd = 0, rcv_wnd = 0;
  std::uint32_t cwnd = 0, ssthresh = 0, flight = 0;
  std::uint32_t srtt_us = 0, rttvar_us = 0, min_rtt_us = 0, timeout_ms = 0;
  std::uint32_t retransmitted = 0;
  std::uint64_t bytes_received = 0, bytes_acked = 0;
  std::uint8_t backoff = 0;
  const char* recovery = "open";  // open, disorder, fast, timeout, resize
};

class Engine {
 public:
  // `events` and `buffers` outlive the engine. Requires: at least one profile.
  Engine(const Config& config, Events& events, BufferPool& buffers, Nanos now);
  ~Engine();

  // -- the wire
  void input(const Segment& segment, Nanos now);
  // The same for many at once, whose connections are fetched from memory side by side.
  void input(std::span<const Segment> burst, Nanos now);
  // Who would take a segment with this tuple (src is the peer), without taking it. maybe_cookie: nobody, but cookies
  // were sent lately and its ACK may bring one back.
  enum class Claim : std::uint8_t { none, connection, half_open, time_wait, maybe_cookie };
  struct Claimed {
    Claim by = Claim::none;
    ConnectionId connection;
  };
  Claimed claim(const Tuple& tuple, Nanos now) const;
  ConnectionId find(const Tuple& tuple) const;  // its connection, or none: half of claim(), for the packet path
  // ICMP errors about a packet of ours; `quoted` has src = ours, `sequence` is the quoted one (RFC 5927 4.1).
  void packet_too_big(const Tuple& quoted, std::uint32_t sequence, std::uint32_t mtu, Nanos now);
  void unreachable(const Tuple& quoted, std::uint32_t sequence, Nanos now);
  void advance(Nanos now);
  void flush(Nanos now);
  // When advance() has something to do, or earlier; kNever when there is nothing to wait for.
  Nanos next_deadline(Nanos now) const;
  std::span<OutSegment> output();
  void clear_output();
  void clear_output(std::size_t count);  // the first ones

  // Of the narrowest link: what new connections offer and keep to. Requires: at least 576.
  void set_mtu(std::uint32_t mtu);

  // -- opening
  // Connections to this address and port are accepted. Nothing when the listener exists, or when kListenersMax pairs of
  // address and port have been listened on.
  std::optional<std::uint16_t> listen(const IpAddress& address, std::uint16_t port, std::uint8_t profile = 0);
  // Half-open connections end, established ones stay.
  void unlisten(std::uint16_t listener);
  // connected() or closed() follows. Nothing when no port of `ports` is free or there is no room.
  std::optional<ConnectionId> connect(const IpAddress& local, const IpAddress& remote, std::uint16_t remote_port,
                                      const PortSet& ports, std::uint8_t profile = 0);

  // -- a connection. Stale ids: nothing happens, false or empty is returned.
  // The whole chain is queued; false, and the chain dropped, when the sending side is shut or never was. `more`: a last
  // segment that is not full waits for what follows (or for shutdown()). Should be called while room() > 0.
  bool send(ConnectionId id, Chain&& chain, bool more = false);
  // The same with a copy of the bytes. False when the buffers ran out; nothing is queued then.
  bool send_copy(ConnectionId id, std::span<const std::uint8_t> bytes, bool more = false);
  // Bytes that still fit below the profile's send_buffer; 0 means that writable() will be called.
  std::uint32_t room(ConnectionId id);
  // At most `most` bytes that arrived, in order. They count against the window until consume().
  Chain receive(ConnectionId id, std::uint32_t most = 0xffffffff);
  void consume(ConnectionId id, std::uint32_t bytes);
  // The first contiguous bytes of what arrived and was not received; empty: nothing. Valid until the next call that
  // changes something.
  std::span<const std::uint8_t> front(ConnectionId id) const;
  // Copies what arrived and was not received, as much as fits, and leaves it. Returns how much.
  std::size_t peek(ConnectionId id, std::span<std::uint8_t> out) const;
  // As receive() and consume() of so many bytes that nobody wants. Needs no memory. Returns how many there were.
  std::uint32_t discard(ConnectionId id, std::uint32_t bytes);
  void shutdown(ConnectionId id);  // a FIN behind what is queued; receiving goes on
  void abort(ConnectionId id);     // RST; no more callbacks
  // RST, and the application is told as if the peer had sent one: reset() and closed(), reason terminated.
  void terminate(ConnectionId id);
  // What `from` receives, `to` sends, until one of them ends; data() of `from` is not called meanwhile, fin() is.
  bool splice(ConnectionId from, ConnectionId to);
  void set_user(ConnectionId id, std::uint64_t value);
  std::uint64_t user(ConnectionId id) const;

  Chain chain();
  // -- introspection
  std::optional<Info> info(ConnectionId id) const;
  std::uint64_t progress(ConnectionId id) const;  // bytes received and bytes acknowledged, together; 0 when stale
  const Counters& counters() const;
  std::uint32_t connections() const;  // allocated, those that only wait for the application included
  std::uint32_t half_open() const;
  std::uint32_t time_waits() const;
  std::uint32_t pieces() const;
  std::uint64_t memory() const;  // true size of the buffers held
  // Walks everything and returns the first broken invariant, or an empty string. For tests.
  std::string audit() const;

 private:
  std::unique_ptr<Core> core_;
};

const char* name_of(State state);
const char* name_of(CloseReason reason);

}  // namespace headgate::tcp
