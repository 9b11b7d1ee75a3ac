#include "tests/sim/simulation.h"

#include <algorithm>
#include <array>

#include "dataplane/base/byte_order.h"
#include "dataplane/base/check.h"
#include "dataplane/packet/build.h"
#include "tests/sim/site.h"

namespace headgate::sim {

using packet::testing::FrameSpec;
using packet::testing::ip;

namespace {

class WeightChanges final : public Changes {
 public:
  explicit WeightChanges(Nanos every) : every_(every) {}
  std::string first() override { return text_of({}); }
  Nanos pause() override { return every_ == 0 ? kNever : every_; }
  void change(Box& box) override { box.publish(text_of({.weights = kWeights[changes_++ % 3]})); }
  bool finished() const override { return true; }

 private:
  static constexpr const char* kWeights[] = {"1,1,1", "3,2,1", "1,5,2"};
  const Nanos every_;
  unsigned changes_ = 0;
};

// Both ends know a connection by the client's initial sequence number, the one thing that no mode changes; each
// connection has its own two streams of bytes.
std::uint32_t stream_up(std::uint32_t initial_sequence) {
  return initial_sequence * 2u;
}
std::uint32_t stream_down(std::uint32_t initial_sequence) {
  return initial_sequence * 2u + 1;
}

// The packet inside a tunnel, as an Ethernet frame.
std::optional<Frame> decapsulated(const Frame& frame, const packet::PacketInfo& info) {
  std::size_t at = info.l4_offset;
  std::uint8_t protocol = info.tuple.protocol;
  if (protocol == kProtocolUdp && info.tuple.dst_port == 6080) {
    protocol = frame[info.payload_offset + 1];
    at = info.payload_offset + packet::kGueLength;
  }
  if (protocol != kProtocolIpip && protocol != kProtocolIpv6) return std::nullopt;
  Frame inner(frame.begin(), frame.begin() + 14);
  store_be16(&inner[12], protocol == kProtocolIpip ? packet::kEtherIpv4 : packet::kEtherIpv6);
  inner.insert(inner.end(), frame.begin() + static_cast<std::ptrdiff_t>(std::min(at, frame.size())), frame.end());
  return inner;
}

Segment segment_of(const Frame& frame, const packet::PacketInfo& info) {
  Segment segment{.flags = info.tcp_flags, .sequence = 0, .acknowledgment = 0, .payload = {}};
  if (info.tuple.protocol == kProtocolTcp) {
    segment.sequence = load_be32(&frame[info.l4_offset + 4]);
    segment.acknowledgment = load_be32(&frame[info.l4_offset + 8]);
  }
  const std::size_t length =
      info.tuple.protocol == kProtocolUdp ? load_be16(&frame[info.l4_offset + 4]) : info.l4_length;
  segment.payload.assign(frame.begin() + info.payload_offset,
                         frame.begin() + static_cast<std::ptrdiff_t>(info.l4_offset + length));
  return segment;
}

// As a host's stack takes it: whole, for its protocol, with a right checksum.
bool acceptable(const Frame& frame, packet::PacketInfo& info) {
  if (packet::parse(frame, frame.size(), info) != packet::ParseError::none || !info.is_ip() || info.fragment)
    return false;
  return packet::l4_checksum_ok(frame, info);
}

Nanos later(Nanos now, Nanos pause) {
  return pause == kNever ? kNever : now + pause;
}

}  // namespace

Plan random_plan(std::uint64_t seed) {
  Rng rng(seed);
  const auto one_of = [&rng](auto... values) {
    const std::array all{values...};
    return all[rng.below(static_cast<std::uint32_t>(all.size()))];
  };
  Plan plan{.seed = seed};
  plan.workers = one_of(1u, 2u, 3u, 5u);
  plan.connections = 20 + rng.below(40);
  plan.udp_flows = 10 + rng.below(20);
  plan.faults.loss = one_of(0.0, 0.01, 0.1, 0.3);
  plan.faults.duplicate = one_of(0.0, 0.01, 0.1);
  plan.faults.reorder = one_of(0.0, 0.05, 0.3);
  plan.faults.corrupt = one_of(0.0, 0.0, 0.02);
  plan.faults.delay_max = one_of(kMillisecond, 5 * kMillisecond, 50 * kMillisecond);
  plan.snapshot_every = one_of(Nanos{0}, 100 * kMillisecond, 700 * kMillisecond);
  return plan;
}

std::string describe(const Plan& plan) {
  return "seed " + std::to_string(plan.seed) + ": " + std::to_string(plan.workers) + " workers, " +
         std::to_string(plan.connections) + " connections, " + std::to_string(plan.udp_flows) + " udp, loss " +
         std::to_string(plan.faults.loss) + ", duplicate " + std::to_string(plan.faults.duplicate) + ", reorder " +
         std::to_string(plan.faults.reorder) + ", corrupt " + std::to_string(plan.faults.corrupt) + ", delay " +
         std::to_string(plan.faults.delay_max / kMillisecond) + " ms, snapshots every " +
         std::to_string(plan.snapshot_every / kMillisecond) + " ms";
}

Simulation::Simulation(const Plan& plan) : Simulation(plan, std::make_unique<WeightChanges>(plan.snapshot_every)) {}

Simulation::Simulation(const Plan& plan, std::unique_ptr<Changes> changes)
    : plan_(plan),
      rng_(plan.seed ^ 0x5eed),
      box_({.workers = plan.workers, .seed = plan.seed}),
      network_(plan.seed),
      changes_(std::move(changes)) {
  box_.apply(changes_->first());
  network_.set_faults(plan.faults);
  next_change_ = later(box_.now(), changes_->pause());
  add_clients();
}

// Every mode and family, spread over the time of the faults.
void Simulation::add_clients() {
  for (unsigned i = 0; i < plan_.connections + plan_.udp_flows; ++i) {
    const bool tcp = i < plan_.connections, v4 = rng_.below(2) == 0;
    const auto port = static_cast<std::uint16_t>(20000 + i);
    Client client;
    client.tuple = {ip(v4 ? "192.0.2.10" : "2001:db8:1::10"),
                    ip((v4 ? "192.0.2." : "2001:db8:1::") + std::to_string(100 + rng_.below(7))), port,
                    static_cast<std::uint16_t>(tcp ? 80 : 53), tcp ? kProtocolTcp : kProtocolUdp};
    const bool lasting = (tcp ? i : i - plan_.connections) < plan_.lasting;
    client.start = box_.now() + rng_.next() % (lasting ? 100 * kMillisecond : plan_.fault_time);
    if (tcp) {
      const auto initial = static_cast<std::uint32_t>(rng_.next());
      const std::size_t bytes =
          lasting ? plan_.lasting_turns * kSegment : rng_.below(static_cast<std::uint32_t>(plan_.bytes_max));
      client.tcp =
          std::make_unique<TcpEnd>(TcpEnd::Role::client, initial, stream_up(initial), stream_down(initial), bytes);
    } else {
      client.udp = std::make_unique<UdpClient>(port, lasting ? plan_.lasting_turns : 1 + rng_.below(20));
    }
    client_by_tuple_[to_string(client.tuple)] = clients_.size();
    clients_.push_back(std::move(client));
  }
}

void Simulation::send(const Tuple& tuple, const Segment& segment, bool from_client, bool direct) {
  FrameSpec spec{.src = tuple.src, .dst = tuple.dst, .src_port = tuple.src_port, .dst_port = tuple.dst_port};
  spec.payload = segment.payload;
  spec.flags = segment.flags;
  spec.sequence = segment.sequence;
  spec.acknowledgment = segment.acknowledgment;
  const std::uint16_t port = from_client ? kOutside : kInside;
  spec.eth_dst = direct ? box_.lan().mac("192.0.2.10") : Box::mac(port);
  const unsigned to = direct ? kToClients : from_client ? kToBoxOutside : kToBoxInside;
  network_.send(box_.now(), to, tuple.protocol == kProtocolTcp ? tcp_frame(spec) : udp_frame(spec), !direct);
}

void Simulation::speak(Client& client) {
  if (client.start > box_.now()) return;
  if (client.tcp) {
    while (const auto segment = client.tcp->next(box_.now())) send(client.tuple, *segment, true, false);
  } else {
    while (const auto datagram = client.udp->next(box_.now())) send(client.tuple, *datagram, true, false);
  }
}

void Simulation::speak(ServerEnd& server) {
  if (!server.tcp) return;
  while (const auto segment = server.tcp->next(box_.now())) send(server.tuple, *segment, false, server.direct);
}

void Simulation::to_client(const Frame& frame) {
  packet::PacketInfo info;
  if (!acceptable(frame, info)) return;
  const auto found = client_by_tuple_.find(to_string(info.tuple.reversed()));
  if (found == client_by_tuple_.end()) return;
  Client& client = clients_[found->second];
  const Segment segment = segment_of(frame, info);
  client.tcp ? client.tcp->receive(segment) : client.udp->receive(segment);
  speak(client);
}

void Simulation::to_server(Frame frame) {
  packet::PacketInfo info;
  // The outer UDP of a tunnel over IPv6 carries no checksum (RFC 6935); the inner packet is judged in its place.
  if (packet::parse(frame, frame.size(), info) != packet::ParseError::none || !info.is_ip()) return;
  MacAddress host;
  std::copy_n(frame.begin(), host.bytes.size(), host.bytes.begin());
  bool direct = false;
  if (auto inner = decapsulated(frame, info)) {
    frame = std::move(*inner);
    direct = true;
  }
  if (!acceptable(frame, info)) return;
  // dsr: the packet still has the service address, which is not the server's network.
  direct = direct || info.tuple.dst.bytes[15] == 102 || info.tuple.dst == ip("2001:db8:1::102");
  server_segment(host, info.tuple, segment_of(frame, info), direct);
}

void Simulation::note_server(const MacAddress& host, const Tuple& arrived, const Segment& segment) {
  const bool tcp = arrived.protocol == kProtocolTcp;
  if (!tcp && segment.payload.size() < 4) return;
  const std::uint64_t who = tcp ? segment.sequence : std::uint64_t{1} << 32 | load_be32(segment.payload.data());
  const auto [known, fresh] = server_of_.emplace(who, to_string(host));
  if (!fresh && known->second != to_string(host)) {
    moved_ = to_string(arrived) + " went from " + known->second + " to " + to_string(host);
  }
}

void Simulation::server_segment(const MacAddress& host, const Tuple& arrived, const Segment& segment, bool direct) {
  const bool opens = (segment.flags & (packet::kSyn | packet::kAck)) == packet::kSyn;
  if (opens || arrived.protocol == kProtocolUdp) note_server(host, arrived, segment);
  if (arrived.protocol == kProtocolUdp) return send(arrived.reversed(), segment, false, direct);  // echo
  const std::string key = to_string(host) + " " + to_string(arrived);
  auto at = servers_.find(key);
  if (at == servers_.end()) {
    if (!opens) return;  // a kernel would answer RST; silence is harder on the box
    ServerEnd server{.tuple = arrived.reversed(), .direct = direct};
    server.tcp = std::make_unique<TcpEnd>(TcpEnd::Role::server, static_cast<std::uint32_t>(rng_.next()),
                                          stream_down(segment.sequence), stream_up(segment.sequence),
                                          rng_.below(static_cast<std::uint32_t>(plan_.bytes_max)));
    at = servers_.emplace(key, std::move(server)).first;
  }
  at->second.tcp->receive(segment);
  speak(at->second);
}

void Simulation::from_box(const std::vector<Out>& out) {
  for (const Out& o : out) network_.send(box_.now(), o.port == kOutside ? kToClients : kToServers, o.frame, false);
}

void Simulation::deliver(const Network::Arrival& arrival) {
  for (const std::uint8_t byte : arrival.frame) trace_ = fold_multiply(trace_ ^ byte, 0x9e3779b97f4a7c15ull);
  trace_ = fold_multiply(trace_ ^ arrival.time, 0xe7037ed1a0b428dbull);
  switch (arrival.to) {
    case kToBoxOutside:
      box_.inject(kOutside, arrival.frame);
      return from_box(box_.run());
    case kToBoxInside:
      box_.inject(kInside, arrival.frame);
      return from_box(box_.run());
    case kToClients:
      return to_client(arrival.frame);
    default:
      return to_server(arrival.frame);
  }
}

Nanos Simulation::next_time() {
  Nanos next = std::min(network_.next_arrival(), next_change_);
  for (const Client& client : clients_) {
    const Nanos wanted = client.tcp ? client.tcp->next_deadline() : client.udp->next_deadline();
    if (wanted != kNever) next = std::min(next, std::max(wanted, client.start));
  }
  for (const auto& [key, server] : servers_) next = std::min(next, server.tcp->next_deadline());
  return next;
}

void Simulation::step() {
  const Nanos next = std::min(next_time(), box_.now() + kSecond);
  if (next > box_.now()) from_box(box_.advance(next - box_.now()));
  while (next_change_ <= box_.now()) {
    changes_->change(box_);
    next_change_ = later(box_.now(), changes_->pause());
  }
  while (const auto arrival = network_.receive(box_.now())) deliver(*arrival);
  for (Client& client : clients_) speak(client);
  for (auto& [key, server] : servers_) speak(server);
}

bool Simulation::all_ended() const {
  return std::all_of(clients_.begin(), clients_.end(), [](const Client& client) {
    return client.tcp ? client.tcp->finished() || client.tcp->aborted() : client.udp->finished();
  });
}

std::string Simulation::check() const {
  if (!moved_.empty()) return moved_;
  for (const Client& client : clients_) {
    if (client.tcp && client.tcp->wrong_byte()) return "a wrong byte came to " + to_string(client.tuple);
  }
  for (const auto& [key, server] : servers_) {
    if (server.tcp->wrong_byte()) return "a wrong byte came to the server of " + key;
  }
  return {};
}

std::string Simulation::run() {
  const Nanos faults_end = box_.now() + plan_.fault_time, end = faults_end + plan_.patience;
  bool faulty = true;
  while (!all_ended() || !changes_->finished()) {
    if (faulty && box_.now() >= faults_end) {
      faulty = false;
      network_.set_faults(Faults::none());
    }
    if (box_.now() >= end) return "exchanges still run: " + std::to_string(clients_.size() - finished() - aborted());
    step();
    if (std::string wrong = check(); !wrong.empty()) return wrong;
  }
  next_change_ = kNever;
  for (const Nanos linger = box_.now() + 30 * kSecond; box_.now() < linger;) step();
  box_.advance(8000 * kSecond);
  if (box_.flows() != 0) return std::to_string(box_.flows()) + " flows are left";
  if (box_.local_ports() != 0) return std::to_string(box_.local_ports()) + " local ports are left";
  if (box_.held() != 0) return std::to_string(box_.held()) + " packets are held";
  if (box_.buffers_in_use() != 0) return std::to_string(box_.buffers_in_use()) + " packet buffers are left";
  return {};
}

unsigned Simulation::finished() const {
  return static_cast<unsigned>(std::count_if(
      clients_.begin(), clients_.end(), [](const Client& c) { return c.tcp ? c.tcp->finished() : c.udp->finished(); }));
}
unsigned Simulation::retransmissions() const {
  unsigned sum = 0;
  for (const Client& client : clients_)
    sum += client.tcp ? client.tcp->retransmissions() : client.udp->retransmissions();
  for (const auto& [key, server] : servers_) sum += server.tcp->retransmissions();
  return sum;
}
unsigned Simulation::aborted() const {
  return static_cast<unsigned>(
      std::count_if(clients_.begin(), clients_.end(), [](const Client& c) { return c.tcp && c.tcp->aborted(); }));
}

}  // namespace headgate::sim
