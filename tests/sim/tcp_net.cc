#include "tests/sim/tcp_net.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace headgate::sim {

using tcp::Header;
using tcp::Seq;

TcpHost::TcpHost(IpAddress address, const tcp::Config& config, TcpApp& app, Nanos now, std::uint32_t buffers)
    : address_(address), app_(app), pool_(buffers, 9216), engine_(config, app, pool_, now) {}

TcpHost& TcpNet::add(IpAddress address, const tcp::Config& config, TcpApp& app, std::uint32_t buffers) {
  hosts_.push_back(std::make_unique<TcpHost>(address, config, app, now_, buffers));
  return *hosts_.back();
}

void TcpNet::fail(const std::string& what) {
  if (trouble_.empty()) trouble_ = "at " + std::to_string(now_ / kMicrosecond) + " us: " + what;
}

TcpHost* TcpNet::host_of(const IpAddress& address) {
  for (const auto& host : hosts_) {
    if (host->address_ == address) return host.get();
  }
  return nullptr;
}

TcpNet::Seen& TcpNet::seen(const Tuple& tuple) {
  for (auto& [key, value] : seen_) {
    if (key == tuple) return value;
  }
  seen_.emplace_back(tuple, Seen{});
  return seen_.back().second;
}

void TcpNet::run_until(Nanos end) {
  while (trouble_.empty() && step(end)) {
  }
}

bool TcpNet::step(Nanos end) {
  Nanos next = heap_.empty() ? kNever : heap_.front().at;
  for (const auto& host : hosts_) {
    next = std::min({next, host->engine_.next_deadline(now_), host->app_.next_action()});
  }
  if (next > end) {
    now_ = std::max(now_, end);
    return false;
  }
  now_ = std::max(now_, next);
  // Everything of this moment is one burst, as a worker would see it.
  while (!heap_.empty() && heap_.front().at <= now_) {
    std::pop_heap(heap_.begin(), heap_.end());
    const std::uint32_t frame = heap_.back().frame;
    heap_.pop_back();
    deliver(frame);
    free_frames_.push_back(frame);
  }
  for (const auto& host : hosts_) turn(*host);
  return true;
}

void TcpNet::turn(TcpHost& host) {
  host.engine_.advance(now_);
  host.app_.act(now_);
  host.engine_.flush(now_);
  for (const tcp::OutSegment& segment : host.engine_.output()) transmit(host, segment);
  host.engine_.clear_output();
  host.app_.settled();
  if (const std::string broken = host.engine_.audit(); !broken.empty()) fail(broken);
  if (const std::string broken = host.app_.trouble(); !broken.empty()) fail(broken);
}

std::uint32_t TcpNet::take_frame() {
  if (free_frames_.empty()) {
    frames_storage_.emplace_back();
    return static_cast<std::uint32_t>(frames_storage_.size() - 1);
  }
  const std::uint32_t index = free_frames_.back();
  free_frames_.pop_back();
  frames_storage_[index].bytes.clear();
  return index;
}

void TcpNet::launch(std::uint32_t frame, Nanos at) {
  heap_.push_back({at, order_++, frame});
  std::push_heap(heap_.begin(), heap_.end());
}

void TcpNet::transmit(TcpHost& host, const tcp::OutSegment& segment) {
  ++frames_;
  const std::uint32_t index = take_frame();
  Frame& frame = frames_storage_[index];
  frame.tuple = segment.tuple;
  frame.ecn = segment.ecn;
  frame.too_big = false;
  tcp::testing::serialize(segment, frame.bytes);
  for (const std::uint8_t byte : frame.bytes) digest_ = (digest_ ^ byte) * 0x100000001b3ull;
  watch_sent(frame.tuple, frame.bytes);
  note("sent", frame.tuple, frame.bytes);

  const TcpWeather& w = host.weather;
  const std::size_t size = frame.bytes.size() + (frame.tuple.src.is_v4() ? 20 : 40);
  Nanos at = std::max(now_, host.line_free_at_);
  if (size > w.mtu) {
    frame.too_big = true;
    frame.mtu = w.mtu;
    if (w.icmp && !rng_.chance(w.loss)) {
      launch(index, now_ + w.delay);
    } else {
      free_frames_.push_back(index);
    }
    return;
  }
  if (w.bytes_per_second != 0) {
    if (w.queue != 0 && at - now_ > w.queue) return free_frames_.push_back(index);
    if (w.marks && frame.ecn != 0 && at - now_ > w.queue / 2) frame.ecn = 3;
    host.line_free_at_ = at = at + size * kSecond / w.bytes_per_second;
  }
  at += w.delay + (w.jitter == 0 ? 0 : rng_.next() % w.jitter);
  if (w.reorder > 0 && rng_.chance(w.reorder)) {
    at += rng_.next() % (w.reorder_by + 1);
  } else {
    at = host.last_arrival_ = std::max(at, host.last_arrival_);
  }
  if (rng_.chance(w.loss)) return free_frames_.push_back(index);
  if (rng_.chance(w.corrupt)) {
    const std::uint32_t bit = rng_.below(static_cast<std::uint32_t>(frame.bytes.size() * 8));
    frame.bytes[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
  }
  if (rng_.chance(w.duplicate)) {
    const std::uint32_t copy = take_frame();
    frames_storage_[copy] = frames_storage_[index];
    launch(copy, at + rng_.next() % (w.delay + 1));
  }
  launch(index, at);
}

void TcpNet::deliver(std::uint32_t index) {
  const Frame& frame = frames_storage_[index];
  if (frame.too_big) {
    TcpHost* host = host_of(frame.tuple.src);
    if (host == nullptr) return;
    Header h;
    if (tcp::parse_header(frame.bytes, h)) host->engine_.packet_too_big(frame.tuple, h.seq.value, frame.mtu, now_);
    return;
  }
  TcpHost* host = host_of(frame.tuple.dst);
  if (host != nullptr) arrive(*host, frame);
}

// What a worker does with a frame before the engine sees it.
void TcpNet::arrive(TcpHost& host, const Frame& frame) {
  if (!tcp::testing::checksum_ok(frame.tuple, frame.bytes)) return;
  tcp::Segment segment;
  if (!tcp::parse_header(frame.bytes, segment.header)) return;
  segment.tuple = frame.tuple;
  segment.congestion_experienced = frame.ecn == 3;
  const auto payload = std::span(frame.bytes).subspan(segment.header.length);
  segment.payload_length = static_cast<std::uint32_t>(payload.size());
  tcp::Slice slice;
  if (!payload.empty()) {
    slice.buffer = host.pool_.with(payload);
    if (slice.buffer == nullptr) return;  // no buffer in the receive ring: lost
    slice.length = static_cast<std::uint16_t>(payload.size());
    segment.payload = {&slice, 1};
  }
  note("arrived", frame.tuple, frame.bytes);
  watch_delivered(frame.tuple, segment.header);
  host.engine_.input(segment, now_);
  if (slice.buffer != nullptr) tcp::drop_reference(slice.buffer);
}

void TcpNet::watch_sent(const Tuple& tuple, std::span<const std::uint8_t> bytes) {
  Header h;
  if (!tcp::parse_header(bytes, h)) return fail("a segment was sent that cannot be parsed");
  if ((h.flags & tcp::kRst) != 0) return;
  Seen& mine = seen(tuple);
  const std::size_t payload = bytes.size() - h.length;
  if ((h.flags & tcp::kSyn) != 0 && (!mine.syn || mine.iss != h.seq)) {
    mine = {};
    mine.iss = h.seq;
    mine.syn = true;
    mine.scaling = h.options.has_scale;
    mine.scale = h.options.scale;
    if ((h.flags & tcp::kAck) == 0) seen(tuple.reversed()) = {};
  }
  Seen& other = seen(tuple.reversed());
  Seen& me = seen(tuple);  // the reference may have moved
  if (!me.syn) return;     // TIME-WAIT and answers of no connection
  const bool scaled = me.scaling && other.scaling && (h.flags & tcp::kSyn) == 0;
  if ((h.flags & tcp::kAck) != 0 && other.syn) {
    const std::uint32_t unit = scaled ? 1u << me.scale : 1;
    const Seq edge = h.ack + h.window * unit;
    if (me.edge_known && edge + unit <= me.edge && h.window != 0)
      fail("the right window edge receded: " + to_string(tuple));
    me.edge = me.edge_known ? max(me.edge, edge) : edge;
    me.edge_known = true;
  }
  if (payload != 0) {
    if (!other.edge_delivered_known) return fail("data before any window is known: " + to_string(tuple));
    if (h.seq + static_cast<std::uint32_t>(payload) > other.edge_delivered) {
      fail("data beyond the peer's window: " + to_string(tuple));
    }
  }
}

void TcpNet::watch_delivered(const Tuple& tuple, const Header& h) {
  if ((h.flags & tcp::kRst) != 0 || (h.flags & tcp::kAck) == 0) return;
  Seen& me = seen(tuple);
  if (!me.syn) return;
  const bool scaling = me.scaling;
  const std::uint8_t scale = me.scale;
  const bool scaled = scaling && seen(tuple.reversed()).scaling && (h.flags & tcp::kSyn) == 0;
  Seen& mine = seen(tuple);
  const Seq edge = h.ack + (static_cast<std::uint32_t>(h.window) << (scaled ? scale : 0));
  mine.edge_delivered = mine.edge_delivered_known ? max(mine.edge_delivered, edge) : edge;
  mine.edge_delivered_known = true;
}

void TcpNet::note(const char* what, const Tuple& tuple, std::span<const std::uint8_t> bytes) {
  if (!verbose) return;
  Header h;
  if (!tcp::parse_header(bytes, h)) return;
  std::string flags;
  for (const auto& [bit, letter] : {std::pair{tcp::kSyn, 'S'}, {tcp::kFin, 'F'}, {tcp::kRst, 'R'}, {tcp::kAck, '.'}}) {
    if ((h.flags & bit) != 0) flags += letter;
  }
  std::array<char, 256> line{};
  std::snprintf(line.data(), line.size(), "%10.3f ms %-7s %u>%u %-3s seq %u ack %u len %zu win %u",
                static_cast<double>(now_) / 1e6, what, tuple.src_port, tuple.dst_port, flags.c_str(), h.seq.value,
                h.ack.value, bytes.size() - h.length, h.window);
  log += line.data();
  for (unsigned i = 0; i < h.options.sack_count; ++i) {
    log +=
        " sack " + std::to_string(h.options.sacks[i].start.value) + "-" + std::to_string(h.options.sacks[i].end.value);
  }
  log += '\n';
}

}  // namespace headgate::sim
