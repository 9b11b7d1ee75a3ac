#include <google/protobuf/text_format.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/snapshot/update.h"
#include "tests/bench/load.h"
#include "tests/bench/measure.h"
#include "tests/bench/resident.h"

namespace headgate::bench {
namespace {

constexpr std::uint64_t kHashKey = 42;

// The measured site's snapshot and 1,000 services with ten backends each beside it.
dataplane::v1::Snapshot large(std::uint64_t generation) {
  dataplane::v1::Snapshot m;
  if (!google::protobuf::TextFormat::ParseFromString(snapshot_text(snapshot::Mode::full_nat), &m))
    die("not a snapshot");
  m.set_generation(generation);
  std::uint32_t backend_id = 1000;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    auto& pool = *m.add_pool();
    pool.set_id(100 + i);
    pool.set_name("pool-of-service-" + std::to_string(i));
    pool.set_algorithm(dataplane::v1::ROUND_ROBIN);
    for (std::uint32_t b = 0; b < 10; ++b) {
      auto& backend = *pool.add_backend();
      backend.set_id(++backend_id);
      backend.set_name("server-" + std::to_string(backend_id));
      backend.set_address(to_string(IpAddress::from_v4(kServerNet + 0x2000 + backend_id)));
      backend.set_weight(1 + (b + static_cast<std::uint32_t>(generation)) % 3);  // something changes every time
    }
    auto& service = *m.add_service();
    service.set_id(100 + i);
    service.set_name("service-number-" + std::to_string(i));
    service.set_address(to_string(IpAddress::from_v4(0xc6336400 + i % 250)));  // 198.51.100.0/24
    service.set_port(443 + i / 250);
    service.set_protocol(dataplane::v1::TCP);
    service.set_mode(i % 2 == 0 ? dataplane::v1::NAT : dataplane::v1::FULL_NAT);
    service.set_pool_id(100 + i);
  }
  return m;
}

// The health of `changed` of the 10,000 backends flips.
dataplane::v1::StateUpdate flip(const snapshot::Snapshot& running, std::size_t changed) {
  dataplane::v1::StateUpdate update;
  update.set_base_generation(running.generation);
  update.set_generation(running.generation + 1);
  for (std::size_t i = 0; i < changed; ++i) {
    const snapshot::Backend& backend = running.backends[kBackends + i * (10'000 / changed)];
    auto& state = *update.add_backend();
    state.set_backend_id(backend.id.value);
    state.set_health(backend.up ? dataplane::v1::DOWN : dataplane::v1::UP);
    state.set_weight(backend.weight);
  }
  return update;
}

// From the message to "every worker runs it", as the box does it; milliseconds.
double apply_update(Site& site, const dataplane::v1::StateUpdate& update) {
  const auto start = std::chrono::steady_clock::now();
  auto next = snapshot::update(
      update, {.running = site.publisher().current().get(), .slots = site.source().slots(), .hash_key = kHashKey});
  if (!next) die("refused: " + next.error().errors[0].path + ": " + next.error().errors[0].message);
  site.publisher().publish(std::move(*next));
  if (!site.publisher().wait_until_running(update.generation(), std::chrono::seconds(5)))
    die("the worker does not take the update");
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void measure_updates(Site& site, std::size_t changed, unsigned rounds) {
  std::vector<double> times;
  for (unsigned i = 0; i < rounds; ++i) {
    times.push_back(apply_update(site, flip(*site.publisher().current(), changed)));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::ranges::sort(times);
  std::printf("states of %zu of 10,000 backends: applied in %.2f ms (99%% within %.2f, slowest %.2f)\n", changed,
              median(times), times[times.size() * 99 / 100], times.back());
}

}  // namespace

void measure_snapshot(bool quick) {
  Site site({});
  site.resolve_neighbors();
  Load load(site, 0);
  load.grow(quick ? 200'000 : 1'000'000);

  // Traffic at full speed on its own thread; what goes in must come out.
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> lost{0}, passed{0};
  std::thread traffic([&] {
    Rng rng(5);
    Lane& lane = site.lane(0);
    Nanos now = site.now;
    while (!stop.load(std::memory_order_relaxed)) {
      const std::span frames = lane.take(kRing);
      load.write_data(frames, rng);
      lane.run(frames, now);
      std::size_t sent = 0;
      for (const rte_mbuf* buffer : lane.sent()) sent += is_ip(buffer);
      lost += kRing - std::min<std::size_t>(sent, kRing);
      passed += sent;
      lane.recycle();
    }
  });

  snapshot::SlotTable& slots = site.source().slots();
  const std::vector<std::string> ports{"p0", "p1"};
  std::vector<double> times;
  double steady = 0, peak_ratio = 0;
  for (std::uint64_t generation = 2; generation < 13; ++generation) {
    const dataplane::v1::Snapshot message = large(generation);
    malloc_trim(0);
    reset_peak();
    const double before = resident_mib();
    const auto start = std::chrono::steady_clock::now();
    auto built = snapshot::build(
        message,
        {.port_names = ports, .previous = site.publisher().current().get(), .slots = slots, .hash_key = kHashKey});
    if (!built) die("refused: " + built.error()[0].path + ": " + built.error()[0].message);
    site.publisher().publish(*built);
    built->reset();
    if (!site.publisher().wait_until_running(generation, std::chrono::seconds(5)))
      die("the worker does not take the snapshot");
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    if (generation == 2) continue;  // from one service to 1,001: not steady yet
    times.push_back(took.count());
    steady = before;
    peak_ratio = std::max(peak_ratio, peak_mib() / before);
  }
  measure_updates(site, 1, quick ? 101 : 1001);
  measure_updates(site, 5000, quick ? 21 : 201);
  stop = true;
  traffic.join();
  std::printf(
      "snapshot of 1,001 services, 10,064 backends: applied in %.1f ms (slowest %.1f); process %.1f MiB, peak %.2f "
      "times that; "
      "%llu packets meanwhile, %llu lost\n",
      median(times), *std::max_element(times.begin(), times.end()), steady, peak_ratio,
      static_cast<unsigned long long>(passed.load()), static_cast<unsigned long long>(lost.load()));
}

}  // namespace headgate::bench
