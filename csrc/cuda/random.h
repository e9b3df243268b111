// Random numbers: each thread draws one block of Philox, which is four words of the stream of bits (math/philox.h).
#pragma once
#include "cuda/walk.h"
#include "math/philox.h"

namespace tg::cuda {

// use(i, word) for the four words of block b: word i of the call's stream
template <class Use>
TG_BODY void words_of_block(RandomKey key, int64_t b, Use use) {
  auto block = random_counter<uint64_t>(key, uint64_t(b));
  philox<1>(&block, key.seed);
  const int64_t first = b / random_group_blocks * random_group_words + b % random_group_blocks * 2;
  for (int w = 0; w < 4; w++) use(first + w / 2 * (random_group_words / 2) + w % 2, uint32_t(block.word[w]));
}

template <class T>
struct Uniform {
  RandomKey key;
  int64_t n;
  T low, width, high, below;
  T* out;
  TG_BODY void put(int64_t i, T unit) const {
    const T v = fma(unit, width, low);
    if (i < n) out[i] = v < high ? v : below;
  }
  TG_BODY void operator()(int64_t b) const {
    uint64_t low_half = 0;
    words_of_block(key, b, [&](int64_t i, uint32_t word) {
      if constexpr (sizeof(T) == 4) {
        put(i, T(word >> 8) * T(0x1p-24));
      } else if (i % 2 == 0) {
        low_half = word;
      } else {
        put(i / 2, T((low_half | uint64_t(word) << 32) >> 11) * T(0x1p-53));
      }
    });
  }
};

template <class T>
struct Dropout {
  RandomKey key;
  int64_t n, first_block, first;  // elements first .. first + n - 1 of the stream; first is a multiple of its group
  uint32_t threshold;
  T scale;
  Walk<1> walk;
  const T* x;
  T* out;
  TG_BODY void operator()(int64_t b) const {
    words_of_block(key, first_block + b, [&](int64_t place, uint32_t word) {
      const int64_t i = place - first;
      if (i < n) out[i] = word >= threshold ? x[walk.offset(i)] * scale : T(0);
    });
  }
};

struct DropoutMask {
  RandomKey key;
  int64_t n;
  uint32_t threshold;
  uint8_t* keep;
  TG_BODY void operator()(int64_t b) const {
    words_of_block(key, b, [&](int64_t i, uint32_t word) {
      if (i < n) keep[i] = word >= threshold;
    });
  }
};

// Blocks that hold the first n words: whole groups.
TG_BODY int64_t random_blocks(int64_t words) {
  return (words + random_group_words - 1) / random_group_words * random_group_blocks;
}

}  // namespace tg::cuda
