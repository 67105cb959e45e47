#include "sha256.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(PHONEMO_PORTABLE)
#include <cpuid.h>
#include <immintrin.h>
#define PHONEMO_SHA_INSTRUCTIONS 1
#endif

namespace phonemo {
namespace {

alignas(16) constexpr std::uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t turned(std::uint32_t word, int bits) { return word >> bits | word << (32 - bits); }

void schedule(const unsigned char* block, std::uint32_t* words) {
  for (int at = 0; at < 16; ++at) {
    const unsigned char* byte = block + 4 * at;
    words[at] = std::uint32_t{byte[0]} << 24 | std::uint32_t{byte[1]} << 16 |
                std::uint32_t{byte[2]} << 8 | byte[3];
  }
  for (int at = 16; at < 64; ++at) {
    const std::uint32_t near = words[at - 2], far = words[at - 15];
    const std::uint32_t low = turned(far, 7) ^ turned(far, 18) ^ far >> 3;
    const std::uint32_t high = turned(near, 17) ^ turned(near, 19) ^ near >> 10;
    words[at] = words[at - 16] + low + words[at - 7] + high;
  }
}

void process_portably(std::uint32_t* state, const unsigned char* data, std::size_t blocks) {
  for (; blocks > 0; --blocks, data += 64) {
    std::uint32_t words[64], s[8];
    schedule(data, words);
    std::memcpy(s, state, sizeof s);
    for (int at = 0; at < 64; ++at) {
      const std::uint32_t high = turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25);
      const std::uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
      const std::uint32_t first = s[7] + high + choice + kRound[at] + words[at];
      const std::uint32_t low = turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22);
      const std::uint32_t second = low + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      std::memmove(s + 1, s, 7 * sizeof *s);
      s[4] += first;
      s[0] = first + second;
    }
    for (int at = 0; at < 8; ++at) state[at] += s[at];
  }
}

#ifdef PHONEMO_SHA_INSTRUCTIONS

bool has_instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
}

__attribute__((target("sha,sse4.1,ssse3"))) void process_fast(std::uint32_t* state,
                                                              const unsigned char* data,
                                                              std::size_t blocks) {
  const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  // the instructions hold the state as (a, b, e, f) and (c, d, g, h)
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<__m128i*>(state)), 0xB1);
  __m128i high = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<__m128i*>(state + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xF0);
  for (; blocks > 0; --blocks, data += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i words[4];
    for (int at = 0; at < 4; ++at) {
      const auto* part = reinterpret_cast<const __m128i*>(data + 16 * at);
      words[at] = _mm_shuffle_epi8(_mm_loadu_si128(part), order);
    }
    for (int step = 0; step < 16; ++step) {
      __m128i& now = words[step & 3];
      if (step >= 4) {
        const __m128i one = words[(step + 1) & 3], two = words[(step + 2) & 3];
        const __m128i three = words[(step + 3) & 3];
        now = _mm_add_epi32(_mm_sha256msg1_epu32(now, one), _mm_alignr_epi8(three, two, 4));
        now = _mm_sha256msg2_epu32(now, three);
      }
      const auto* round = reinterpret_cast<const __m128i*>(kRound + 4 * step);
      const __m128i sum = _mm_add_epi32(now, _mm_load_si128(round));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#endif

void process(std::uint32_t* state, const unsigned char* data, std::size_t blocks) {
#ifdef PHONEMO_SHA_INSTRUCTIONS
  static const bool is_fast = has_instructions();
  if (is_fast) return process_fast(state, data, blocks);
#endif
  process_portably(state, data, blocks);
}

}  // namespace

Sha256::Sha256()
    : state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
      rest_{} {}

void Sha256::add(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::size_t held = size_ % 64;
  size_ += size;
  if (held > 0) {
    const std::size_t more = std::min(size, 64 - held);
    std::memcpy(rest_ + held, bytes, more);
    bytes += more, size -= more, held += more;
    if (held < 64) return;
    process(state_, rest_, 1);
  }
  process(state_, bytes, size / 64);
  if (size % 64 > 0) std::memcpy(rest_, bytes + size / 64 * 64, size % 64);
}

std::string Sha256::hexadecimal() {
  const std::uint64_t bits = size_ * 8;
  const unsigned char mark = 0x80, zero = 0;
  add(&mark, 1);
  while (size_ % 64 != 56) add(&zero, 1);
  unsigned char length[8];
  for (int at = 0; at < 8; ++at) length[at] = static_cast<unsigned char>(bits >> (56 - 8 * at));
  add(length, 8);
  std::string text;
  for (const std::uint32_t word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  }
  return text;
}

std::string sha256_of(std::string_view content) {
  Sha256 hash;
  hash.add(content);
  return hash.hexadecimal();
}

}  // namespace phonemo
