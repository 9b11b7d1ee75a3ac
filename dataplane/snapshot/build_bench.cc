// Time and memory of building a large snapshot, and time of changing states on top of it: `snapshot_bench [maglev
// pools]`. 1,000 services, 10,000 backends.
// Not a test: a build that became slow shows here, a busy machine would show in a test.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "dataplane/api/dataplane.pb.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/snapshot/update.h"

namespace {
// Bytes now allocated, and the most there ever were: every allocation of this process goes through here.
std::size_t g_live = 0, g_peak = 0;
}  // namespace

void* operator new(std::size_t size) {
  void* p = std::malloc(size);
  if (p == nullptr) std::abort();
  g_live += malloc_usable_size(p);
  if (g_live > g_peak) g_peak = g_live;
  return p;
}
void operator delete(void* p) noexcept {
  if (p != nullptr) g_live -= malloc_usable_size(p);
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  operator delete(p);
}

namespace headgate::snapshot {
namespace {

constexpr std::uint32_t kServices = 1000, kBackendsEach = 10;

dataplane::v1::Snapshot large(std::uint32_t maglev_pools) {
  dataplane::v1::Snapshot m;
  m.set_generation(1);
  auto& outside = *m.add_interface();
  outside.set_id(1);
  outside.set_name("outside");
  outside.set_port("p0");
  outside.add_prefix("100.64.0.0/16");
  auto& inside = *m.add_interface();
  inside.set_id(2);
  inside.set_name("inside");
  inside.set_port("p1");
  inside.add_prefix("10.0.0.0/8");
  for (std::uint32_t i = 1; i <= 8; ++i) {
    auto& local = *m.add_local_address();
    local.set_id(i);
    local.set_address(to_string(IpAddress::from_v4(0x0a010000 + i)));
  }
  std::uint32_t backend_id = 0;
  for (std::uint32_t i = 1; i <= kServices; ++i) {
    auto& pool = *m.add_pool();
    pool.set_id(i);
    pool.set_name("pool-of-service-" + std::to_string(i));
    pool.set_algorithm(i <= maglev_pools ? dataplane::v1::MAGLEV : dataplane::v1::ROUND_ROBIN);
    for (std::uint32_t b = 0; b < kBackendsEach; ++b) {
      auto& backend = *pool.add_backend();
      backend.set_id(++backend_id);
      backend.set_name("server-" + std::to_string(backend_id));
      backend.set_address(to_string(IpAddress::from_v4(0x0a020000 + backend_id)));
      backend.set_weight(1 + b % 3);
    }
    auto& service = *m.add_service();
    service.set_id(i);
    service.set_name("service-number-" + std::to_string(i));
    service.set_address(to_string(IpAddress::from_v4(0x64400000 + 1 + i)));
    service.set_port(443);
    service.set_protocol(dataplane::v1::TCP);
    service.set_mode(i % 2 == 0 ? dataplane::v1::NAT : dataplane::v1::FULL_NAT);
    service.set_pool_id(i);
  }
  m.mutable_probe()->set_port("p0");
  m.mutable_probe()->set_prefix_v4("198.18.0.0/15");
  return m;
}

void run(const dataplane::v1::Snapshot& message, SlotTable& slots, const Snapshot* previous, const char* what,
         std::shared_ptr<const Snapshot>& result) {
  const std::string ports[] = {"p0", "p1"};
  const std::size_t before = g_live;
  g_peak = g_live;
  const auto start = std::chrono::steady_clock::now();
  auto built = build(message, {.port_names = ports, .previous = previous, .slots = slots, .hash_key = 1});
  const auto took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  if (!built) {
    std::printf("%s: %s\n", built.error()[0].path.c_str(), built.error()[0].message.c_str());
    std::exit(1);
  }
  result = *built;
  const double steady = static_cast<double>(g_live - before) / 1048576;
  const double peak = static_cast<double>(g_peak - before) / 1048576;
  std::printf("%-40s %8.1f ms   steady %6.2f MiB   peak %6.2f MiB (%.2f x)\n", what, took, steady, peak, peak / steady);
}

// Health of `changed` backends flips, `rounds` times.
void run_updates(std::uint32_t changed, unsigned rounds, const SlotTable& slots,
                 std::shared_ptr<const Snapshot>& running, const char* what) {
  std::vector<double> times;
  for (unsigned round = 0; round < rounds; ++round) {
    dataplane::v1::StateUpdate message;
    message.set_base_generation(running->generation);
    message.set_generation(running->generation + 1);
    for (std::uint32_t i = 0; i < changed; ++i) {
      const Backend& backend = running->backends[i * (running->backends.size() / changed)];
      auto& state = *message.add_backend();
      state.set_backend_id(backend.id.value);
      state.set_health(backend.up ? dataplane::v1::DOWN : dataplane::v1::UP);
      state.set_weight(backend.weight);
    }
    const auto start = std::chrono::steady_clock::now();
    auto updated = update(message, {.running = running.get(), .slots = slots, .hash_key = 1});
    if (!updated) std::exit(1);
    running = std::move(*updated);  // and frees the one before
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::ranges::sort(times);
  std::printf("%-40s %8.3f ms   slowest %.3f ms\n", what, times[times.size() / 2], times.back());
}

}  // namespace
}  // namespace headgate::snapshot

int main(int argc, char** argv) {
  using namespace headgate::snapshot;
  const auto message = large(argc > 1 ? static_cast<std::uint32_t>(std::atoi(argv[1])) : 0);
  SlotTable slots(1);
  std::shared_ptr<const Snapshot> first, second;
  run(message, slots, nullptr, "first build", first);
  run(message, slots, first.get(), "next build, tables shared", second);
  first.reset();
  run_updates(1, 501, slots, second, "health of 1 changed, median");
  run_updates(5000, 101, slots, second, "health of 5,000 changed, median");
}
