// headgate-bench-forward: what a worker costs, on memory ports. See --help.
#include <rte_cycles.h>
#include <sched.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/bench/measure.h"
#include "tests/bench/site.h"

namespace headgate::bench {

using snapshot::Mode;

double tsc_hz() {
  static const double hz = static_cast<double>(rte_get_tsc_hz());
  return hz;
}

const char* name_of(Mode mode) {
  static constexpr const char* kNames[] = {"full_nat", "nat", "dsr", "tunnel"};
  return kNames[static_cast<unsigned>(mode)];
}

namespace {

constexpr const char* kHelp =
    "headgate-bench-forward WHAT [--quick] [--json FILE] [--mode MODE] [--flows N] [--rounds N] [--table N] [--cpu N]\n"
    "  forward      cycles per packet of established flows, each mode, 1 k to 10 M flows\n"
    "  connections  new TCP flows per second\n"
    "  workers      two workers on two processors beside one\n"
    "  memory       what 1 M flows keep resident\n"
    "  snapshot     1,000 services with 10,000 backends applied under traffic, and changes of states on top\n"
    "--table: capacity of the flow table of connections.\n"
    "--mode and --flows restrict forward to one row; --rounds of 2,048 packets each, default 501. --cpu: processor to "
    "run on, default 1.\n"
    "Cycles are those of the time-stamp counter.\n";

struct Options {
  std::string what, json;
  bool quick = false;
  std::vector<Mode> modes{Mode::full_nat, Mode::nat, Mode::dsr, Mode::tunnel};
  std::vector<std::uint32_t> flows{1'000, 100'000, 1'000'000, 10'000'000};
  unsigned cpu = 1;
  unsigned rounds = 0;
  std::uint32_t table = 6'000'000;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) die(std::string(argument) + " needs a value");
      return argv[++i];
    };
    if (argument == "--help") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    } else if (argument == "--quick") {
      options.quick = true;
    } else if (argument == "--json") {
      options.json = value();
    } else if (argument == "--cpu") {
      options.cpu = static_cast<unsigned>(std::atoi(value().c_str()));
    } else if (argument == "--rounds") {
      options.rounds = static_cast<unsigned>(std::atoi(value().c_str()));
    } else if (argument == "--flows") {
      options.flows = {static_cast<std::uint32_t>(std::atoi(value().c_str()))};
    } else if (argument == "--table") {
      options.table = static_cast<std::uint32_t>(std::atoi(value().c_str()));
    } else if (argument == "--mode") {
      const std::string name = value();
      std::erase_if(options.modes, [&](Mode mode) { return name != name_of(mode); });
      if (options.modes.empty()) die("no mode " + name);
    } else if (options.what.empty() && argument[0] != '-') {
      options.what = argument;
    } else {
      die("what is " + std::string(argument) + "? Try --help");
    }
  }
  if (options.rounds == 0) options.rounds = options.quick ? 101 : 501;
  return options;
}

void write_forward(std::ofstream& out, const std::vector<ForwardResult>& results) {
  const char* separator = "";
  out << "{\"forward\":[";
  for (const ForwardResult& r : results) {
    char row[160];
    std::snprintf(row, sizeof row, "%s\n{\"mode\":\"%s\",\"flows\":%u,\"cycles_per_packet\":%.1f,\"mpps\":%.2f}",
                  separator, name_of(r.mode), r.flows, r.cycles_per_packet, r.mpps);
    out << row;
    separator = ",";
  }
  out << "]}\n";
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  start_eal();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(options.cpu, &set);
  if (options.what != "workers" && options.what != "snapshot" && sched_setaffinity(0, sizeof set, &set) != 0) {
    std::fprintf(stderr, "not pinned: there is no processor %u\n", options.cpu);
  }
  setpriority(PRIO_PROCESS, 0, -20);  // where allowed: less is evicted from the caches by others
  std::ofstream json;
  if (!options.json.empty()) {
    json.open(options.json);
    if (!json) die("cannot write " + options.json + ": " + std::strerror(errno));
  }
  if (options.what == "forward") {
    const auto results = measure_forward(options.modes, options.flows, options.rounds, options.quick);
    if (json.is_open()) write_forward(json, results);
  } else if (options.what == "connections") {
    const double per_second = measure_connections(options.quick, options.table);
    if (json.is_open()) json << "{\"connections\":{\"per_second\":" << static_cast<std::uint64_t>(per_second) << "}}\n";
  } else if (options.what == "workers") {
    measure_workers(options.quick);
  } else if (options.what == "memory") {
    measure_memory();
  } else if (options.what == "snapshot") {
    measure_snapshot(options.quick);
  } else {
    std::fputs(kHelp, stderr);
    return 2;
  }
  return 0;
}

}  // namespace headgate::bench

int main(int argc, char** argv) {
  return headgate::bench::main(argc, argv);
}
