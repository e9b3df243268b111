// Random numbers and dropout: pure functions of (seed, stream, step) and the place of the element.
#include <cmath>
#include <limits>

#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"
#include "math/random.h"
#include "ops/refusals.h"

namespace tg {
namespace {

// The key out of the attributes first (seed), first + 1 (stream), first + 2 (step).
RandomKey key_of(const Call& c, int first) {
  return random_key(static_cast<uint64_t>(c.attrs.integer(first)), static_cast<uint64_t>(c.attrs.integer(first + 1)),
                    static_cast<uint64_t>(c.attrs.integer(first + 2)));
}

// f(first element, number of them), in whole groups of random bits
template <class F>
void over_groups(int64_t n, double nanoseconds, F f) {
  constexpr int64_t group = random_group_words;
  split((n + group - 1) / group, nanoseconds * group, [&](int64_t first, int64_t last) {
    const int64_t from = first * group, to = last * group < n ? last * group : n;
    f(from, to - from);
  });
}

constexpr int64_t kChunk = 1024;  // 64-bit numbers drawn at once
constexpr int64_t kGroupNumbers = random_group_words / 2;

// use(i, bits) for i < n in order of each part, 64 bits each
template <class Use>
void random_numbers(RandomKey key, int64_t first, int64_t last, Use use) {
  alignas(64) uint64_t bits[kChunk];
  for (int64_t i = first; i < last; i += kChunk) {
    const int64_t count = last - i < kChunk ? last - i : kChunk;
    isa().rows_f32->random_bits({key, i / kGroupNumbers, (count + kGroupNumbers - 1) / kGroupNumbers, bits});
    for (int64_t j = 0; j < count; j++) use(i + j, bits[j]);
  }
}

template <class T>
void integers(const Call& c, RandomKey key, int64_t low, uint64_t range) {
  T* out = c.out[0].data<T>();
  const int64_t n = c.out[0].numel();
  split((n + kChunk - 1) / kChunk, 1.5 * kChunk, [&](int64_t first, int64_t last) {
    random_numbers(key, first * kChunk, last * kChunk < n ? last * kChunk : n, [&](int64_t i, uint64_t bits) {
      out[i] = static_cast<T>(static_cast<int64_t>(static_cast<uint64_t>(low) + random_below(bits, range)));
    });
  });
}

}  // namespace

void k_uniform(const Call& c) {
  const RandomKey key = key_of(c, 3);
  with_floating(c.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const T low = static_cast<T>(c.attrs.real(1)), high = static_cast<T>(c.attrs.real(2));
    const T below = high > low ? std::nextafter(high, low) : low;
    T* out = c.out[0].data<T>();
    over_groups(c.out[0].numel(), 0.1 * sizeof(T), [&](int64_t first, int64_t n) {
      isa().rows<T>().uniform({key, first, n, low, high - low, high, below, out + first});
    });
  });
}

void k_normal(const Call& c) {
  const RandomKey key = key_of(c, 3);
  with_floating(c.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    T* out = c.out[0].data<T>();
    over_groups(c.out[0].numel(), 0.4 * sizeof(T), [&](int64_t first, int64_t n) {
      isa().rows<T>().normal(
          {key, first, n, static_cast<T>(c.attrs.real(1)), static_cast<T>(c.attrs.real(2)), out + first});
    });
  });
}

void k_bernoulli(const Call& c) {
  const RandomKey key = key_of(c, 0);
  const Tensor p = contiguous(c.in[0]);
  with_floating(c.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const T* data = p.data<T>();
    const int64_t count = p.numel();
    for (int64_t i = 0; i < count; i++)
      if (!(data[i] >= 0 && data[i] <= 1)) {
        Note note;
        note.place = static_cast<uint64_t>(i);
        note.probability = data[i];
        refuse(c.op, Check::of_probability(), note);
      }
    T* out = c.out[0].data<T>();
    over_groups(count, 0.1 * sizeof(T), [&](int64_t first, int64_t n) {
      isa().rows<T>().bernoulli({key, first, n, data + first, out + first});
    });
  });
}

void k_integers(const Call& c) {
  const RandomKey key = key_of(c, 3);
  const int64_t low = c.attrs.integer(1), high = c.attrs.integer(2);
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  switch (c.out[0].dtype) {
    case Dtype::Float32: return integers<float>(c, key, low, range);
    case Dtype::Float64: return integers<double>(c, key, low, range);
    case Dtype::Int64: return integers<int64_t>(c, key, low, range);
    case Dtype::Int32: return integers<int32_t>(c, key, low, range);
    case Dtype::UInt8: return integers<uint8_t>(c, key, low, range);
    default: return integers<bool>(c, key, low, range);
  }
}

// Fisher and Yates from the end: element i changes places with the element chosen by number i among 0..i.
void k_permutation(const Call& c) {
  const RandomKey key = key_of(c, 1);
  int64_t* p = c.out[0].data<int64_t>();
  const int64_t n = c.out[0].numel();
  for (int64_t i = 0; i < n; i++) p[i] = i;
  random_numbers(key, 0, n, [&](int64_t k, uint64_t bits) {
    const int64_t i = n - 1 - k, j = static_cast<int64_t>(random_below(bits, static_cast<uint64_t>(i + 1)));
    const int64_t other = p[j];
    p[j] = p[i];
    p[i] = other;
  });
}

void k_dropout(const Call& c) {
  const RandomKey key = key_of(c, 1);
  const double p = c.attrs.real(0);
  const int64_t place = c.attrs.integer(4);
  const Tensor x = contiguous(c.in[0]);
  with_floating(x.dtype, [&](auto t) {
    using T = decltype(t);
    T* out = c.out[0].data<T>();
    const int64_t n = x.numel();
    if (p >= 1) {
      for (int64_t i = 0; i < n; i++) out[i] = 0;
      return;
    }
    over_groups(n, 0.07 * sizeof(T), [&](int64_t first, int64_t count) {
      isa().rows<T>().dropout({key, place + first, count, drop_threshold(p), static_cast<T>(1 / (1 - p)),
                               x.data<T>() + first, out + first});
    });
  });
}

void k_dropout_mask(const Call& c) {
  const RandomKey key = key_of(c, 2);
  const double p = c.attrs.real(1);
  uint8_t* keep = c.out[0].data<uint8_t>();
  const int64_t n = c.out[0].numel();
  if (p >= 1) {
    for (int64_t i = 0; i < n; i++) keep[i] = 0;
    return;
  }
  over_groups(n, 0.2, [&](int64_t first, int64_t count) {
    isa().rows_f32->dropout_mask({key, first, count, drop_threshold(p), keep + first});
  });
}

}  // namespace tg
