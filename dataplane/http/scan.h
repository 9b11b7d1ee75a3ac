// Where a run of bytes of one class ends: the inner loops of the parser, sixteen or thirty-two bytes at a time. Three
// builds of each, equal on every input (tested and fuzzed): scalar, SSE4.2 (in the baseline of the product) and AVX2
// (asked from the CPU at run time). None reads beyond the text.
#pragma once

#include <cstddef>
#include <string_view>

namespace headgate::http {

struct Scanner {
  // Index of the first byte that is not of the class; size() when all are.
  using Find = std::size_t (*)(std::string_view text);

  const char* name;
  Find token;   // of CharClass::kToken
  Find value;   // of CharClass::kValue
  Find target;  // of CharClass::kTarget
};

extern const Scanner kScalarScanner;
extern const Scanner kSse42Scanner;
extern const Scanner kAvx2Scanner;  // Requires: has_avx2()

bool has_avx2();
// The fastest that this CPU runs. Asks the CPU: once at start, not once a message.
const Scanner& best_scanner();

}  // namespace headgate::http
