// Reads a byte and forgets it: for tables whose lines are in no cache and whose pages are in no TLB, where a prefetch
// may be dropped. A load is not, and many that do not depend on each other wait side by side. Measure before you use
// it: tcp's connections (five lines each) gained a quarter, flows (two lines, prefetched in a loop of their own) lost.
#pragma once

namespace headgate {

inline void touch(const void* address) {
  asm volatile("" : : "r"(*static_cast<const volatile char*>(address)));
}

}  // namespace headgate
