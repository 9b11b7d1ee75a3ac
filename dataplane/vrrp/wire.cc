#include "dataplane/vrrp/wire.h"

#include <algorithm>
#include <array>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/checksum.h"

namespace headgate::vrrp {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint8_t kAdvertisement = 1;
constexpr std::size_t kAuthenticationData = 8;  // RFC 3768 5.3.10: at the end of version 2, zero by now

std::size_t address_size(bool v6) {
  return v6 ? 16 : 4;
}

// Sums with a right checksum come to 0xffff, whatever they cover besides the message.
bool sums_up(Bytes message, std::uint16_t start) {
  return packet::sum(message, start) == 0xffff;
}

std::uint16_t pseudo(const IpAddress& source, const IpAddress& destination, std::size_t length) {
  return packet::pseudo_header_sum(source, destination, kProtocol, static_cast<std::uint32_t>(length));
}

// Which rule makes the checksum of these bytes right; false: none.
bool find_form(const Carrier& carrier, Bytes covered, std::uint8_t version, ChecksumForm& form) {
  const std::uint16_t with_header = pseudo(carrier.source, carrier.destination, covered.size());
  if (!carrier.source.is_v4()) {
    form = ChecksumForm::pseudo_header;
    return sums_up(covered, with_header);
  }
  form = ChecksumForm::plain;
  if (sums_up(covered, 0)) return true;
  if (version == 2) return false;
  form = ChecksumForm::pseudo_header;
  if (sums_up(covered, with_header)) return true;
  form = ChecksumForm::pseudo_header_of_group;
  return sums_up(covered, pseudo(carrier.source, kGroupV4, covered.size()));
}

bool is_host(const IpAddress& address) {
  return !address.is_multicast() && !address.is_broadcast() && !address.is_unspecified() && !address.is_loopback();
}

Oddity judge_fields(const Carrier& carrier, const Advert& advert) {
  if (advert.addresses.empty()) return Oddity::bad_count;
  if (advert.interval == 0) return Oddity::bad_interval;
  if (!is_host(carrier.source)) return Oddity::bad_source;
  if (carrier.source.is_v4()) return Oddity::none;
  if (!carrier.source.is_link_local()) return Oddity::bad_source;
  return IpAddress::load_v6(advert.addresses.data()).is_link_local() ? Oddity::none : Oddity::first_not_link_local;
}

}  // namespace

MacAddress virtual_mac(std::uint8_t vrid, bool v6) {
  return {{0x00, 0x00, 0x5e, 0x00, static_cast<std::uint8_t>(v6 ? 2 : 1), vrid}};
}

Oddity decode(const Carrier& carrier, Bytes message, std::uint8_t version, Advert& out) {
  out = Advert{};
  if (carrier.fragment) return Oddity::fragmented;
  if (message.size() >= 2) out.vrid = message[1];
  if (carrier.hop_limit != kHopLimit) return Oddity::bad_hop_limit;
  if (message.size() < kHeader) return Oddity::truncated;
  const bool v6 = !carrier.source.is_v4();
  out.version = message[0] >> 4;
  if (out.version != version || (out.version == 2 && v6)) return Oddity::bad_version;
  if ((message[0] & 15) != kAdvertisement) return Oddity::bad_type;
  const std::size_t listed = message[3] * address_size(v6);
  const std::size_t length = kHeader + listed + (version == 2 ? kAuthenticationData : 0);
  if (message.size() < length) return Oddity::truncated;
  // What trails belongs to somebody's extension; whether their checksum covers it is theirs to say.
  if (!find_form(carrier, message.first(length), version, out.form) &&
      !find_form(carrier, message, version, out.form)) {
    return Oddity::bad_checksum;
  }
  if (version == 2 && message[4] != 0) return Oddity::bad_authentication;
  out.priority = message[2];
  out.interval = version == 2 ? message[5] * kSecond : (load_be16(message.data() + 4) & 0x0fff) * kCentisecond;
  out.addresses = message.subspan(kHeader, listed);
  out.trailing = message.size() > length;
  return judge_fields(carrier, out);
}

bool same_addresses(Bytes wire, std::span<const IpAddress> listed) {
  if (listed.empty() || listed.size() > kAddressesMax) return wire.empty() && listed.empty();
  const std::size_t size = address_size(!listed[0].is_v4());
  if (wire.size() != listed.size() * size) return false;
  std::array<bool, kAddressesMax> taken{};  // an address listed twice must be there twice
  for (std::size_t at = 0; at < wire.size(); at += size) {
    const IpAddress address = size == 4 ? IpAddress::load_v4(&wire[at]) : IpAddress::load_v6(&wire[at]);
    std::size_t i = 0;
    while (i < listed.size() && (taken[i] || listed[i] != address)) ++i;
    if (i == listed.size()) return false;
    taken[i] = true;
  }
  return true;
}

}  // namespace headgate::vrrp
