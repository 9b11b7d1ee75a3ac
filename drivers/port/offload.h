// What a frame asks of the NIC (ol_flags) against what the port can do; the difference is done here, in software.
//
// The rule for senders: set l2_len, l3_len (l4_len and tso_segsz for TSO) and the RTE_MBUF_F_TX_* flags, leave the
// checksum fields as they are, and pass each frame through Port::prepare_tx. The Ethernet, IP and TCP/UDP headers must
// lie in the first segment, and that segment must be the sender's own (not a clone): it is written to.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

namespace headgate::port {

enum class TxVerdict : std::uint8_t {
  ready,
  malformed,        // lengths do not fit the frame or its first segment
  tso_unsupported,  // the port has no TSO: ask Port::offloads() first and send segments that fit the MTU
  too_long,         // a frame of several segments for a port that takes one, larger than a buffer
  no_memory,        // the pool is empty
};
const char* to_string(TxVerdict verdict);

struct TxOffloads {
  bool ipv4_checksum = false, tcp_checksum = false, udp_checksum = false;
  bool tso = false;
  bool multi_segment = true;  // false: prepare_tx makes one segment of it
};

// The RTE_MBUF_F_TX_* bits that must be dealt with before a port with these offloads may see the frame.
std::uint64_t flags_needing_software(const TxOffloads& offloads);

// Fills the checksums that `m` asks for and clears the flags. Multi-segment aware. IP lengths decide what is summed, so
// Ethernet padding does not count.
TxVerdict fill_checksums(rte_mbuf* m);

// Replaces `m` by a frame in one buffer of `pool`, in place when its first segment has the room. On failure `m` is
// untouched.
TxVerdict make_linear(rte_mbuf*& m, rte_mempool* pool);

}  // namespace headgate::port
