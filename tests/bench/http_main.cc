// headgate-bench-http: the client of tools/bench http. One load on one target, see http_load.h.
//
// It prints "begin" and "end" when it begins and ends to measure, so that others can look at the machine at these
// moments, then its figures as JSON. `tsc_hz` is what the time-stamp counter did meanwhile.
#include <sys/prctl.h>
#include <x86intrin.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "tests/bench/http_load.h"

namespace {

using headgate::kSecond;
using headgate::Nanos;
using headgate::bench::HttpLoad;
using headgate::bench::LoadOptions;
using headgate::bench::LoadResult;

double microseconds(Nanos time) {
  return static_cast<double>(time) / static_cast<double>(headgate::kMicrosecond);
}

void print(const LoadResult& result, double cycles) {
  const double seconds = static_cast<double>(result.time) / static_cast<double>(kSecond);
  std::printf(
      "{\"requests\": %lu, \"bytes\": %lu, \"failed\": %lu, \"failure\": \"%s\", \"reopened\": %lu, \"seconds\": %.6f, "
      "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"tsc_hz\": %.0f}\n",
      result.requests, result.bytes, result.failed, result.failure.c_str(), result.reopened, seconds,
      microseconds(result.percentile(0.5)), microseconds(result.percentile(0.99)), microseconds(result.percentile(1)),
      cycles / seconds);
}

int run(int argc, char** argv) {
  CLI::App app{"loads an HTTP server, see the head of tests/bench/http_load.h"};
  LoadOptions options;
  std::string target;
  double seconds = 5, warm_up = 1;
  app.add_option("target", target, "ADDRESS:PORT, [ADDRESS]:PORT")->required();
  app.add_option("--path", options.path, "what is asked for");
  app.add_option("--connections", options.connections, "at once")->check(CLI::Range(1, 10'000));
  app.add_option("--rate", options.rate, "requests per second at random times; 0: as fast as they are answered");
  app.add_flag("--close", options.close, "a connection for each request");
  app.add_option("--seconds", seconds, "measured");
  app.add_option("--warm-up", warm_up, "seconds before");
  CLI11_PARSE(app, argc, argv);
  const auto parsed = headgate::bench::parse_http_target(target);
  if (!parsed) {
    std::fprintf(stderr, "headgate-bench-http: %s\n", parsed.error().message.c_str());
    return 1;
  }
  options.target = *parsed;
  options.duration = static_cast<Nanos>(seconds * static_cast<double>(kSecond));
  options.warm_up = static_cast<Nanos>(warm_up * static_cast<double>(kSecond));
  prctl(PR_SET_TIMERSLACK, 1);  // 50 us otherwise, by which every request would be late

  std::uint64_t cycles = 0;
  HttpLoad load(options, [&cycles](bool begins) {
    std::puts(begins ? "begin" : "end");
    std::fflush(stdout);
    cycles = __rdtsc() - cycles;  // at the end: since the beginning
  });
  const LoadResult result = load.run();
  print(result, static_cast<double>(cycles));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // third-party code; our own does not throw
    std::fprintf(stderr, "headgate-bench-http: %s\n", error.what());
    return 1;
  }
}
