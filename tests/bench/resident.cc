#include "tests/bench/resident.h"

#include <fstream>
#include <string>

namespace headgate::bench {
namespace {

double status_mib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == key && status >> kib) return kib / 1024;
  }
  return 0;
}

}  // namespace

double resident_mib() {
  return status_mib("VmRSS:");
}
double peak_mib() {
  return status_mib("VmHWM:");
}
void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

}  // namespace headgate::bench
