#include <cstdio>

#include "tests/bench/load.h"
#include "tests/bench/measure.h"

namespace headgate::bench {

double measure_connections(bool quick, std::uint32_t capacity) {
  // Closed flows stay 4 s. Virtual time goes by the worker's own cycles, so that expiry and port reuse run as they
  // would at full load; only what comes after the first 5 s counts.
  Site site({.flows = capacity});
  site.resolve_neighbors();
  Load load(site, 0);
  const Nanos start = site.now, warm = start + 5 * kSecond, end = warm + (quick ? 3 : 10) * kSecond;
  const double nanos_per_cycle = 1e9 / tsc_hz();
  std::array<std::vector<double>, Load::kAllPhases.size()> phases;
  std::vector<double> totals;
  while (site.now < end) {
    load.new_clients(kRing);
    double total = 0;
    for (std::size_t i = 0; i < phases.size(); ++i) {
      const Nanos before = site.now;
      const double cycles = static_cast<double>(load.pass(Load::kAllPhases[i]));
      site.now = std::max(site.now, before + static_cast<Nanos>(cycles * nanos_per_cycle));
      if (before >= warm) phases[i].push_back(cycles / kRing);
      total += cycles / kRing;
    }
    if (site.now >= warm) totals.push_back(total);
  }
  const double cycles = median(totals);
  const double per_second = tsc_hz() / cycles;
  static constexpr const char* kNames[] = {"SYN", "SYN-ACK", "ACK", "FIN", "FIN", "ACK"};
  std::printf("new TCP flows, full_nat: %.0f a second per core, %.0f cycles each (", per_second, cycles);
  for (std::size_t i = 0; i < phases.size(); ++i)
    std::printf("%s%s %.0f", i == 0 ? "" : ", ", kNames[i], median(phases[i]));
  std::printf("), %u flows in the table\n", site.lane(0).worker().flows().size());
  return per_second;
}

}  // namespace headgate::bench
