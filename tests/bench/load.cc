#include "tests/bench/load.h"

#include "dataplane/packet/packet_info.h"

namespace headgate::bench {

using packet::kAck;
using packet::kFin;
using packet::kPsh;
using packet::kSyn;

namespace {

constexpr unsigned kPortsPerClient = 16;

std::uint32_t client_address(std::uint32_t client) {
  return kClientNet + client / kPortsPerClient;
}
std::uint16_t client_port(std::uint32_t client) {
  return static_cast<std::uint16_t>(2048 + client % kPortsPerClient * 3967);
}

}  // namespace

Load::Load(Site& site, unsigned lane, std::uint32_t first_client)
    : site_(site), lane_(site.lane(lane)), next_client_(first_client) {}

Segment Load::from_client(const KnownFlow& flow) const {
  return {.port = kOutside,
          .src = client_address(flow.client),
          .dst = kService,
          .src_port = client_port(flow.client),
          .dst_port = kServicePort};
}

Segment Load::from_backend(const KnownFlow& flow) const {
  Segment segment{.port = kInside, .src = kServerNet | flow.backend, .src_port = kServicePort};
  const bool full_nat = site_.mode() == snapshot::Mode::full_nat;
  segment.dst = full_nat ? kServerNet | flow.local : client_address(flow.client);
  segment.dst_port = full_nat ? flow.local_port : client_port(flow.client);
  return segment;
}

void Load::new_clients(unsigned count) {
  fresh_.clear();
  while (fresh_.size() < count) {
    const KnownFlow flow{.client = next_client_++};
    const Segment segment = from_client(flow);
    const Tuple request{IpAddress::from_v4(segment.src), IpAddress::from_v4(segment.dst), segment.src_port,
                        segment.dst_port, kProtocolTcp};
    if (site_.workers() == 1 || site_.owner(request) == lane_.index()) fresh_.push_back(flow);
  }
}

std::uint64_t Load::pass(Phase phase) {
  const bool reply = phase == Phase::syn_ack || phase == Phase::server_fin;
  std::uint8_t flags = kAck;
  if (phase == Phase::syn) flags = kSyn;
  if (phase == Phase::syn_ack) flags = kSyn | kAck;
  if (phase == Phase::client_fin || phase == Phase::server_fin) flags = kFin | kAck;
  const std::span frames = lane_.take(static_cast<unsigned>(fresh_.size()));
  for (std::uint32_t i = 0; i < fresh_.size(); ++i) {
    Segment segment = reply ? from_backend(fresh_[i]) : from_client(fresh_[i]);
    segment.flags = flags;
    segment.sequence = i;
    frames[i].port = segment.port;
    write_segment(frames[i].mbuf, segment);
  }
  const std::uint64_t cycles = lane_.run(frames, site_.now);
  if (phase == Phase::syn && site_.replies_pass()) learn();
  std::size_t passed = 0;
  for (const rte_mbuf* buffer : lane_.sent()) passed += is_ip(buffer);
  if (passed != fresh_.size()) {
    die("only " + std::to_string(passed) + " of " + std::to_string(fresh_.size()) +
        " packets of new flows passed, with " + std::to_string(lane_.worker().flows().size()) +
        " flows; dropped: " + site_.drops());
  }
  lane_.recycle();
  site_.settle();
  return cycles;
}

// Where each SYN went; its sequence number says whose it is.
void Load::learn() {
  for (const rte_mbuf* buffer : lane_.sent()) {
    if (!is_ip(buffer)) continue;
    const Sent sent = read_segment(buffer);
    if (sent.sequence >= fresh_.size()) die("a frame that was never sent");
    KnownFlow& flow = fresh_[sent.sequence];
    flow.backend = static_cast<std::uint16_t>(sent.dst);
    flow.local = static_cast<std::uint16_t>(sent.src);
    flow.local_port = sent.src_port;
  }
}

void Load::grow(std::uint32_t flows) {
  flows_.reserve(flows);
  while (flows_.size() < flows) {
    new_clients(std::min<unsigned>(kRing, flows - this->flows()));
    pass(Phase::syn);
    if (site_.replies_pass()) pass(Phase::syn_ack);
    pass(Phase::ack);
    flows_.insert(flows_.end(), fresh_.begin(), fresh_.end());
  }
}

void Load::write_data(std::span<worker::Frame> frames, Rng& rng) const {
  for (worker::Frame& frame : frames) {
    const KnownFlow& flow = flows_[rng.below(flows())];
    Segment segment = site_.replies_pass() && (rng.next() & 1) != 0 ? from_backend(flow) : from_client(flow);
    segment.flags = kAck | kPsh;
    segment.sequence = 1;
    segment.payload = 10;
    frame.port = segment.port;
    write_segment(frame.mbuf, segment);
  }
}

}  // namespace headgate::bench
