// VRRP adverts on the wire: version 2 (RFC 3768) and version 3 (RFC 9568 with its errata 8298 to 8301), IPv4 and IPv6.
// A view that judges, and a value that cannot hold nonsense. Pure: spans in, values out; nothing is allocated.
//
// Lengths are those of the IP packet, never of the frame: short adverts arrive padded to 60 bytes.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/ip.h"
#include "dataplane/base/mac.h"
#include "dataplane/base/time.h"

namespace headgate::vrrp {

inline constexpr std::uint8_t kProtocol = 112;
inline constexpr std::uint8_t kHopLimit = 255;
inline constexpr std::size_t kHeader = 8;         // bytes of both versions before the addresses
inline constexpr std::size_t kAddressesMax = 64;  // that an advert of ours lists; more cannot all fit beside IPv6
inline constexpr std::size_t kFrameMax = 1518;    // of an advert of ours, Ethernet header and VLAN tag included
inline constexpr Nanos kCentisecond = 10 * kMillisecond;  // unit of version 3's interval; 12 bits: 10 ms to 40.95 s
inline constexpr Nanos kIntervalMin = kCentisecond, kIntervalMax = 4095 * kCentisecond;
inline constexpr std::uint8_t kPriorityOwner = 255, kPriorityDefault = 100, kPriorityResign = 0;

inline constexpr IpAddress kGroupV4 = IpAddress::from_v4(0xe0000012);  // 224.0.0.18
inline constexpr IpAddress kGroupV6{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12}};

// 00-00-5E-00-01-VRID for IPv4, 00-00-5E-00-02-VRID for IPv6 (RFC 9568 7.3).
MacAddress virtual_mac(std::uint8_t vrid, bool v6);

// What a version 3 checksum over IPv4 covers besides the message. RFC 9568 5.2.8: nothing. keepalived, FRR: a pseudo
// header; keepalived up to 1.3.6 puts 224.0.0.18 in it even towards a unicast peer. IPv6: always a pseudo header.
enum class ChecksumForm : std::uint8_t { plain, pseudo_header, pseudo_header_of_group };
// What we send: `automatic` is what the peer uses, and pseudo_header until one was heard.
enum class ChecksumRule : std::uint8_t { rfc9568, pseudo_header, automatic };

// Why an advert counts for nothing, or what was odd about one that counts. One counter each, for people; text() says
// it in a sentence. The first group is dropped and changes no state.
enum class Oddity : std::uint8_t {
  none,
  truncated,           // shorter than its header or the addresses it announces
  fragmented,          // a part of one; adverts fit one packet, and parts are never put together
  bad_hop_limit,       // not 255, so it may have been routed here (RFC 9568 5.1.1.3)
  bad_version,         // another one than configured
  bad_type,            // not an advertisement
  bad_checksum,        // by no rule in use
  bad_count,           // lists no address (erratum 8299)
  bad_interval,        // zero (erratum 8301)
  bad_source,          // IPv6 source is not link-local, or not a unicast address
  bad_authentication,  // version 2 with a type of authentication other than none
  unknown_vrid,
  unknown_peer,          // unicast is configured, and it is from somebody else
  own_source,            // from our own address: a loop, or somebody else has it too
  first_not_link_local,  // IPv6: erratum 8300
  // Counted and said, but the advert counts:
  interval_differs,  // version 3; version 2 drops it (RFC 3768 7.1)
  addresses_differ,
  trailing_bytes,
  owner_priority,     // 255 from the peer (erratum 8298: the election resolves it)
  version2_interval,  // version 2 with another interval: dropped
  count
};
inline constexpr bool counts_for_nothing(Oddity oddity) {
  return (oddity > Oddity::none && oddity < Oddity::interval_differs) || oddity == Oddity::version2_interval;
}
const char* name(Oddity oddity);     // "bad_checksum": for metrics
const char* meaning(Oddity oddity);  // one sentence: what it is, and what to look at

struct Advert {
  std::uint8_t version = 3;
  std::uint8_t vrid = 0;
  std::uint8_t priority = 0;
  Nanos interval = 0;
  ChecksumForm form = ChecksumForm::plain;
  std::span<const std::uint8_t> addresses{};  // on the wire: 4 or 16 bytes each; into the packet
  bool trailing = false;
};

// Of the IP header that carried it.
struct Carrier {
  IpAddress source{}, destination{};
  std::uint8_t hop_limit = 0;
  bool fragment = false;
};

// The receive ladder of RFC 9568 7.1 as far as a packet alone can be judged (not: VRID, peer, interval, addresses).
// message: the IP payload, exactly as long as the IP header says. Requires: protocol 112.
Oddity decode(const Carrier& carrier, std::span<const std::uint8_t> message, std::uint8_t version, Advert& out);

// Do these addresses equal the listed ones, in any order? Requires: listed.size() <= kAddressesMax
bool same_addresses(std::span<const std::uint8_t> wire, std::span<const IpAddress> listed);

// A whole frame of ours. Length written to `out`, at most kFrameMax; 0 when the addresses do not fit.
struct FrameSpec {
  std::uint8_t version = 3, vrid = 0, priority = 0;
  Nanos interval = 0;  // rounded to the version's unit
  ChecksumForm form = ChecksumForm::plain;
  std::uint16_t vlan = 0;             // 0: untagged
  MacAddress source_mac{};            // the virtual MAC, or the port's
  MacAddress destination_mac{};       // of a unicast peer; ignored for the group's address
  IpAddress source{}, destination{};  // destination: kGroupV4, kGroupV6 or a peer
  std::span<const IpAddress> addresses{};
};
std::size_t write_frame(const FrameSpec& spec, std::span<std::uint8_t> out);

}  // namespace headgate::vrrp
