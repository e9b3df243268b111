// Random bits: Philox 4x32-10 (Salmon et al. 2011), a pure function of (seed, stream, step, index). Freestanding.
//
//   key      64-bit seed: low word, high word
//   counter  word 0, 1: index of the block (low, high); word 2: step, bits 0..31; word 3: stream (16 bits), and
//            step, bits 32..47, above it
//
// Every block gives four 32-bit words. Eight consecutive blocks make a group of 128 bytes: the words (0, 1) of the blocks
// 0..7, then the words (2, 3) of the blocks 0..7. The stream of bits of a call is group after group; element i of the
// call takes the i-th 4 or 8 bytes of it (little-endian), so the place of an element is all that decides its bits.
#pragma once
#include "lane.h"

namespace tg {

struct RandomKey {
  uint64_t seed;
  uint32_t step_low;
  uint32_t stream_and_step_high;
};
inline constexpr int random_group_blocks = 8;
inline constexpr int random_group_words = 4 * random_group_blocks;
inline constexpr uint64_t random_streams = uint64_t(1) << 16, random_steps = uint64_t(1) << 48;

// stream < random_streams, step < random_steps
TG_FN RandomKey random_key(uint64_t seed, uint64_t stream, uint64_t step) {
  return {seed, uint32_t(step), uint32_t(stream) | uint32_t(step >> 32) << 16};
}

// The exact product of the low 32 bits of each.
TG_FN uint64_t multiply_words(uint64_t a, uint64_t b) { return uint64_t(uint32_t(a)) * uint32_t(b); }
}  // namespace tg

namespace TG_MATH_NS {
#if defined(TG_ISA_NS)
using tg::multiply_words;
#endif

// Lanes W of 64 bits, uint64_t or a vector of them; a counter word is the low half of a lane, the high half is ignored.
template <class W>
struct PhiloxBlock {
  W word[4];
};
// N independent blocks, round by round, so that one hides the latency of the other.
template <int N, class W>
TG_FN void philox(PhiloxBlock<W>* blocks, uint64_t seed) {
  uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
#if defined(__CUDACC__)
#pragma unroll
#elif defined(__clang__)
#pragma clang loop unroll(full)
#else
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < N; i++) {
      W* c = blocks[i].word;
      const W p0 = multiply_words(c[0], W{} + uint64_t(0xD2511F53));
      const W p1 = multiply_words(c[2], W{} + uint64_t(0xCD9E8D57));
      c[0] = (p1 >> 32) ^ c[1] ^ (W{} + uint64_t(key0));
      c[2] = (p0 >> 32) ^ c[3] ^ (W{} + uint64_t(key1));
      c[1] = p1;
      c[3] = p0;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

// The counters of the blocks whose indices are the lanes of `block`.
template <class W>
TG_FN PhiloxBlock<W> random_counter(RandomKey key, W block) {
  return {{block, block >> 32, W{} + uint64_t(key.step_low), W{} + uint64_t(key.stream_and_step_high)}};
}

}  // namespace TG_MATH_NS
