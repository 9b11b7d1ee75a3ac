// A segment as it arrives and as it leaves. The engine sees neither Ethernet nor IP: addresses come and go in a Tuple.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/tuple.h"
#include "dataplane/tcp/buffer.h"
#include "dataplane/tcp/connection.h"
#include "dataplane/tcp/options.h"

namespace headgate::tcp {

enum Flags : std::uint8_t {
  kFin = 1,
  kSyn = 2,
  kRst = 4,
  kPsh = 8,
  kAck = 16,
  kUrg = 32,
  kEce = 64,  // RFC 3168 6.1
  kCwr = 128,
};

struct Header {
  std::uint16_t src_port = 0, dst_port = 0;
  Seq seq, ack;
  std::uint8_t flags = 0;
  std::uint8_t length = 20;  // of the header with its options
  std::uint16_t window = 0;  // as on the wire, not scaled
  Options options;
};

// False when the header does not fit, its length is impossible or its options are broken. `bytes`: from the first byte
// of the TCP header to the end of the payload. The checksum is the caller's business.
bool parse_header(std::span<const std::uint8_t> bytes, Header& header);
// Header and options, checksum 0. Returns the length. Requires: kHeaderMax bytes of room.
std::size_t write_header(std::uint8_t* out, const Header& header);

struct Segment {
  Tuple tuple;  // as in the packet: src is the peer
  Header header;
  std::span<const Slice> payload;  // in order; most often one
  std::uint32_t payload_length = 0;
  bool congestion_experienced = false;  // IP ECN field 11 (RFC 3168 5)

  bool has(std::uint8_t flag) const { return (header.flags & flag) != 0; }
  // RFC 9293 3.3.1 SEG.LEN: SYN and FIN count.
  std::uint32_t length() const { return payload_length + (has(kSyn) ? 1u : 0u) + (has(kFin) ? 1u : 0u); }
};

// What the worker has to send. The payload's slices are held by a reference each until the output list is cleared.
// Headers may be written in place before the payload when there is one slice of offset 0, its headroom suffices and
// nobody else holds the buffer (refs == 2: the send queue and this list; and no driver).
struct OutSegment {
  Tuple tuple;  // src is ours
  // Whose it is; none: a SYN-ACK, or an answer to a segment of no connection. May have ended meanwhile.
  ConnectionId connection;
  std::array<std::uint8_t, kHeaderMax> header;
  std::uint8_t header_length = 0;
  std::uint8_t slice_count = 0;
  std::uint16_t payload_length = 0;
  std::uint8_t ecn = 0;  // IP ECN field: 0, or 2 for ECT(0)
  std::array<Slice, kSlicesMax> slices;

  std::span<const Slice> payload() const { return {slices.data(), slice_count}; }
};

}  // namespace headgate::tcp
