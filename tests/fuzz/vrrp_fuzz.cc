// Adverts from a wire, and what they do to a group. The first byte of the input says which:
//
// - Message: any bytes as the payload of an IP packet, also with its checksum made right. An accepted advert is inside
//   of the bytes and without nonsense, and what we write from it is read again as the same.
// - Life of a group: operations one after another (time, adverts that went through decode(), acceptances by drivers,
//   links, words of the HA link, configurations). Whatever happens, nothing is leased beyond what a driver accepted.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/vrrp/group.h"

namespace {

using namespace headgate;        // NOLINT: a program, not a header
using namespace headgate::vrrp;  // NOLINT

class Feed {
 public:
  explicit Feed(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }
  std::span<const std::uint8_t> take(std::size_t length) {
    const auto taken = bytes_.first(std::min(length, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  std::span<const std::uint8_t> rest() { return take(bytes_.size()); }

 private:
  std::span<const std::uint8_t> bytes_;
};

IpAddress address(bool v6, std::uint8_t last) {
  IpAddress result = v6 ? IpAddress{{0xfe, 0x80}} : IpAddress::from_v4(0xc0000200);
  result.bytes[15] = last;
  return result;
}

// --- Message ---------------------------------------------------------------------------------------------------------

void check_written(const Carrier& carrier, const Advert& advert) {
  const bool v6 = !carrier.source.is_v4();
  std::vector<IpAddress> listed;
  for (std::size_t at = 0; at < advert.addresses.size(); at += v6 ? 16 : 4) {
    listed.push_back(v6 ? IpAddress::load_v6(&advert.addresses[at]) : IpAddress::load_v4(&advert.addresses[at]));
  }
  HEADGATE_CHECK(listed.size() > kAddressesMax || same_addresses(advert.addresses, listed));
  HEADGATE_CHECK(!same_addresses(advert.addresses, {}) && !same_addresses({}, listed));
  // An IPv6 address that looks like a mapped IPv4 one is none of ours to write.
  if (std::any_of(listed.begin(), listed.end(), [v6](const IpAddress& a) { return a.is_v4() == v6; })) return;
  FrameSpec spec{.version = advert.version, .vrid = advert.vrid, .priority = advert.priority};
  spec.interval = advert.interval;
  spec.form = advert.form;
  spec.source_mac = virtual_mac(advert.vrid, v6);
  spec.source = carrier.source;
  spec.destination = carrier.destination;
  spec.addresses = listed;
  std::array<std::uint8_t, kFrameMax> frame;
  const std::size_t length = write_frame(spec, frame);
  HEADGATE_CHECK((length == 0) == (listed.size() > kAddressesMax));
  if (length == 0) return;
  Advert again;
  const auto message = std::span<const std::uint8_t>(frame).first(length).subspan(v6 ? 54 : 34);
  HEADGATE_CHECK(decode(carrier, message, advert.version, again) == Oddity::none);
  HEADGATE_CHECK(again.priority == advert.priority && again.interval == advert.interval && !again.trailing);
  HEADGATE_CHECK(std::ranges::equal(again.addresses, advert.addresses));
}

void check_message(const Carrier& carrier, std::span<const std::uint8_t> bytes, std::uint8_t version) {
  const auto copy = std::make_unique<std::uint8_t[]>(bytes.size());  // exactly so long, for AddressSanitizer
  std::ranges::copy(bytes, copy.get());
  const std::span<const std::uint8_t> message{copy.get(), bytes.size()};
  Advert advert;
  const Oddity oddity = decode(carrier, message, version, advert);
  HEADGATE_CHECK(oddity < Oddity::interval_differs && meaning(oddity)[0] != 0);
  if (oddity != Oddity::none) return;
  HEADGATE_CHECK(advert.version == version && advert.interval != 0 && !advert.addresses.empty());
  HEADGATE_CHECK(advert.addresses.data() == message.data() + kHeader);
  HEADGATE_CHECK(advert.addresses.data() + advert.addresses.size() <= message.data() + message.size());
  HEADGATE_CHECK(version == 2 || (advert.interval >= kIntervalMin && advert.interval <= kIntervalMax));
  check_written(carrier, advert);
}

void fuzz_message(Feed input) {
  const std::uint8_t flags = input.byte();
  const bool v6 = (flags & 1) != 0;
  Carrier carrier{address(v6, 12), (flags & 2) != 0 ? address(v6, 11) : v6 ? kGroupV6 : kGroupV4, kHopLimit};
  if ((flags & 4) != 0) carrier.hop_limit = 64;
  if ((flags & 64) != 0) carrier.source.bytes[v6 ? 0 : 12] = (flags & 128) != 0 ? 0xff : 0x20;  // multicast, or routed
  const std::uint8_t version = (flags & 8) != 0 ? 2 : 3;
  const auto bytes = input.rest();
  check_message(carrier, bytes, version);
  if (bytes.size() < kHeader) return;
  std::vector<std::uint8_t> right(bytes.begin(), bytes.end());
  std::memset(&right[6], 0, 2);
  const bool plain = !v6 && (version == 2 || (flags & 32) != 0);
  const std::uint16_t start = plain ? 0
                                    : packet::pseudo_header_sum(carrier.source, carrier.destination, kProtocol,
                                                                static_cast<std::uint32_t>(right.size()));
  const std::uint16_t checksum = packet::invert(packet::sum(right, start));
  std::memcpy(&right[6], &checksum, 2);
  check_message(carrier, right, version);
}

// --- Life of a group -------------------------------------------------------------------------------------------------

struct Sent {
  std::size_t router;
  Nanos interval;
};

class Life {
 public:
  explicit Life(Feed input) : input_(input), group_(config(), now_) { check(false); }

  void run() {
    for (unsigned operations = 0; !input_.empty() && operations < 400; ++operations) step();
  }

 private:
  GroupConfig config() {
    const std::uint8_t flags = input_.byte();
    constexpr std::array<Nanos, 4> kIntervals{10 * kMillisecond, 100 * kMillisecond, kSecond, kIntervalMax};
    GroupConfig result{.id = GroupId{1}, .name = "fuzz", .interval = kIntervals[flags & 3]};
    result.priority = std::max<std::uint8_t>(1, input_.byte());
    result.preemption = static_cast<Preemption>((flags >> 2) % 3);
    result.has_peer = (flags & 16) != 0;
    result.preempt_delay = (flags & 32) != 0 ? kSecond : 0;
    const std::size_t routers = (flags & 64) != 0 ? kRoutersMax : 2;
    for (std::size_t i = 0; i < routers; ++i) {
      const bool v6 = i % 2 == 1;
      RouterConfig router{.interface = InterfaceId{static_cast<std::uint32_t>(i)}, .vrid = 51, .v6 = v6};
      router.version = !v6 && (flags & 128) != 0 ? 2 : 3;
      router.source = address(v6, 11);
      router.addresses = {address(v6, 100)};
      if (result.priority % 8 == 7) router.peers = {address(v6, 12), address(v6, 13)};
      result.routers.push_back(router);
    }
    return result;
  }

  void step() {
    const std::uint8_t operation = input_.byte();
    const std::size_t router = (operation >> 4) % std::max<std::size_t>(1, group_.config().routers.size());
    switch (operation & 15) {
      case 0:
      case 1:
      case 2:
        now_ += Nanos{1} << (10 + input_.byte() % 28);
        break;  // up to some minutes
      case 3:
        now_ = std::max(now_, std::min(group_.next_deadline(), now_ + 1000 * kSecond));
        return advance(true);
      case 4:
        return advance(true);
      case 5:
        return advance(false);
      case 6:
      case 7:
        return hear(router);
      case 8:
      case 9:
        return accept(input_.byte());
      case 10:
        group_.link(router, (operation & 0x80) != 0, now_);
        return check(false);
      case 11:
        return tell();
      case 12:
        group_.configure(config(), now_);
        return check(false);
      case 13:
        if (input_.byte() != 0x77) return;
        group_.resign(now_, "fuzzed to the end");
        return check(false);
      default:
        while (!sent_.empty()) accept(0);
        return;
    }
  }

  void advance(bool progress) {
    // A change of role may be followed by another one at once; nobody turns in circles.
    for (int turns = 0; turns < 3; ++turns) {
      group_.advance(progress, now_);
      check(true);
      if (group_.next_deadline() > now_) return;
    }
    HEADGATE_CHECK(group_.next_deadline() > now_);
  }

  void hear(std::size_t router) {
    if (group_.config().routers.empty()) return;
    const RouterConfig& config = group_.config().routers[router];
    const auto bytes = input_.take(kHeader + (config.v6 ? 16 : 4) + (config.version == 2 ? 8 : 0));
    std::vector<std::uint8_t> message(bytes.begin(), bytes.end());
    if (message.size() < kHeader) return;
    // Most of it right, or nothing would ever be heard.
    message[0] = static_cast<std::uint8_t>(config.version << 4 | 1);
    message[3] = 1;
    if (config.version == 2) message[4] = 0;
    if (config.v6 && message.size() > 9) message[8] = 0xfe, message[9] = 0x80;
    std::memset(&message[6], 0, 2);
    const Carrier carrier{address(config.v6, message[1] % 4 + 10), config.v6 ? kGroupV6 : kGroupV4, kHopLimit};
    const std::uint16_t start = config.v6 ? packet::pseudo_header_sum(carrier.source, carrier.destination, kProtocol,
                                                                      static_cast<std::uint32_t>(message.size()))
                                          : 0;
    const std::uint16_t checksum = packet::invert(packet::sum(message, start));
    std::memcpy(&message[6], &checksum, 2);
    Advert advert;
    const Oddity oddity = decode(carrier, message, config.version, advert);
    if (oddity != Oddity::none) return group_.odd(router, oddity);
    group_.received(router, advert, carrier.source, now_);
    check(false);
  }

  void accept(std::uint8_t delay) {
    if (sent_.empty()) return;
    const Sent sent = sent_.front();
    sent_.erase(sent_.begin());
    now_ += delay * Nanos{50'000};
    if (sent.router >= group_.config().routers.size()) return;
    group_.accepted(sent.router, sent.interval, now_);
    accepted_until_ = std::max(accepted_until_, now_ + std::max(2 * sent.interval, group_.config().solo_lease));
    strictly_until_ = std::max(strictly_until_, now_ + 2 * sent.interval);
    check(false);
  }

  void tell() {
    const std::uint8_t a = input_.byte(), b = input_.byte();
    Input input;
    input.health = static_cast<Health>(a % 3);
    input.eligible = (a & 4) == 0;
    input.paused = (a & 8) != 0;
    input.yield = (a & 16) != 0;
    input.take = (a & 32) != 0;
    input.priority = (a & 64) != 0 ? b : 0;
    input.peer = static_cast<PeerState>(b % 5);
    input.witness = static_cast<Witness>((b >> 3) % 3);
    input.peer_lease = (b & 128) != 0 ? group_.config().interval : 0;
    group_.input(input, now_);
    check(false);
  }

  void check(bool may_promote) {
    const GroupStatus& status = group_.status();
    HEADGATE_CHECK(group_.active_until() == 0 || status.role == Role::active);
    HEADGATE_CHECK(group_.active_until() <= accepted_until_);
    // A long lease only for a box that nobody waits behind.
    if (group_.config().has_peer && !solo_) HEADGATE_CHECK(group_.active_until() <= strictly_until_);
    solo_ |= !group_.config().has_peer;
    HEADGATE_CHECK(may_promote || role_ == Role::active || status.role != Role::active);
    HEADGATE_CHECK(!status.cause.empty() && status.cause.length < status.cause.text.size());
    HEADGATE_CHECK(group_.actions().size() <= 4 * kRoutersMax);
    std::uint64_t changes = 0;
    for (const Action& action : group_.actions()) {
      changes += action.kind == Action::Kind::role ? 1 : 0;
      if (action.kind != Action::Kind::send) continue;
      HEADGATE_CHECK(action.router < group_.config().routers.size() && group_.router(action.router).link);
      HEADGATE_CHECK(action.interval >= kIntervalMin && action.interval <= kIntervalMax);
      sent_.push_back({action.router, action.interval});
    }
    HEADGATE_CHECK(status.transitions - transitions_ == changes);
    transitions_ = status.transitions;
    role_ = status.role;
    if (sent_.size() > 256) sent_.erase(sent_.begin(), sent_.end() - 256);
  }

  Feed input_;
  Nanos now_ = 1000 * kSecond;
  Group group_;
  std::vector<Sent> sent_;
  Nanos accepted_until_ = 0, strictly_until_ = 0;
  bool solo_ = false;
  std::uint64_t transitions_ = 0;
  Role role_ = Role::starting;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Feed input({data + 1, size - 1});
  if ((data[0] & 1) == 0) {
    fuzz_message(input);
  } else {
    Life(input).run();
  }
  return 0;
}
