#include "tests/bench/site.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "dataplane/base/byte_order.h"
#include "dataplane/packet/build.h"
#include "tests/bench/frames.h"

namespace headgate::bench {

using snapshot::Mode;

void die(const std::string& why) {
  std::fprintf(stderr, "headgate-bench-forward: %s\n", why.c_str());
  std::exit(1);
}

void start_eal() {
  // Ordinary memory: the ring's buffers are few, and flow tables ask for huge pages themselves.
  std::array<std::string, 9> arguments{"headgate-bench-forward",
                                       "--no-huge",
                                       "--no-shconf",
                                       "--no-pci",
                                       "--no-telemetry",
                                       "-m",
                                       "64",
                                       "--log-level",
                                       "lib.*:error"};
  std::array<char*, 9> argv{};
  for (std::size_t i = 0; i < argv.size(); ++i) argv[i] = arguments[i].data();
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
    die(std::string("DPDK: ") + rte_strerror(rte_errno));
}

rte_mempool* new_pool(const std::string& name, unsigned frames) {
  // A 64-byte frame, headroom for encapsulation, no more: a large buffer would only spread the ring over more pages.
  rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), frames, 0, 0, RTE_PKTMBUF_HEADROOM + 512, SOCKET_ID_ANY);
  if (pool == nullptr) die("no memory for " + name + ": " + rte_strerror(rte_errno));
  return pool;
}

std::string snapshot_text(Mode mode) {
  static constexpr const char* kNames[] = {"FULL_NAT", "NAT", "DSR", "TUNNEL"};
  std::string text =
      "interface { id: 1 name: 'outside' port: 'p0' prefix: '192.0.2.0/24' address: '192.0.2.11' }\n"
      "interface { id: 2 name: 'inside' port: 'p1' prefix: '10.10.0.0/16' address: '10.10.0.11' gateway: true }\n"
      "route { prefix: '0.0.0.0/0' next_hop { gateway: '192.0.2.1' interface: 'outside' } }\n"
      "pool { id: 1 name: 'pool' algorithm: ROUND_ROBIN\n";
  for (unsigned i = 0; i < kBackends; ++i) {
    text += "  backend { id: " + std::to_string(i + 1) + " name: 'b" + std::to_string(i + 1) + "' address: '10.10.1." +
            std::to_string(i) + "' weight: 1 }\n";
  }
  text += "}\n";
  for (unsigned i = 0; i < kLocals; ++i) {
    text += "local_address { id: " + std::to_string(i + 1) + " address: '10.10.0." + std::to_string(64 + i) +
            "' interface_id: 2 }\n";
  }
  text += "service { id: 1 name: 'web' address: '192.0.2.100' port: 80 protocol: TCP pool_id: 1 mode: ";
  return text + kNames[static_cast<unsigned>(mode)] + " }\n";
}

// --- Lane

namespace {
std::string pool_name(const char* what) {
  static unsigned number = 0;
  return std::string(what) + std::to_string(number++);
}
}  // namespace

Lane::Lane(unsigned index, worker::Worker& worker)
    : index_(index),
      worker_(worker),
      ring_pool_(new_pool(pool_name("ring"), kRing)),
      answer_pool_(new_pool(pool_name("arp"), 1023)),
      tx_(2),
      bulk_(kRing),
      sent_(kRing + 4096),
      sent_port_(kRing + 4096) {}

std::span<worker::Frame> Lane::take(unsigned count) {
  if (rte_pktmbuf_alloc_bulk(ring_pool_, bulk_.data(), count) != 0) die("frames were lost on the way");
  for (unsigned i = 0; i < count; ++i) frames_[i] = {.mbuf = bulk_[i], .port = kOutside};
  return {frames_.data(), count};
}

Lane::~Lane() {
  recycle();
  for (const worker::Frame& answer : answers_) rte_pktmbuf_free(answer.mbuf);
}

namespace {
// This thread's processor time, in cycles of the time-stamp counter: on a machine that does other things too, the
// counter itself would count them.
std::uint64_t thread_cycles() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  static const double cycles_per_nano = static_cast<double>(rte_get_tsc_hz()) / 1e9;
  return static_cast<std::uint64_t>((static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec)) *
                                    cycles_per_nano);
}
}  // namespace

std::uint64_t Lane::run(std::span<const worker::Frame> frames, Nanos& now) {
  const std::uint64_t start = rte_rdtsc_precise(), thread_start = thread_cycles();
  do {
    const std::size_t n = std::min<std::size_t>(frames.size(), kBurst);
    step(frames.first(n), now);
    frames = frames.subspan(n);
  } while (!frames.empty());
  const std::uint64_t thread_end = thread_cycles(), end = rte_rdtsc_precise();
  return std::min(end - start, thread_end - thread_start);
}

void Lane::step(std::span<const worker::Frame> frames, Nanos& now) {
  worker_.step(now, frames, tx_);
  now += kStep;
  for (std::uint16_t port = 0; port < 2; ++port) {
    for (rte_mbuf* buffer : tx_.of(port)) {
      sent_port_[sent_count_] = port;
      sent_[sent_count_++] = buffer;
    }
    tx_.clear(port);
  }
}

void Lane::recycle() {
  for (std::size_t i = 0; i < sent_count_; ++i) {
    if (is_arp(sent_[i])) answer_arp(sent_port_[i], rte_pktmbuf_mtod(sent_[i], const std::uint8_t*));
    rte_pktmbuf_free(sent_[i]);
  }
  sent_count_ = 0;
}

// The gateway and the backends answer; announcements of our own addresses find nobody.
void Lane::answer_arp(std::uint16_t port, const std::uint8_t* request) {
  const std::uint32_t target = load_be32(request + 38);
  const bool peer = target == 0xc0000201 || (target & 0xffffff00) == kServerNet + 0x100;
  if (load_be16(request + 20) != 1 || !peer) return;
  rte_mbuf* answer = rte_pktmbuf_alloc(answer_pool_);
  if (answer == nullptr) return;
  MacAddress asker;
  std::memcpy(asker.bytes.data(), request + 22, 6);
  const std::size_t length =
      packet::write_arp(rte_pktmbuf_mtod(answer, std::uint8_t*), 0, asker, kPeerMac, IpAddress::from_v4(target), asker,
                        IpAddress::load_v4(request + 28), true);
  answer->data_len = static_cast<std::uint16_t>(length);
  answer->pkt_len = static_cast<std::uint32_t>(length);
  answers_.push_back({.mbuf = answer, .port = port});
}

// --- Site

Site::Site(const SiteOptions& options)
    : options_(options),
      steering_(kDefaultRssKey, BucketMap::equal_shares(options.workers)),
      mailboxes_(options.workers),
      limits_(options.workers, snapshot::kBackendSlots),
      loads_(options.workers, snapshot::kBackendSlots),
      publisher_(options.workers) {
  std::vector<worker::PortFacts> ports;
  for (const MacAddress& mac : kPortMacs) ports.push_back({.mac = mac, .tx_queues = options.workers});
  static rte_mempool* own = new_pool("own", 4095);  // what workers say themselves
  for (unsigned i = 0; i < options.workers; ++i) {
    const worker::WorkerConfig config{.index = i, .flows = options.flows, .seed = 7 + i, .ports = ports, .pool = own};
    const worker::Shared shared{.steering = steering_, .mailboxes = mailboxes_, .limits = limits_, .loads = loads_};
    workers_.push_back(std::make_unique<worker::Worker>(config, shared, publisher_.reader(i)));
    lanes_.push_back(std::make_unique<Lane>(i, *workers_.back()));
    publisher_.reader(i).online();
  }
  publisher_.publish(source_.accept(snapshot_text(options.mode)));
}

Site::~Site() {
  for (unsigned i = 0; i < workers(); ++i) publisher_.reader(i).offline();
}

unsigned Site::owner(const Tuple& request) const {
  return steering_.worker_of(steering_.bucket(*source_.last(), request, kOutside));
}

void Site::settle() {
  std::vector<worker::Frame> answers;
  for (auto& lane : lanes_) {
    for (const worker::Frame& answer : lane->take_answers()) answers.push_back(answer);
  }
  for (auto& lane : lanes_) {
    lane->run(lane->index() == 0 ? answers : std::vector<worker::Frame>(), now);
    lane->recycle();
  }
}

void Site::resolve_neighbors() {
  // Flows of clients that are never measured, enough for each backend to be chosen in each worker; they expire
  // half-open.
  std::uint32_t client = kClientNet + 0x3f0000;
  for (unsigned attempt = 0; attempt < 100; ++attempt) {
    std::size_t wanted = 0, passed = 0;
    for (auto& lane : lanes_) {
      const std::span frames = lane->take(2 * kBackends);
      for (const worker::Frame& frame : frames) {
        Segment syn{
            .port = kOutside, .dst = kService, .src_port = 999, .dst_port = kServicePort, .flags = packet::kSyn};
        do {
          syn.src = ++client;
        } while (owner({IpAddress::from_v4(syn.src), IpAddress::from_v4(kService), syn.src_port, kServicePort,
                        kProtocolTcp}) != lane->index());
        write_segment(frame.mbuf, syn);
      }
      wanted += frames.size();
      lane->run(frames, now);
      for (const rte_mbuf* buffer : lane->sent()) passed += is_ip(buffer);
      lane->recycle();
    }
    for (unsigned i = 0; i < 20; ++i) {
      now += kMillisecond;
      settle();
    }
    if (passed == wanted) return;
  }
  die("neighbors stay unresolved; dropped: " + drops());
}

std::string Site::drops() const {
  std::string text;
  for (unsigned reason = 0; reason < telemetry::kDropReasons; ++reason) {
    std::uint64_t n = 0;
    for (const auto& worker : workers_) n += worker->counters().drops[reason].read();
    if (n != 0)
      text += std::string(telemetry::to_string(static_cast<telemetry::DropReason>(reason))) + " " + std::to_string(n) +
              ", ";
  }
  return text.empty() ? "nothing" : text.substr(0, text.size() - 2);
}

}  // namespace headgate::bench
