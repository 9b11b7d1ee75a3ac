#include "tests/sim/box.h"

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <atomic>
#include <cstring>

#include "dataplane/base/check.h"
#include "dataplane/proxy/mbuf_pool.h"

namespace headgate::sim {
namespace {

constexpr std::uint16_t kPorts = 5;
constexpr unsigned kRoundsMax = 10000;
constexpr Nanos kNeighborPatience = 2 * kSecond;

// Ordinary memory, no devices, nothing on disk. --no-shconf: DPDK refuses --in-memory beside --no-huge and -m.
void start_eal() {
  static const int started = [] {
    static std::vector<std::string> arguments{"sim",         "--no-huge",   "--no-shconf", "--no-pci", "--no-telemetry",
                                              "-m",          "256",         "--lcores",    "0",        "--log-level",
                                              "lib.*:error", "--log-level", "pmd.*:error"};
    static std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    rte_log_set_global_level(RTE_LOG_ERR);
    return rte_eal_init(static_cast<int>(argv.size()), argv.data());
  }();
  HEADGATE_CHECK(started >= 0);
}

rte_mempool* make_pool(unsigned buffers) {
  static std::atomic<unsigned> number{0};
  start_eal();
  const std::string name = "sim" + std::to_string(number++);
  rte_mempool* pool =
      rte_pktmbuf_pool_create(name.c_str(), buffers, 0, proxy::kPrivateSize, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  HEADGATE_CHECK(pool != nullptr);
  return pool;
}

Frame bytes_of(const rte_mbuf* mbuf) {
  Frame frame;
  for (const rte_mbuf* segment = mbuf; segment != nullptr; segment = segment->next) {
    const auto* data = rte_pktmbuf_mtod(segment, const std::uint8_t*);
    frame.insert(frame.end(), data, data + segment->data_len);
  }
  return frame;
}

worker::WorkerConfig config_of(const Box::Options& options, unsigned index, rte_mempool* pool) {
  worker::WorkerConfig config{
      .index = index, .flows = options.flows, .seed = options.seed + index * 1000, .ports = {}, .pool = pool};
  for (std::uint16_t port = 0; port < kPorts; ++port) {
    config.ports.push_back({.mac = Box::mac(port),
                            .tx_queues = port == kOutside ? options.outside_tx_queues : 16,
                            .chains = options.chains});
  }
  // Half of the buffers, as app gives it.
  config.proxy = {.connections = options.connections,
                  .memory = std::uint64_t{options.buffers} * RTE_MBUF_DEFAULT_BUF_SIZE / 2,
                  .secret = {options.seed, index + 1}};
  if (options.exceptions) {
    config.ports[kOutside].exception = kOutsideKernel;
    config.ports[kInside].exception = kInsideKernel;
    config.ports[kOutsideKernel].physical = kOutside;
    config.ports[kInsideKernel].physical = kInside;
  }
  return config;
}

}  // namespace

MacAddress Box::mac(std::uint16_t port) {
  return {{0x02, 0xaa, 0, 0, 0, static_cast<std::uint8_t>(port)}};
}

Box::Box(const Options& options)
    : options_(options),
      source_({"outside", "inside", "probe", "outside-kernel", "inside-kernel"}, options.seed + 77),
      steering_(kDefaultRssKey, BucketMap::equal_shares(options.workers)),
      mailboxes_(options.workers),
      limits_(options.workers, snapshot::kBackendSlots),
      loads_(options.workers, snapshot::kBackendSlots),
      publisher_(options.workers),
      queues_(options.workers),
      tx_(options.workers, worker::TxBatch(kPorts)) {
  source_.flow_limit = options.flow_limit;
  const worker::Shared shared{
      .steering = steering_, .mailboxes = mailboxes_, .limits = limits_, .loads = loads_, .failover = &failover_};
  for (unsigned i = 0; i < options.workers; ++i) {
    pools_.push_back(make_pool(options.buffers));
    publisher_.reader(i).online();
    workers_.push_back(
        std::make_unique<worker::Worker>(config_of(options, i, pools_[i]), shared, publisher_.reader(i)));
  }
  for (const char* outside :
       {"192.0.2.1", "192.0.2.10", "192.0.2.9", "2001:db8:1::1", "2001:db8:1::10", "2001:db8:1::9"}) {
    lan_.add(outside, kOutside);
  }
  for (const char* inside :
       {"10.10.0.21", "10.10.0.22", "10.10.0.23", "2001:db8:2::21", "2001:db8:2::22", "2001:db8:2::23"}) {
    lan_.add(inside, kInside);
  }
}

Box::~Box() {
  for (Queue& queue : queues_) {
    for (const worker::Frame& frame : queue.frames) rte_pktmbuf_free(frame.mbuf);
  }
  for (unsigned i = 0; i < workers_.size(); ++i) publisher_.reader(i).offline();
  workers_.clear();
  EXPECT_EQ(buffers_in_use(), 0u) << "packet buffers leaked, seed " << options_.seed;
  for (rte_mempool* pool : pools_) rte_mempool_free(pool);
}

void Box::publish(std::string_view snapshot) {
  publisher_.publish(source_.accept(snapshot));
  publisher_.reclaim();
}

void Box::update(std::string_view states) {
  publisher_.publish(source_.update(states));
  publisher_.reclaim();
}

void Box::settle(Nanos time) {
  advance(time);
}

unsigned Box::queue_of(std::uint16_t port, const Frame& frame) const {
  packet::PacketInfo info;
  if (packet::parse(frame, frame.size(), info) != packet::ParseError::none || !info.is_ip()) return 0;
  if (port == kProbe || port == kOutsideKernel || port == kInsideKernel) return 0;  // devices without RSS
  const bool ports = !info.fragment && (info.tuple.protocol == kProtocolTcp || info.tuple.protocol == kProtocolUdp);
  const std::uint32_t hash =
      steering_.toeplitz().hash(info.tuple.src, info.tuple.dst, info.tuple.src_port, info.tuple.dst_port, ports);
  return steering_.worker_of(hash & (kBuckets - 1));
}

Frame Box::addressed(std::uint16_t port, Frame frame) {
  static const MacAddress nobody_in_particular = packet::testing::FrameSpec{}.eth_dst;
  if (frame.size() >= 6 && std::memcmp(frame.data(), nobody_in_particular.bytes.data(), 6) == 0)
    std::memcpy(frame.data(), mac(port).bytes.data(), 6);
  return frame;
}

void Box::inject(std::uint16_t port, const Frame& frame, int queue) {
  const unsigned at = queue == kByHash ? queue_of(port, frame) : static_cast<unsigned>(queue);
  rte_mbuf* mbuf = rte_pktmbuf_alloc(pools_[at]);
  HEADGATE_CHECK(mbuf != nullptr);
  char* data = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size()));
  HEADGATE_CHECK(data != nullptr);
  const Frame arriving = addressed(port, frame);
  std::memcpy(data, arriving.data(), arriving.size());
  queues_[at].frames.push_back({mbuf, port});
}

void Box::inject_in_segments(std::uint16_t port, const Frame& frame, const std::vector<std::size_t>& lengths) {
  const Frame arriving = addressed(port, frame);
  rte_mbuf* head = nullptr;
  std::size_t at = 0;
  for (std::size_t i = 0; i <= lengths.size(); ++i) {
    const std::size_t length = i < lengths.size() ? lengths[i] : arriving.size() - at;
    rte_mbuf* segment = rte_pktmbuf_alloc(pools_[0]);
    HEADGATE_CHECK(segment != nullptr);
    char* data = rte_pktmbuf_append(segment, static_cast<std::uint16_t>(length));
    HEADGATE_CHECK(data != nullptr);
    std::memcpy(data, arriving.data() + at, length);
    at += length;
    if (head == nullptr) {
      head = segment;
    } else {
      HEADGATE_CHECK(rte_pktmbuf_chain(head, segment) == 0);
    }
  }
  queues_[0].frames.push_back({head, port});
}

void Box::step(unsigned i) {
  std::vector<worker::Frame> frames = std::exchange(queues_[i].frames, {});
  workers_[i]->step(now_, frames, tx_[i]);
  collect(tx_[i]);
  publisher_.reclaim();
}

void Box::collect(worker::TxBatch& tx) {
  for (std::uint16_t port = 0; port < kPorts; ++port) {
    for (rte_mbuf* mbuf : tx.of(port)) {
      Frame frame = bytes_of(mbuf);
      rte_pktmbuf_free(mbuf);
      std::optional<Frame> answer;
      if (lan_.is_neighbor_traffic(frame, port, answer)) {
        if (answer) inject(port, *answer, 0);
        said_.push_back({port, std::move(frame)});
      } else {
        sent_.push_back({port, std::move(frame)});
      }
    }
    tx.clear(port);
  }
  tx.clear_adverts();
}

bool Box::idle() const {
  for (unsigned i = 0; i < workers_.size(); ++i) {
    if (!queues_[i].frames.empty() || !workers_[i]->mailbox_empty()) return false;
  }
  return true;
}

std::vector<Out> Box::run_at_this_time() {
  unsigned rounds = 0;
  do {
    HEADGATE_CHECK(++rounds < kRoundsMax);  // two workers hand something to and fro
    for (unsigned i = 0; i < workers_.size(); ++i) step(i);
  } while (!idle());
  return take_sent();
}

std::size_t Box::waiting_for_neighbors() const {
  std::size_t n = 0;
  for (const auto& worker : workers_) n += worker->neighbors().held();
  return n;
}

std::vector<Out> Box::run() {
  std::vector<Out> out = run_at_this_time();
  for (const Nanos end = now_ + kNeighborPatience; waiting_for_neighbors() != 0 && now_ < end;) {
    now_ += 10 * kMillisecond;
    std::vector<Out> more = run_at_this_time();
    std::move(more.begin(), more.end(), std::back_inserter(out));
  }
  return out;
}

std::vector<Out> Box::advance(Nanos time) {
  std::vector<Out> out = run_at_this_time();
  for (const Nanos end = now_ + time; now_ < end;) {
    Nanos next = end;
    for (const auto& worker : workers_) next = std::min(next, worker->next_deadline());
    now_ = std::min(end, std::max(next, now_ + kMillisecond));
    std::vector<Out> more = run_at_this_time();
    std::move(more.begin(), more.end(), std::back_inserter(out));
  }
  return out;
}

std::uint64_t Box::exits(telemetry::Exit exit) const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_)
    sum += std::as_const(*worker).counters().exits[static_cast<unsigned>(exit)].read();
  return sum;
}
std::uint64_t Box::drops(telemetry::DropReason reason) const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_)
    sum += std::as_const(*worker).counters().drops[static_cast<unsigned>(reason)].read();
  return sum;
}
std::uint64_t Box::handovers(telemetry::Handover reason) const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_)
    sum += std::as_const(*worker).counters().handovers[static_cast<unsigned>(reason)].read();
  return sum;
}
std::uint64_t Box::dropped() const {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < telemetry::kDropReasons; ++i) sum += drops(static_cast<telemetry::DropReason>(i));
  return sum;
}
std::uint32_t Box::flows() const {
  std::uint32_t sum = 0;
  for (const auto& worker : workers_) sum += std::as_const(*worker).flows().size();
  return sum;
}
std::uint32_t Box::local_ports() const {
  std::uint32_t sum = 0;
  for (const auto& worker : workers_) sum += std::as_const(*worker).ports().live();
  return sum;
}
std::size_t Box::held() const {
  std::size_t sum = 0;
  for (const auto& worker : workers_) sum += worker->held();
  return sum;
}
unsigned Box::buffers_in_use() const {
  unsigned sum = 0;
  for (const rte_mempool* pool : pools_) sum += rte_mempool_in_use_count(pool);
  return sum;
}

}  // namespace headgate::sim
