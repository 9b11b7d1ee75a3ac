#include "dataplane/tcp/trace_testing.h"

#include <algorithm>
#include <array>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"

namespace headgate::tcp::testing {
namespace {

constexpr std::uint16_t kOurPort = 80, kPeerPort = 40000;

Config with_profile(Config config, const Profile& profile) {
  config.profiles = {profile};
  return config;
}

Tuple arriving_tuple(bool v6) {
  return {parse_ip(v6 ? "2001:db8::10" : "192.0.2.10").value(), parse_ip(v6 ? "2001:db8::100" : "192.0.2.100").value(),
          kPeerPort, kOurPort, kProtocolTcp};
}

std::string number(const char* name, std::uint64_t value) {
  return " " + std::string(name) + "=" + std::to_string(value);
}

}  // namespace

TraceBench::TraceBench(const Profile& profile, const PeerOptions& peer, const Config& config)
    : engine(with_profile(config, profile), *this, pool, now), peer_(peer), tuple_(arriving_tuple(peer.v6)) {
  peer_next_ = peer_.iss;
}

TraceBench::~TraceBench() = default;

void TraceBench::accept() {
  HEADGATE_CHECK(engine.listen(tuple_.dst, kOurPort).has_value());
  peer_syn();
  peer({});
  sent();
  told();
}

void TraceBench::start_connect() {
  const auto made = engine.connect(tuple_.dst, tuple_.src, kPeerPort, PortSet::range(kOurPort, kOurPort));
  HEADGATE_CHECK(made.has_value());
  id = *made;
  run();
}

void TraceBench::connect() {
  start_connect();
  peer_syn(kAck);
  sent();
  told();
}

void TraceBench::peer_syn(std::uint8_t extra_flags) {
  const auto ecn = static_cast<std::uint8_t>(!peer_.ecn ? 0 : extra_flags == 0 ? kEce | kCwr : kEce);
  peer({.seq = 0, .flags = static_cast<std::uint8_t>(kSyn | extra_flags | ecn)});
}

void TraceBench::peer(const Says& says) {
  inject(says);
  run();
}

void TraceBench::burst(const std::vector<Says>& all) {
  for (const Says& says : all) inject(says);
  run();
}

void TraceBench::inject(const Says& says) {
  Header h;
  h.flags = says.flags;
  h.seq = {says.seq ? peer_.iss + *says.seq : peer_next_};
  if ((says.flags & kAck) != 0) h.ack = {says.ack ? our_iss_ + *says.ack : our_next_};
  h.window = says.window.value_or(peer_.window);
  if ((says.flags & kSyn) != 0) {
    h.options.has_mss = peer_.mss != 0;
    h.options.mss = peer_.mss;
    h.options.has_scale = peer_.scale >= 0;
    h.options.scale = static_cast<std::uint8_t>(std::max(peer_.scale, 0));
    h.options.sack_permitted = peer_.sack;
  }
  if (peer_.timestamps && !says.no_timestamp) {
    h.options.has_timestamps = true;
    h.options.ts_value = says.ts.value_or(peer_clock);
    h.options.ts_echo = says.echo.value_or(last_ts_);
  }
  for (const SackBlock& block : says.sacks) {
    h.options.sacks[h.options.sack_count++] = {block.start + our_iss_, block.end + our_iss_};
  }
  Segment s;
  s.tuple = tuple_;
  s.header = h;
  s.payload_length = says.length;
  s.congestion_experienced = says.marked;
  Slice slice;
  if (says.length != 0) {
    std::vector<std::uint8_t> bytes(says.length);
    for (std::uint32_t i = 0; i < says.length; ++i) {
      bytes[i] = static_cast<std::uint8_t>('a' + (h.seq.value - peer_.iss - 1 + i) % 26);
    }
    slice = {pool.with(bytes), 0, static_cast<std::uint16_t>(says.length)};
    s.payload = {&slice, 1};
  }
  const Seq end = h.seq + s.length();
  if (Seq{peer_next_} < end) peer_next_ = end.value;
  engine.input(s, now);
  if (slice.buffer != nullptr) drop_reference(slice.buffer);
}

void TraceBench::run() {
  engine.flush(now);
  for (const OutSegment& out : engine.output()) sent_.push_back(describe(out));
  engine.clear_output();
  const std::string broken = engine.audit();
  if (!broken.empty()) sent_.push_back("AUDIT: " + broken);
}

std::string TraceBench::describe(const OutSegment& out) {
  Header h;
  HEADGATE_CHECK(parse_header({out.header.data(), out.header_length}, h));
  HEADGATE_CHECK(out.tuple == tuple_.reversed());
  std::string text;
  for (const auto& [bit, letter] :
       {std::pair{kSyn, 'S'}, {kFin, 'F'}, {kRst, 'R'}, {kAck, 'A'}, {kEce, 'E'}, {kCwr, 'W'}}) {
    if ((h.flags & bit) != 0) text += letter;
  }
  if ((h.flags & kSyn) != 0) {
    our_iss_ = h.seq.value;
    our_next_ = our_iss_ + 1;
  }
  const bool foreign = (h.flags & kRst) != 0 && (h.flags & kAck) == 0 && our_iss_ == 0;
  if (h.seq.value - our_iss_ != 0 && !foreign) text += number("seq", h.seq.value - our_iss_);
  if ((h.flags & kAck) != 0) text += number("ack", h.ack.value - peer_.iss);
  if (out.payload_length != 0) text += number("len", out.payload_length);
  if (show_window) text += number("win", h.window);
  if ((h.flags & kSyn) != 0) {
    if (h.options.has_mss) text += number("mss", h.options.mss);
    if (h.options.has_scale) text += number("scale", h.options.scale);
    if (h.options.sack_permitted) text += " sack";
    if (h.options.has_timestamps) text += " ts";
  }
  for (unsigned i = 0; i < h.options.sack_count; ++i) {
    text += " sack=" + std::to_string(h.options.sacks[i].start.value - peer_.iss) + "-" +
            std::to_string(h.options.sacks[i].end.value - peer_.iss);
  }
  if (h.options.has_timestamps) last_ts_ = h.options.ts_value;
  if (show_timestamps && h.options.has_timestamps) text += number("echo", h.options.ts_echo);
  const std::uint32_t length = out.payload_length + ((h.flags & kFin) != 0 ? 1u : 0u);
  if ((h.flags & kRst) == 0 && Seq{our_next_} < h.seq + length) our_next_ = (h.seq + length).value;
  return text;
}

void TraceBench::write(std::uint32_t bytes, bool more) {
  HEADGATE_CHECK(engine.send_copy(id, std::vector<std::uint8_t>(bytes, 'x'), more));
  run();
}

std::string TraceBench::read(std::uint32_t most, bool consume_too) {
  std::string text;
  {
    Chain chain = engine.receive(id, most);
    chain.each([&](std::span<const std::uint8_t> part) { text.append(part.begin(), part.end()); });
  }
  if (consume_too) engine.consume(id, static_cast<std::uint32_t>(text.size()));
  run();
  return text;
}

void TraceBench::consume(std::uint32_t bytes) {
  engine.consume(id, bytes);
  run();
}

void TraceBench::shutdown() {
  engine.shutdown(id);
  run();
}

void TraceBench::abort() {
  engine.abort(id);
  run();
}

void TraceBench::wait(Nanos span) {
  const Nanos end = now + span;
  peer_clock += static_cast<std::uint32_t>(span / kMillisecond);
  for (;;) {
    const Nanos next = engine.next_deadline(now);
    if (next > end) break;
    now = std::max(now, next);
    engine.advance(now);
    run();
  }
  now = end;
  engine.advance(now);
  run();
}

std::vector<std::string> TraceBench::sent() {
  return std::exchange(sent_, {});
}
std::vector<std::string> TraceBench::told() {
  return std::exchange(told_, {});
}

void TraceBench::accepted(ConnectionId made, std::uint16_t) {
  id = made;
  told_.push_back("accepted");
}
void TraceBench::connected(ConnectionId) {
  told_.push_back("connected");
}
void TraceBench::data(ConnectionId which) {
  told_.push_back("data " + std::to_string(engine.info(which)->received));
  if (!read_at_once) return;
  const Chain chain = engine.receive(which);
  engine.consume(which, chain.bytes());
}
void TraceBench::writable(ConnectionId) {
  told_.push_back("writable");
}
void TraceBench::fin(ConnectionId) {
  told_.push_back("fin");
}
void TraceBench::reset(ConnectionId, CloseReason reason) {
  told_.push_back(std::string("reset: ") + name_of(reason));
}
void TraceBench::closed(ConnectionId, CloseReason reason) {
  told_.push_back(std::string("closed: ") + name_of(reason));
}

}  // namespace headgate::tcp::testing
