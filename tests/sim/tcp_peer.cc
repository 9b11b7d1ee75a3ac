#include "tests/sim/tcp_peer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/packet/build.h"

namespace headgate::sim {
namespace {

tcp::Config config_of(std::string_view address, const TcpPeer::Options& options) {
  tcp::Config config;
  config.secret = {7, std::hash<std::string_view>{}(address)};
  config.profiles[0].receive_buffer = options.receive_buffer;
  return config;
}

}  // namespace

TcpPeer::TcpPeer(std::string_view address, std::uint16_t port, Nanos now, const Options& options)
    : address_(packet::testing::ip(address)),
      port_(port),
      options_(options),
      engine_(config_of(address, options), *this, pool_, now) {}

std::size_t TcpPeer::connect(std::string_view to, std::uint16_t port, std::uint16_t from) {
  const std::uint16_t own = from != 0 ? from : next_port_++;
  const auto id = engine_.connect(address_, packet::testing::ip(to), port, tcp::PortSet::range(own, own));
  stories_.push_back({.id = id.value()});
  return stories_.size() - 1;
}

void TcpPeer::send(std::size_t story, std::string_view bytes) {
  EXPECT_TRUE(
      engine_.send_copy(stories_[story].id, {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}));
}

TcpPeer::Story* TcpPeer::find(tcp::ConnectionId id) {
  const auto found = std::ranges::find(stories_, id, &Story::id);
  return found == stories_.end() ? nullptr : &*found;
}

void TcpPeer::read(std::size_t story) {
  Story& s = stories_[story];
  const tcp::Chain chain = engine_.receive(s.id);
  chain.each([&s](std::span<const std::uint8_t> part) {
    s.received.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  engine_.consume(s.id, chain.bytes());
}

void TcpPeer::accepted(tcp::ConnectionId id, std::uint16_t) {
  stories_.push_back({.id = id, .open = true});
}
void TcpPeer::connected(tcp::ConnectionId id) {
  find(id)->open = true;
}
void TcpPeer::data(tcp::ConnectionId id) {
  if (options_.reads) read(static_cast<std::size_t>(find(id) - stories_.data()));
}
void TcpPeer::fin(tcp::ConnectionId id) {
  find(id)->fin = true;
}
void TcpPeer::reset(tcp::ConnectionId id, tcp::CloseReason) {
  find(id)->reset = true;
}
void TcpPeer::closed(tcp::ConnectionId id, tcp::CloseReason) {
  find(id)->closed = true;
}

void TcpPeer::hear(const Frame& frame, Nanos now) {
  if (silent_) return;
  packet::PacketInfo info;
  ASSERT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none);
  ASSERT_TRUE(packet::l4_checksum_ok(frame, info)) << packet::testing::describe(frame);
  tcp::Segment segment;
  ASSERT_TRUE(tcp::parse_header(std::span(frame).subspan(info.l4_offset, info.l4_length), segment.header));
  segment.tuple = info.tuple;
  const auto payload =
      std::span(frame).subspan(info.payload_offset, info.l4_offset + info.l4_length - std::size_t{info.payload_offset});
  tcp::Buffer* buffer = pool_.with(payload);
  const tcp::Slice slice{buffer, 0, buffer->length};
  segment.payload_length = slice.length;
  if (slice.length != 0) segment.payload = {&slice, 1};
  engine_.input(segment, now);
  tcp::drop_reference(buffer);
}

std::vector<Frame> TcpPeer::turn(Nanos now) {
  engine_.advance(now);
  engine_.flush(now);
  std::vector<Frame> frames;
  for (const tcp::OutSegment& out : engine_.output()) {
    std::vector<std::uint8_t> l4;
    tcp::testing::serialize(out, l4);
    Frame frame(64 + l4.size());
    std::size_t length =
        packet::write_ethernet(frame.data(), packet::testing::FrameSpec{}.eth_dst, packet::testing::FrameSpec{}.eth_src,
                               0, address_.is_v4() ? packet::kEtherIpv4 : packet::kEtherIpv6);
    length += packet::write_ip(frame.data() + length, {.src = out.tuple.src,
                                                       .dst = out.tuple.dst,
                                                       .protocol = kProtocolTcp,
                                                       .payload_length = static_cast<std::uint16_t>(l4.size())});
    std::ranges::copy(l4, frame.begin() + static_cast<std::ptrdiff_t>(length));
    frame.resize(length + l4.size());
    if (!silent_) frames.push_back(std::move(frame));
  }
  engine_.clear_output();
  return frames;
}

void talk(Box& box, const std::vector<TcpPeer*>& peers, Nanos time) {
  const auto deliver = [&](const std::vector<Out>& outs) {
    for (const Out& out : outs) {
      packet::PacketInfo info;
      if (packet::parse(out.frame, out.frame.size(), info) != packet::ParseError::none) continue;
      for (TcpPeer* peer : peers) {
        if (peer->address() == info.tuple.dst && peer->port() == out.port && info.tuple.protocol == kProtocolTcp)
          peer->hear(out.frame, box.now());
      }
    }
  };
  const Nanos end = box.now() + time;
  for (;;) {
    bool moved = false;
    for (TcpPeer* peer : peers) {
      for (const Frame& frame : peer->turn(box.now())) {
        box.inject(peer->port(), frame);
        moved = true;
      }
    }
    const std::vector<Out> outs = box.run();
    moved |= !outs.empty();
    deliver(outs);
    if (moved) continue;
    if (box.now() >= end) return;
    deliver(box.advance(kMillisecond));
  }
}

}  // namespace headgate::sim
