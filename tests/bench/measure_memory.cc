#include <malloc.h>
#include <unistd.h>

#include <cstdio>

#include "tests/bench/load.h"
#include "tests/bench/measure.h"
#include "tests/bench/resident.h"

namespace headgate::bench {

void measure_memory() {
  constexpr std::uint32_t kFlows = 1'000'000;
  const double start = resident_mib();
  Site site({});
  site.resolve_neighbors();
  const double empty = resident_mib();
  Load load(site, 0);
  load.grow(kFlows);
  const double known = static_cast<double>(kFlows * sizeof(KnownFlow)) / 1048576;  // the bench's own
  const double full = resident_mib() - known;
  const worker::Worker& worker = site.lane(0).worker();
  std::printf(
      "memory: 1 M full_nat flows and their worker %.1f MiB resident (empty worker %.1f, flow table %.1f, ports "
      "%.1f)\n",
      full - start, empty - start, static_cast<double>(worker.flows().bytes()) / 1048576,
      static_cast<double>(worker.ports().bytes_touched()) / 1048576);
}

}  // namespace headgate::bench
