// headgate-bench-tcp: what the TCP engine costs on plain memory, without ports and without checksums. See --help.
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/base/rng.h"
#include "dataplane/tcp/engine.h"
#include "dataplane/tcp/testing.h"
#include "tests/bench/resident.h"

namespace headgate::bench {
namespace {

using namespace headgate::tcp;  // NOLINT: a program, not a header

constexpr const char* kHelp =
    "headgate-bench-tcp [--quick] [--json FILE] [--cpu N] [--connections N] [--rounds N]\n"
    "  segment  ns for a 64-byte segment in order, of a random connection of 1 k, 100 k and 1 M, in bursts of 32,\n"
    "           with the application's read, the acknowledgment and the timers\n"
    "  accept   us for a connection: SYN, ACK, FIN, close, ACK\n"
    "  idle     bytes that an idle connection keeps resident, its share of the table included\n"
    "--connections restricts segment to one row; --rounds: bursts of a row (for callgrind).\n";

constexpr std::size_t kBurst = 32;
constexpr std::uint32_t kPayload = 64;
constexpr std::uint16_t kPort = 80;

// Reads and consumes everything at once, closes when the peer does.
class Reader : public Events {
 public:
  void accepted(ConnectionId, std::uint16_t) override { ++accepted_count; }
  void connected(ConnectionId) override {}
  void data(ConnectionId id) override {
    const Chain chain = engine->receive(id);
    engine->consume(id, chain.bytes());
  }
  void writable(ConnectionId) override {}
  void fin(ConnectionId id) override { engine->shutdown(id); }
  void reset(ConnectionId, CloseReason) override { HEADGATE_CHECK(false); }
  void closed(ConnectionId, CloseReason) override { ++closed_count; }
  Engine* engine = nullptr;
  std::uint64_t accepted_count = 0, closed_count = 0;
};

// Clients of one engine, as small as can be: what each would send next.
class Clients {
 public:
  explicit Clients(std::uint32_t count)
      : states_(count), buffer_(pool_.with(std::vector<std::uint8_t>(kPayload, 'x'))) {
    Config config;
    config.connections = count + 64;
    config.half_open = 4096;
    config.time_waits = 4096;
    config.pieces = 65536;
    config.memory = 1ull << 30;
    engine_ = std::make_unique<Engine>(config, reader_, pool_, now_);
    reader_.engine = engine_.get();
    HEADGATE_CHECK(engine_->listen(IpAddress::from_v4(0xc0000264), kPort).has_value());
  }
  ~Clients() {
    engine_.reset();
    drop_reference(buffer_);
  }

  void open(std::uint32_t i) {
    send(i, kSyn);
    engine_->flush(now_);
    HEADGATE_CHECK(engine_->output().size() == 1);
    states_[i].ack = load_be32(&engine_->output()[0].header[4]) + 1;
    engine_->clear_output();
    ++states_[i].seq;
    send(i, kAck);
    engine_->flush(now_);
    engine_->clear_output();
  }
  void close(std::uint32_t i) {
    send(i, kFin | kAck);
    ++states_[i].seq;
    engine_->flush(now_);
    ++states_[i].ack;
    engine_->clear_output();
    send(i, kAck);
    engine_->flush(now_);
    engine_->clear_output();
    states_[i].seq += 100'000;
  }
  void data(std::span<const std::uint32_t> chosen) {
    std::array<Segment, kBurst> burst;
    const Slice slice{buffer_, 0, kPayload};
    for (std::size_t n = 0; n < chosen.size(); ++n) {
      burst[n] = segment(chosen[n], kAck);
      burst[n].payload = {&slice, 1};
      burst[n].payload_length = kPayload;
      states_[chosen[n]].seq += kPayload;
    }
    engine_->input(std::span<const Segment>(burst.data(), chosen.size()), now_);
  }
  void turn() {
    now_ += 8 * kMicrosecond;
    engine_->advance(now_);
    engine_->flush(now_);
    engine_->clear_output();
  }
  std::uint32_t count() const { return static_cast<std::uint32_t>(states_.size()); }
  const Reader& reader() const { return reader_; }
  void prefetch(std::uint32_t i) const { __builtin_prefetch(&states_[i]); }

 private:
  struct State {
    std::uint32_t seq = 1, ack = 0;
  };
  Segment segment(std::uint32_t i, std::uint8_t flags) const {
    Segment s;
    s.tuple = {IpAddress::from_v4(0x0a000000u + i / 50'000), IpAddress::from_v4(0xc0000264),
               static_cast<std::uint16_t>(1024 + i % 50'000), kPort, kProtocolTcp};
    s.header.flags = flags;
    s.header.seq = {states_[i].seq};
    s.header.ack = {states_[i].ack};
    s.header.window = 65535;
    return s;
  }
  void send(std::uint32_t i, std::uint8_t flags) { engine_->input(segment(i, flags), now_); }

  Nanos now_ = 1000 * kSecond;
  std::vector<State> states_;
  tcp::testing::MemoryPool pool_;
  Reader reader_;
  Buffer* buffer_;
  std::unique_ptr<Engine> engine_;
};

// Processor time: what else runs on the machine does not count, only what it does to the caches.
double now_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Row {
  std::uint32_t connections;
  double segment_ns, idle_bytes;
};

Row measure_segments(std::uint32_t count, unsigned rounds) {
  const double before = resident_mib();
  Clients clients(count);
  for (std::uint32_t i = 0; i < count; ++i) clients.open(i);
  const double idle = (resident_mib() - before) * 1048576 / count - 8;  // less what a client here is
  Rng rng(1);
  std::vector<double> samples;
  for (unsigned batch = 0; batch < 11; ++batch) {
    const double start = now_ns();
    for (unsigned r = 0; r < rounds; ++r) {
      std::array<std::uint32_t, kBurst> chosen;
      for (std::uint32_t& i : chosen) {
        i = rng.below(count);
        clients.prefetch(i);
      }
      clients.data(chosen);
      clients.turn();
    }
    samples.push_back((now_ns() - start) / (static_cast<double>(rounds) * kBurst));
  }
  return {count, median(samples), idle};
}

double measure_accepts(unsigned count) {
  Clients clients(1000);
  std::vector<double> samples;
  for (unsigned batch = 0; batch < 11; ++batch) {
    const double start = now_ns();
    for (unsigned n = 0; n < count; ++n) {
      clients.open(n % clients.count());
      clients.close(n % clients.count());
      if (n % 16 == 0) clients.turn();
    }
    samples.push_back((now_ns() - start) / count / 1000);
  }
  HEADGATE_CHECK(clients.reader().closed_count == std::uint64_t{count} * 11);
  return median(samples);
}

struct Options {
  std::string json;
  bool quick = false;
  int cpu = -1;
  unsigned rounds = 0;
  std::vector<std::uint32_t> connections{1'000, 100'000, 1'000'000};
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string_view a = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (a == "--quick") {
      o.quick = true;
    } else if (a == "--json") {
      o.json = value();
    } else if (a == "--cpu") {
      o.cpu = std::atoi(value());
    } else if (a == "--rounds") {
      o.rounds = static_cast<unsigned>(std::atoi(value()));
    } else if (a == "--connections") {
      o.connections = {static_cast<std::uint32_t>(std::max(1, std::atoi(value())))};
    } else {
      std::fputs(kHelp, a == "--help" ? stdout : stderr);
      std::exit(a == "--help" ? 0 : 2);
    }
  }
  if (o.rounds == 0) o.rounds = o.quick ? 2'000 : 20'000;
  return o;
}

int run(const Options& o) {
  if (o.cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(o.cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) std::fprintf(stderr, "not pinned: no processor %d\n", o.cpu);
  }
  std::string rows;
  double idle = 0;
  for (const std::uint32_t count : o.connections) {
    const Row row = measure_segments(count, o.rounds);
    std::printf("segment in order, %8u connections: %6.1f ns, %5.0f bytes resident per idle connection\n",
                row.connections, row.segment_ns, row.idle_bytes);
    std::fflush(stdout);
    rows += (rows.empty() ? "\"" : ",\"") + std::to_string(count) + "\":" + std::to_string(row.segment_ns);
    idle = row.idle_bytes;
  }
  const double accept = measure_accepts(o.quick ? 5'000 : 50'000);
  std::printf("accept and close: %.2f us\n", accept);
  if (!o.json.empty()) {
    std::ofstream out(o.json);
    out << "{\"tcp\":{\"segment_ns\":{" << rows << "},\"accept_close_us\":" << accept << ",\"idle_bytes\":" << idle
        << "}}\n";
    if (!out) {
      std::fprintf(stderr, "cannot write %s: %s\n", o.json.c_str(), std::strerror(errno));
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace headgate::bench

int main(int argc, char** argv) {
  try {
    return headgate::bench::run(headgate::bench::parse(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
