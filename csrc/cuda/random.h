// Random numbers: each thread draws one block of Philox, which is four words of the stream of bits (math/philox.h).
#pragma once
#include "cuda/kernels.h"
#include "cuda/walk.h"
#include "math/convert.h"
#include "math/random.h"

namespace tg::cuda {

// Seed, stream and step: in a plan they change from run to run.
struct LiveKey {
  Live seed, stream, step;
  TG_BODY operator RandomKey() const {
    return random_key(uint64_t(seed.integer()), uint64_t(stream.integer()), uint64_t(step.integer()));
  }
};

// What block b is for elements of T: bits[h] are those of the run of elements from first + h * apart on.
template <class T>
struct RandomBlock {
  static constexpr int run = 8 / int(sizeof(T)), apart = random_group_words * 2 / int(sizeof(T));
  int64_t first;
  typename lane<T>::I bits[2][run];

  TG_BODY RandomBlock(const LiveKey& key, int64_t b) {
    const RandomKey k = key;
    auto block = random_counter<uint64_t>(k, uint64_t(b));
    philox<1>(&block, k.seed);
    first = b / random_group_blocks * (2 * apart) + b % random_group_blocks * run;
    TG_UNROLLED
    for (int h = 0; h < 2; h++) {
      const uint32_t low = uint32_t(block.word[2 * h]), high = uint32_t(block.word[2 * h + 1]);
      if constexpr (run == 1) {
        bits[h][0] = int64_t(low | uint64_t(high) << 32);
      } else {
        bits[h][0] = int32_t(low);
        bits[h][1] = int32_t(high);
      }
    }
  }
};
// Blocks that hold the bits of n elements of T: whole groups.
template <class T>
int64_t random_blocks(int64_t n) {
  constexpr int group = 2 * RandomBlock<T>::apart;
  return (n + group - 1) / group * random_group_blocks;
}

// Elements 0 .. n - 1 of an output, written in runs.
template <class T, int run>
struct alignas(run * sizeof(T)) Run {
  T v[run];
};
template <class T>
struct RandomOutput {
  T* to;
  int64_t n;
  template <int run>
  TG_BODY void put(int64_t i, const Run<T, run>& values) const {
#if defined(__CUDA_ARCH__)
    if (i + run <= n && uint64_t(to + i) % sizeof values == 0) {  // in one go
      *reinterpret_cast<Run<T, run>*>(to + i) = values;
      return;
    }
#endif
    TG_UNROLLED
    for (int j = 0; j < run; j++)
      if (i + j < n) to[i + j] = values.v[j];
  }
};

template <class T>
struct Uniform {
  LiveKey key;
  T low, width, high, below;
  RandomOutput<T> out;
  TG_BODY void operator()(int64_t b) const {
    const RandomBlock<T> r(key, b);
    TG_UNROLLED
    for (int h = 0; h < 2; h++) {
      Run<T, r.run> v;
      TG_UNROLLED
      for (int j = 0; j < r.run; j++) v.v[j] = uniform_number(r.bits[h][j], low, width, high, below);
      out.put(r.first + h * r.apart, v);
    }
  }
};

template <class T>
struct Normal {
  LiveKey key;
  T mean, std;
  RandomOutput<T> out;
  TG_BODY void operator()(int64_t b) const {
    const RandomBlock<T> r(key, b);
    Run<T, r.run> v[2];
    TG_UNROLLED
    for (int j = 0; j < r.run; j++) {
      const NormalPair<T> pair = normal_pair(r.bits[0][j], r.bits[1][j], mean, std);
      v[0].v[j] = pair.first;
      v[1].v[j] = pair.second;
    }
    TG_UNROLLED
    for (int h = 0; h < 2; h++) out.put(r.first + h * r.apart, v[h]);
  }
};

// 1 where a number of [0, 1) is below p
template <class T>
struct Bernoulli {
  LiveKey key;
  Walk<1> walk;
  const T* p;
  RandomOutput<T> out;
  TG_BODY void operator()(int64_t b) const {
    const RandomBlock<T> r(key, b);
    TG_UNROLLED
    for (int h = 0; h < 2; h++) {
      Run<T, r.run> v;
      const int64_t first = r.first + h * r.apart;
      TG_UNROLLED
      for (int j = 0; j < r.run; j++)
        v.v[j] = first + j < out.n && unit_interval<T>(r.bits[h][j]) < p[walk.offset(first + j)] ? T(1) : T(0);
      out.put(first, v);
    }
  }
};

// An element is dropped by 32 bits, whatever its type.
template <class T>
struct Dropout {
  LiveKey key;
  int64_t first_block, first;  // of the stream, elements first .. first + n - 1; first is a multiple of its group
  uint32_t threshold;
  T scale;
  Walk<1> walk;
  const T* x;
  RandomOutput<T> out;
  TG_BODY void operator()(int64_t b) const {
    const RandomBlock<float> r(key, first_block + b);
    TG_UNROLLED
    for (int h = 0; h < 2; h++) {
      Run<T, r.run> v;
      const int64_t at = r.first + h * r.apart - first;
      TG_UNROLLED
      for (int j = 0; j < r.run; j++)
        v.v[j] = at + j < out.n && uint32_t(r.bits[h][j]) >= threshold ? x[walk.offset(at + j)] * scale : T(0);
      out.put(at, v);
    }
  }
};

struct DropoutMask {
  LiveKey key;
  uint32_t threshold;
  RandomOutput<uint8_t> keep;
  TG_BODY void operator()(int64_t b) const {
    const RandomBlock<float> r(key, b);
    TG_UNROLLED
    for (int h = 0; h < 2; h++) {
      Run<uint8_t, r.run> v;
      TG_UNROLLED
      for (int j = 0; j < r.run; j++) v.v[j] = uint32_t(r.bits[h][j]) >= threshold;
      keep.put(r.first + h * r.apart, v);
    }
  }
};

// low + (0 .. range - 1), from 64 bits whatever the type
template <class T>
struct Integers {
  LiveKey key;
  int64_t low;
  uint64_t range;
  int64_t n;
  T* out;
  TG_BODY void operator()(int64_t b) const {
    const RandomBlock<int64_t> r(key, b);
    TG_UNROLLED
    for (int h = 0; h < 2; h++) {
      const int64_t i = r.first + h * r.apart;
      if (i < n) out[i] = convert<T>(int64_t(uint64_t(low) + random_below(uint64_t(r.bits[h][0]), range)));
    }
  }
};

// ---- permutations
// Fisher and Yates from the end: step i = n - 1 .. 0 exchanges the elements at i and at its target, number n - 1 - i below
// i + 1, after which the one at i stays. Side by side: what step i finds at its target was brought by the step before that had
// the same target, the smallest i' > i that has it (if none had, it is the target itself); and what i' brought is what lay
// at i', which in turn was brought by the smallest i'' > i' whose target is i', and so on to a place that nobody had met. For each
// target the steps that have it are a list, short as a rule: log(n / target) steps on average.
template <class Index>
struct StepsOfTarget {   // Index: -1 and 0 .. n - 1
  Index *last, *before;  // of a target: the step met last; of a step: the one met before it, -1 for none
  // The smallest step beyond i with this target, or -1. The lists' order depends on the threads; this does not.
  TG_BODY Index next(Index target, Index i) const {
    Index found = -1;
    for (Index k = last[target]; k >= 0; k = before[k])
      if (k > i && (found < 0 || k < found)) found = k;
    return found;
  }
  TG_BODY void add(Index target, Index i) const {
#if defined(__CUDA_ARCH__)
    if constexpr (sizeof(Index) == 4) before[i] = atomicExch(last + target, i);
    else before[i] = Index(atomicExch(reinterpret_cast<unsigned long long*>(last + target), (unsigned long long)(i)));
#else
    before[i] = __atomic_exchange_n(last + target, i, __ATOMIC_RELAXED);
#endif
  }
};
template <class Index>
struct Targets {  // to `out`, and into the lists
  LiveKey key;
  int64_t n;
  StepsOfTarget<Index> steps;
  int64_t* out;
  TG_BODY void operator()(int64_t b) const {
    const RandomBlock<int64_t> r(key, b);
    TG_UNROLLED
    for (int h = 0; h < 2; h++) {
      const int64_t i = n - 1 - (r.first + h * r.apart);
      if (i < 0) continue;
      const uint64_t target = random_below(uint64_t(r.bits[h][0]), uint64_t(i + 1));
      out[i] = int64_t(target);
      steps.add(Index(target), Index(i));
    }
  }
};
template <class Index>
struct Permuted {
  StepsOfTarget<Index> steps;
  int64_t* out;  // (n): the targets
  TG_BODY void operator()(int64_t i) const {
    Index found = Index(out[i]);
    for (Index k = steps.next(found, Index(i)); k >= 0; k = steps.next(k, k)) found = k;
    out[i] = found;
  }
};

}  // namespace tg::cuda
