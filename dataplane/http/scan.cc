#include "dataplane/http/scan.h"

#include <immintrin.h>

#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/http/chars.h"

namespace headgate::http {
namespace {

template <CharClass kClass>
std::size_t find_scalar(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && is(text[at], kClass)) ++at;
  return at;
}

// A byte is a tchar when the entry of its low nibble has the bit of its high nibble (0 to 7; obs-text has none).
constexpr std::array<char, 16> token_rows() {
  std::array<char, 16> rows{};
  for (unsigned c = 0; c < 128; ++c) {
    if (is(static_cast<char>(c), kToken)) rows[c & 15] = static_cast<char>(rows[c & 15] | 1 << (c >> 4));
  }
  return rows;
}
alignas(16) constexpr auto kTokenRows = token_rows();
alignas(16) constexpr std::array<char, 16> kHighBits{1, 2, 4, 8, 16, 32, 64, static_cast<char>(128),
                                                     0, 0, 0, 0, 0,  0,  0,  0};

// Each gives 0xff for bytes that are not of the class.
struct Sse42 {
  using Vector = __m128i;
  static Vector load(const char* from) { return _mm_loadu_si128(reinterpret_cast<const Vector*>(from)); }
  static std::uint32_t mask(Vector v) { return static_cast<std::uint32_t>(_mm_movemask_epi8(v)); }

  static Vector not_token(Vector v) {
    const Vector rows = _mm_load_si128(reinterpret_cast<const Vector*>(kTokenRows.data()));
    const Vector bits = _mm_load_si128(reinterpret_cast<const Vector*>(kHighBits.data()));
    const Vector nibble = _mm_set1_epi8(15);
    const Vector row = _mm_shuffle_epi8(rows, _mm_and_si128(v, nibble));
    const Vector bit = _mm_shuffle_epi8(bits, _mm_and_si128(_mm_srli_epi16(v, 4), nibble));
    return _mm_cmpeq_epi8(_mm_and_si128(row, bit), _mm_setzero_si128());
  }
  static Vector not_value(Vector v) {
    const Vector control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    const Vector tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
    return _mm_or_si128(_mm_andnot_si128(tab, control), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
  }
  static Vector not_target(Vector v) {
    const Vector low = _mm_cmpgt_epi8(_mm_set1_epi8(0x21), v);  // signed: obs-text, too
    const Vector odd = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('#')), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
    return _mm_or_si128(low, odd);
  }
};

using Sse42Class = __m128i (*)(__m128i);

template <Sse42Class kNot, CharClass kClass>
std::size_t find_sse42(std::string_view text) {
  std::size_t at = 0;
  for (; at + 16 <= text.size(); at += 16) {
    const std::uint32_t found = Sse42::mask(kNot(Sse42::load(text.data() + at)));
    if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(found));
  }
  return at + find_scalar<kClass>(text.substr(at));
}

#define HEADGATE_AVX2 __attribute__((target("avx2")))

HEADGATE_AVX2 inline __m256i broadcast(const char* sixteen) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(sixteen)));
}
HEADGATE_AVX2 inline __m256i avx2_not_token(__m256i v) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i row = _mm256_shuffle_epi8(broadcast(kTokenRows.data()), _mm256_and_si256(v, nibble));
  const __m256i bit =
      _mm256_shuffle_epi8(broadcast(kHighBits.data()), _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble));
  return _mm256_cmpeq_epi8(_mm256_and_si256(row, bit), _mm256_setzero_si256());
}
HEADGATE_AVX2 inline __m256i avx2_not_value(__m256i v) {
  const __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
  const __m256i tab = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t'));
  return _mm256_or_si256(_mm256_andnot_si256(tab, control), _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f)));
}
HEADGATE_AVX2 inline __m256i avx2_not_target(__m256i v) {
  const __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x21), v);
  const __m256i odd =
      _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('#')), _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f)));
  return _mm256_or_si256(low, odd);
}

// Sixteen bytes first: most names and many values end there, and the wide unit is not worth waking for them.
template <__m256i (*kNot)(__m256i), Sse42Class kNotNarrow, CharClass kClass>
HEADGATE_AVX2 std::size_t find_avx2(std::string_view text) {
  std::size_t at = 0;
  if (text.size() >= 16) {
    const std::uint32_t found = Sse42::mask(kNotNarrow(Sse42::load(text.data() + at)));
    if (found != 0) return static_cast<std::size_t>(std::countr_zero(found));
    at = 16;
  }
  for (; at + 32 <= text.size(); at += 32) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text.data() + at));
    const auto found = static_cast<std::uint32_t>(_mm256_movemask_epi8(kNot(v)));
    if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(found));
  }
  return at + find_sse42<kNotNarrow, kClass>(text.substr(at));
}

}  // namespace

const Scanner kScalarScanner{"scalar", find_scalar<kToken>, find_scalar<kValue>, find_scalar<kTarget>};
const Scanner kSse42Scanner{"sse4.2", find_sse42<Sse42::not_token, kToken>, find_sse42<Sse42::not_value, kValue>,
                            find_sse42<Sse42::not_target, kTarget>};
const Scanner kAvx2Scanner{"avx2", find_avx2<avx2_not_token, Sse42::not_token, kToken>,
                           find_avx2<avx2_not_value, Sse42::not_value, kValue>,
                           find_avx2<avx2_not_target, Sse42::not_target, kTarget>};

bool has_avx2() {
  return __builtin_cpu_supports("avx2") != 0;
}

const Scanner& best_scanner() {
  return has_avx2() ? kAvx2Scanner : kSse42Scanner;
}

}  // namespace headgate::http
