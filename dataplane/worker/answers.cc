// What the box says itself: echo replies, RST, ICMP errors. All through rate limits, all sent back to where the
// packet came from (its own source MAC), so that no answer needs the neighbor table and none can be aimed at a third
// host on the LAN.
#include <rte_mbuf.h>

#include <cstring>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/worker/worker.h"

namespace headgate::worker {

using flow::Direction;
using flow::Flow;
using packet::IcmpError;
using packet::Network;
using telemetry::DropReason;
using telemetry::Exit;

namespace {

MacAddress source_mac(const std::uint8_t* frame) {
  MacAddress mac;
  std::memcpy(mac.bytes.data(), frame + 6, 6);
  return mac;
}

std::uint16_t ethertype_of(const std::uint8_t* ip) {
  return (ip[0] >> 4) == 4 ? packet::kEtherIpv4 : packet::kEtherIpv6;
}

}  // namespace

void Worker::send_frame(std::uint16_t port, std::span<const std::uint8_t> frame) {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(config_.pool);
  if (mbuf == nullptr) return count_drop(DropReason::no_buffer);
  char* data = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size()));
  if (data == nullptr) {
    rte_pktmbuf_free(mbuf);
    return count_drop(DropReason::no_buffer);
  }
  std::memcpy(data, frame.data(), frame.size());
  Packet p;
  p.mbuf = mbuf;
  // What speaks with a virtual MAC speaks for its group.
  if (const snapshot::GroupSlot group = group_of_mac(port, frame.data() + 6); group != snapshot::kNoGroup)
    sending_for_ = group;
  const Fate fate = transmit(p, port);
  sending_for_ = snapshot::kNoGroup;
  if (fate.exit == Exit::dropped) {
    count_drop(fate.reason);
    rte_pktmbuf_free(mbuf);
  }
}

bool Worker::reflect(Packet& p, std::span<const std::uint8_t> ip_packet) {
  std::array<std::uint8_t, packet::kMaxControlFrame + 64> frame;
  const std::size_t length = packet::write_ethernet(frame.data(), source_mac(p.data), config_.ports[p.port].mac,
                                                    p.info.vlan, ethertype_of(ip_packet.data()));
  if (length + ip_packet.size() > frame.size()) return false;
  std::memcpy(frame.data() + length, ip_packet.data(), ip_packet.size());
  send_frame(p.port, {frame.data(), length + ip_packet.size()});
  return true;
}

// RFC 792, RFC 4443 4.2: the request itself, turned round.
Fate Worker::answer_ping(Packet& p) {
  if (!answers_.take(now_)) return drop(DropReason::rate_limited);
  std::uint8_t* l3 = p.data + p.info.l3_offset;
  std::uint8_t* l4 = p.data + p.info.l4_offset;
  const bool v4 = p.info.network == Network::ipv4;
  const std::size_t at = v4 ? 12 : 8, size = v4 ? 4 : 16;
  std::array<std::uint8_t, 16> source;
  std::memcpy(source.data(), l3 + at, size);
  std::memmove(l3 + at, l3 + at + size, size);
  std::memcpy(l3 + at + size, source.data(), size);  // swapping addresses leaves every sum as it was
  if (!p.info.later_fragment()) {
    packet::Delta delta;
    std::uint16_t before, after;
    std::memcpy(&before, l4, 2);
    l4[0] = v4 ? 0 : 129;
    std::memcpy(&after, l4, 2);
    delta.replace(before, after);
    packet::adjust(l4 + 2, delta);
  }
  if (v4) {
    packet::Delta delta;
    std::uint16_t before, after;
    std::memcpy(&before, l3 + 8, 2);
    l3[8] = 64;
    std::memcpy(&after, l3 + 8, 2);
    delta.replace(before, after);
    packet::adjust(l3 + 10, delta);
  } else {
    l3[7] = 64;
  }
  std::memcpy(p.data, p.data + 6, 6);
  std::memcpy(p.data + 6, config_.ports[p.port].mac.bytes.data(), 6);
  // The reply travels in the request's buffer; a copy of the reference keeps the accounting of exits simple.
  rte_mbuf_refcnt_update(p.mbuf, 1);
  const Fate fate = transmit(p, p.port);
  if (fate.exit == Exit::dropped) {
    rte_mbuf_refcnt_update(p.mbuf, -1);
    return fate;
  }
  return {Exit::answered, DropReason::count};
}

// What reject() would do, its rate limit aside.
Fate Worker::predict_reject(const Packet& p, DropReason why) const {
  const packet::PacketInfo& info = p.info;
  if (snapshot_->drop_unmatched) return drop(why);
  if (info.tuple.protocol != kProtocolTcp) return predict_icmp_error(p, why);
  const bool silent = (info.tcp_flags & packet::kRst) || info.dst_mac_group || info.later_fragment();
  return silent ? drop(why) : Fate{Exit::answered, why};
}

// A closed port, a service that cannot serve, a segment of no flow: RST (RFC 9293 3.10.7.1) or port unreachable, unless
// the configuration says to be silent.
Fate Worker::reject(Packet& p, DropReason why) {
  const packet::PacketInfo& info = p.info;
  if (predict_reject(p, why).exit == Exit::dropped) return drop(why);
  if (info.tuple.protocol != kProtocolTcp) return answer_icmp_error(p, IcmpError::port_unreachable, 0, why);
  if (!answers_.take(now_)) return drop(DropReason::rate_limited);
  const std::uint8_t* l4 = p.data + info.l4_offset;
  const std::uint32_t sequence = load_be32(l4 + 4), acknowledgment = load_be32(l4 + 8);
  const auto payload = static_cast<std::uint32_t>(info.l4_offset + info.l4_length - info.payload_offset);
  packet::TcpFields fields{.src_port = info.tuple.dst_port, .dst_port = info.tuple.src_port, .flags = packet::kRst};
  if (info.tcp_flags & packet::kAck) {
    fields.sequence = acknowledgment;
  } else {
    fields.flags = packet::kRst | packet::kAck;
    fields.acknowledgment =
        sequence + payload + ((info.tcp_flags & packet::kSyn) ? 1 : 0) + ((info.tcp_flags & packet::kFin) ? 1 : 0);
  }
  std::array<std::uint8_t, packet::kIpv6Length + packet::kTcpLength> out;
  std::size_t length = packet::write_ip(
      out.data(),
      {.src = info.tuple.dst, .dst = info.tuple.src, .protocol = kProtocolTcp, .payload_length = packet::kTcpLength});
  length += packet::write_tcp(out.data() + length, fields, info.tuple.dst, info.tuple.src);
  reflect(p, {out.data(), length});
  return {Exit::answered, why};
}

// Whom an ICMP error about this packet would come from; unspecified when none may be sent: RFC 1812 4.3.2.7, RFC
// 4443 2.4(e): never about an error, a later fragment, a group or broadcast frame.
IpAddress Worker::icmp_error_source(const Packet& p) const {
  const packet::PacketInfo& info = p.info;
  if (info.icmp_error || info.later_fragment() || info.dst_mac_group || info.tuple.dst.is_multicast()) return {};
  // The address the sender tried to reach when we stand for it; else (the servers' side) our own address there.
  if (p.port == snapshot_->probe_port || snapshot_->own_addresses.find(info.tuple.dst) != nullptr)
    return info.tuple.dst;
  if (const snapshot::Interface* interface = snapshot_->interface_at(p.port, info.vlan)) {
    for (const IpAddress& address : interface->resolve_from) {
      if (!address.is_unspecified() && address.is_v4() == info.tuple.dst.is_v4()) return address;
    }
  }
  return {};
}

Fate Worker::predict_icmp_error(const Packet& p, DropReason why) const {
  return icmp_error_source(p).is_unspecified() ? drop(why) : Fate{Exit::answered, why};
}

Fate Worker::answer_icmp_error(Packet& p, IcmpError kind, std::uint32_t mtu, DropReason why) {
  const packet::PacketInfo& info = p.info;
  const IpAddress from = icmp_error_source(p);
  if (from.is_unspecified()) return drop(why);
  TokenBucket& limit = kind == IcmpError::too_big         ? too_big_
                       : kind == IcmpError::time_exceeded ? time_exceeded_
                                                          : answers_;
  if (!limit.take(now_)) return drop(DropReason::rate_limited);
  std::array<std::uint8_t, packet::kMaxControlFrame> out;
  const std::size_t available = p.mbuf->data_len - info.l3_offset;
  const std::size_t length =
      packet::write_icmp_error(out.data(), kind, from, info.tuple.src,
                               {p.data + info.l3_offset, std::min<std::size_t>(available, info.l3_length)}, mtu);
  if (length == 0 || !reflect(p, {out.data(), length})) return drop(why);
  return {Exit::answered, why};
}

void Worker::reset_both(Flow& flow) {
  if (flow.protocol != kProtocolTcp || flow.keeps_destination())
    return;  // one-way modes: the backend's numbers are unknown
  if (resets_left_ != 0) --resets_left_;
  if (flow.hop_epoch != hop_epoch_) resolve_hops(flow);
  sending_for_ = flow.group;
  send_reset(flow, Direction::forward);
  send_reset(flow, Direction::reverse);
}

// A RST as the other side would have sent it, at the next sequence number seen from there.
void Worker::send_reset(Flow& flow, Direction towards) {
  const bool to_backend = towards == Direction::forward;
  if (!to_backend && flow.kind == flow::Kind::probe) return;
  const neighbor::NeighborRef ref = to_backend ? flow.to_backend : flow.to_client;
  if (ref == neighbor::kNoNeighbor) return;
  const Tuple as_sent = to_backend ? flow.reverse_tuple().reversed() : flow.forward_tuple().reversed();
  rte_mbuf* mbuf = rte_pktmbuf_alloc(config_.pool);
  if (mbuf == nullptr) return count_drop(DropReason::no_buffer);
  const std::size_t ip = as_sent.src.is_v4() ? packet::kIpv4Length : packet::kIpv6Length;
  auto* data =
      reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(ip + packet::kTcpLength)));
  packet::write_ip(
      data, {.src = as_sent.src, .dst = as_sent.dst, .protocol = kProtocolTcp, .payload_length = packet::kTcpLength});
  packet::write_tcp(data + ip,
                    {.src_port = as_sent.src_port,
                     .dst_port = as_sent.dst_port,
                     .sequence = to_backend ? flow.seq_to_backend : flow.seq_to_client,
                     .acknowledgment = to_backend ? flow.seq_to_client : flow.seq_to_backend,
                     .flags = packet::kRst | packet::kAck},
                    as_sent.src, as_sent.dst);
  Packet p;
  p.mbuf = mbuf;
  p.data = data;
  p.info.l3_offset = 0;
  const Fate fate = send_to(p, ref);
  if (fate.exit == Exit::dropped) {
    count_drop(fate.reason);
    rte_pktmbuf_free(mbuf);
  }
}

}  // namespace headgate::worker
