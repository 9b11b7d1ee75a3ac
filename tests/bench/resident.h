// Memory of this process as the kernel counts it, in MiB.
#pragma once

namespace headgate::bench {

double resident_mib();
// The most it was since reset_peak().
double peak_mib();
void reset_peak();

}  // namespace headgate::bench
