#include <cstdio>
#include <memory>

#include "tests/bench/load.h"
#include "tests/bench/measure.h"

namespace headgate::bench {
namespace {

struct Cost {
  double cycles = 0, quiet = 0;  // per packet: median and tenth percentile of the rounds
};

Cost measure(Site& site, const Load& load, unsigned rounds) {
  Rng rng(11);
  Lane& lane = site.lane(0);
  const bool encapsulated = site.mode() == snapshot::Mode::tunnel;
  std::vector<double> cycles;
  for (unsigned round = 0; round < rounds + 3; ++round) {
    const std::span frames = lane.take(kRing);
    load.write_data(frames, rng);
    const double cost = static_cast<double>(lane.run(frames, site.now)) / kRing;
    if (round >= 3) cycles.push_back(cost);  // the first ones warm up
    std::size_t sound = 0;
    for (const rte_mbuf* buffer : lane.sent()) sound += is_ip(buffer) && is_sound(buffer, encapsulated);
    if (sound != kRing)
      die("of 2048 frames only " + std::to_string(sound) + " came out right; dropped: " + site.drops());
    lane.recycle();
    site.settle();
  }
  std::sort(cycles.begin(), cycles.end());
  return {median(cycles), cycles[cycles.size() / 10]};
}

}  // namespace

std::vector<ForwardResult> measure_forward(std::span<const snapshot::Mode> modes, std::span<const std::uint32_t> flows,
                                           unsigned rounds, bool quick) {
  std::vector<ForwardResult> results;
  std::printf("%-10s %12s %18s %10s %10s\n", "mode", "flows", "cycles per packet", "quietest", "Mpps");
  for (const snapshot::Mode mode : modes) {
    std::unique_ptr<Site> site;
    std::unique_ptr<Load> load;
    std::uint32_t capacity = 0;
    for (const std::uint32_t wanted : flows) {
      if (quick && mode != modes.front() && wanted > 1'000'000) continue;
      // The default table up to 1 M flows, a larger one beyond, with room for the few half-open flows of the set-up.
      if (wanted + 10000 > capacity) {
        capacity = std::max(1u << 20, wanted + wanted / 20);
        load.reset();
        site.reset();
        site = std::make_unique<Site>(SiteOptions{.mode = mode, .flows = capacity});
        site->resolve_neighbors();
        load = std::make_unique<Load>(*site, 0);
      }
      load->grow(wanted);
      const Cost cost = measure(*site, *load, rounds);
      results.push_back({mode, wanted, cost.cycles, tsc_hz() / cost.cycles / 1e6});
      std::printf("%-10s %12u %18.1f %10.1f %10.2f\n", name_of(mode), wanted, cost.cycles, cost.quiet,
                  results.back().mpps);
      std::fflush(stdout);
    }
  }
  return results;
}

}  // namespace headgate::bench
