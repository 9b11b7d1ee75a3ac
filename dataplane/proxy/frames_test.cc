// Segments in mbufs: what is copied, what is shared, and that nothing is lost.
#include "dataplane/proxy/frames.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <cstring>

#include "dataplane/packet/testing.h"
#include "tests/sim/box.h"

namespace headgate::proxy {
namespace {

using packet::testing::Frame;
using packet::testing::ip;
using packet::testing::tcp_frame;

class Frames : public ::testing::Test {
 protected:
  Frames() {
    static sim::Box starts_eal;
    static unsigned number = 0;
    mempool = rte_pktmbuf_pool_create(("frames" + std::to_string(number++)).c_str(), 63, 0, kPrivateSize,
                                      RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    pool = std::make_unique<MbufPool>(mempool, 1u << 16);
  }
  ~Frames() override {
    EXPECT_EQ(rte_mempool_in_use_count(mempool), 0u) << "buffers leaked";
    rte_mempool_free(mempool);
  }

  // In buffers cut at these offsets.
  rte_mbuf* mbuf_of(const Frame& frame, const std::vector<std::size_t>& cuts = {}) {
    rte_mbuf* head = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
      const std::size_t end = i < cuts.size() ? cuts[i] : frame.size();
      rte_mbuf* part = rte_pktmbuf_alloc(mempool);
      std::memcpy(rte_pktmbuf_append(part, static_cast<std::uint16_t>(end - at)), frame.data() + at, end - at);
      if (head == nullptr) {
        head = part;
      } else {
        EXPECT_EQ(rte_pktmbuf_chain(head, part), 0);
      }
      at = end;
    }
    return head;
  }
  static packet::PacketInfo info_of(const Frame& frame) {
    packet::PacketInfo info;
    EXPECT_EQ(packet::parse(frame, frame.size(), info), packet::ParseError::none);
    return info;
  }
  // The IP packet as it leaves; the mbuf is freed.
  static Frame sent(rte_mbuf* mbuf) {
    Frame out;
    for (const rte_mbuf* part = mbuf; part != nullptr; part = part->next) {
      const auto* data = rte_pktmbuf_mtod(part, const std::uint8_t*);
      out.insert(out.end(), data, data + part->data_len);
    }
    EXPECT_EQ(out.size(), mbuf->pkt_len);
    EXPECT_GE(rte_pktmbuf_headroom(mbuf), 18);
    rte_pktmbuf_free(mbuf);
    return out;
  }
  // With an Ethernet header, the packet is right in every checksum.
  static void expect_right(const Frame& packet, const std::string& payload) {
    Frame frame(14);
    const packet::testing::FrameSpec spec;
    std::memcpy(frame.data(), spec.eth_dst.bytes.data(), 6);
    std::memcpy(frame.data() + 6, spec.eth_src.bytes.data(), 6);
    const bool v4 = (packet[0] >> 4) == 4;
    frame[12] = v4 ? 0x08 : 0x86;
    frame[13] = v4 ? 0x00 : 0xdd;
    frame.insert(frame.end(), packet.begin(), packet.end());
    const packet::PacketInfo info = info_of(frame);
    EXPECT_TRUE(packet::l4_checksum_ok(frame, info));
    EXPECT_EQ(std::string(frame.begin() + info.payload_offset, frame.end()), payload);
  }
  static Frame text(const std::string& s) { return {s.begin(), s.end()}; }

  tcp::OutSegment answer(std::initializer_list<tcp::Slice> slices, bool v4 = true) {
    tcp::OutSegment out;
    out.tuple = v4 ? Tuple{ip("192.0.2.100"), ip("192.0.2.10"), 80, 40000, kProtocolTcp}
                   : Tuple{ip("2001:db8:1::100"), ip("2001:db8:1::10"), 80, 40000, kProtocolTcp};
    tcp::Header header;
    header.src_port = 80;
    header.dst_port = 40000;
    header.flags = tcp::kAck;
    out.header_length = static_cast<std::uint8_t>(tcp::write_header(out.header.data(), header));
    for (const tcp::Slice& slice : slices) {
      tcp::add_reference(slice.buffer);
      out.slices[out.slice_count++] = slice;
      out.payload_length = static_cast<std::uint16_t>(out.payload_length + slice.length);
    }
    return out;
  }
  static void done(const tcp::OutSegment& out) {
    for (const tcp::Slice& slice : out.payload()) tcp::drop_reference(slice.buffer);
  }

  rte_mempool* mempool;
  std::unique_ptr<MbufPool> pool;
};

TEST_F(Frames, PayloadStaysWhereItArrived) {
  const Frame frame = tcp_frame({.payload = text("hello"), .flags = packet::kAck});
  rte_mbuf* mbuf = mbuf_of(frame);
  const std::uint8_t* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
  const packet::PacketInfo info = info_of(frame);
  Burst burst(*pool);
  ASSERT_EQ(burst.add(mbuf, info), Added::taken);
  const tcp::Segment& segment = burst.segments()[0];
  ASSERT_EQ(segment.payload.size(), 1u);
  EXPECT_EQ(segment.payload_length, 5u);
  EXPECT_EQ(segment.payload[0].bytes().data(), data + info.payload_offset);
  EXPECT_EQ(segment.tuple, info.tuple);
}

TEST_F(Frames, ASegmentInSeveralBuffersIsSeveralSlices) {
  const std::string payload(1000, 'x');
  const Frame frame = tcp_frame({.payload = text(payload), .flags = packet::kAck});
  const packet::PacketInfo info = info_of(frame);
  Burst burst(*pool);
  // Headers alone in the first buffer; then cut anywhere.
  ASSERT_EQ(burst.add(mbuf_of(frame, {info.payload_offset, 301, 640}), info), Added::taken);
  ASSERT_EQ(burst.add(mbuf_of(frame, {100}), info), Added::taken);
  EXPECT_EQ(burst.segments()[0].payload.size(), 3u);
  EXPECT_EQ(burst.segments()[1].payload.size(), 2u);
  for (const tcp::Segment& segment : burst.segments()) {
    std::string got;
    for (const tcp::Slice& slice : segment.payload) got.append(slice.bytes().begin(), slice.bytes().end());
    EXPECT_EQ(got, payload);
  }
}

TEST_F(Frames, SharedBuffersAndTooManyAreNotTaken) {
  const Frame frame = tcp_frame({.payload = text(std::string(500, 'x')), .flags = packet::kAck});
  Burst burst(*pool);
  rte_mbuf* shared = mbuf_of(frame);
  rte_mbuf_refcnt_update(shared, 1);
  EXPECT_EQ(burst.add(shared, info_of(frame)), Added::no_buffer);
  rte_pktmbuf_free(shared);
  rte_pktmbuf_free(shared);
  rte_mbuf* many = mbuf_of(frame, {100, 110, 120, 130, 140, 150, 160, 170});
  EXPECT_EQ(burst.add(many, info_of(frame)), Added::no_buffer);
  rte_pktmbuf_free(many);
}

TEST_F(Frames, HeadersGoBeforeThePayloadWhereNobodyElseHoldsIt) {
  for (const bool v4 : {true, false}) {
    const Frame frame = tcp_frame({.payload = text("in place"), .flags = packet::kAck});
    rte_mbuf* mbuf = mbuf_of(frame);
    tcp::Buffer* buffer = pool->adopt(mbuf, info_of(frame).payload_offset, 8);
    const tcp::OutSegment out = answer({{buffer, 0, 8}}, v4);
    rte_mbuf* first = write_packet(*pool, out, true);
    EXPECT_EQ(first, mbuf);
    // Again, while a driver still has the first one.
    rte_mbuf* again = write_packet(*pool, out, true);
    EXPECT_NE(again, mbuf);
    EXPECT_EQ(again->nb_segs, 2);
    rte_mbuf* linear = write_packet(*pool, out, false);
    EXPECT_EQ(linear->nb_segs, 1);
    for (rte_mbuf* one : {first, again, linear}) expect_right(sent(one), "in place");
    done(out);
    tcp::drop_reference(buffer);
  }
}

TEST_F(Frames, OddPartsSumUpRight) {
  const Frame frame = tcp_frame({.payload = text("abcdefghijklmnop"), .flags = packet::kAck});
  tcp::Buffer* a = pool->adopt(mbuf_of(frame), info_of(frame).payload_offset, 16);
  tcp::Buffer* b = pool->adopt(mbuf_of(frame), info_of(frame).payload_offset, 16);
  for (const bool chains : {true, false}) {
    const tcp::OutSegment out = answer({{a, 1, 3}, {b, 4, 5}, {a, 0, 1}, {b, 15, 1}});
    expect_right(sent(write_packet(*pool, out, chains)), "bcdefghiap");
    done(out);
  }
  tcp::drop_reference(a);
  tcp::drop_reference(b);
}

TEST_F(Frames, AnEmptyPoolIsNotTheEnd) {
  const Frame frame = tcp_frame({.payload = text("hello"), .flags = packet::kAck});
  tcp::Buffer* buffer = pool->adopt(mbuf_of(frame), info_of(frame).payload_offset, 5);
  const tcp::OutSegment out = answer({{buffer, 1, 4}});
  std::vector<tcp::Buffer*> all;
  while (tcp::Buffer* one = pool->allocate()) all.push_back(one);
  EXPECT_EQ(write_packet(*pool, out, true), nullptr);
  tcp::drop_reference(all.back());
  all.pop_back();
  EXPECT_EQ(write_packet(*pool, out, true), nullptr) << "headers found a buffer, the clone did not";
  rte_mbuf* linear = write_packet(*pool, out, false);
  ASSERT_NE(linear, nullptr);
  expect_right(sent(linear), "ello");
  done(out);
  tcp::drop_reference(buffer);
  for (tcp::Buffer* one : all) tcp::drop_reference(one);
}

}  // namespace
}  // namespace headgate::proxy
