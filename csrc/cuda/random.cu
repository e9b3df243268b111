// Random numbers and dropout: pure functions of (seed, stream, step) and the place of the element.
#include "cuda/random.h"

#include <cmath>

#include "cuda/kernels.h"
#include "cuda/refuse.h"

namespace tg::cuda {
namespace {

// The attributes first (seed), first + 1 (stream), first + 2 (step).
LiveKey key_of(const Call& c, int first) { return {live(c, first), live(c, first + 1), live(c, first + 2)}; }

template <class T>
RandomOutput<T> output(const Call& c) {
  return {static_cast<T*>(c.out[0].data), numel(c.out[0])};
}
Walk<1> walk_all(const Operand& x) { return walk_axes(x, (1u << x.rank) - 1); }

template <class T>
struct Fill {
  T* out;
  T value;
  TG_BODY void operator()(int64_t i) const { out[i] = value; }
};

template <class T>
struct NoProbability {
  Walk<1> walk;
  const T* p;
  TG_BODY bool operator()(int64_t i) const {
    const T v = p[walk.offset(i)];
    return !(v >= 0 && v <= 1);
  }
};

template <class Index>
void permuted(const Call& c, Stream stream) {
  auto* out = static_cast<int64_t*>(c.out[0].data);
  const int64_t n = numel(c.out[0]);
  Index* room = scratch<Index>(c, 2 * n);
  const StepsOfTarget<Index> steps{room, room + n};
  each(stream, n, Fill<Index>{steps.last, -1});
  each(stream, random_blocks<int64_t>(n), Targets<Index>{key_of(c, 1), n, steps, out});
  each(stream, n, Permuted<Index>{steps, out});
}

}  // namespace

void uniform(const Call& c, Stream stream) {
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    const T low = static_cast<T>(c.attribute[1].value()), high = static_cast<T>(c.attribute[2].value());
    const T below = high > low ? std::nextafter(high, low) : low;
    const RandomOutput<T> out = output<T>(c);
    each(stream, random_blocks<T>(out.n), Uniform<T>{key_of(c, 3), low, high - low, high, below, out});
  });
}

void normal(const Call& c, Stream stream) {
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    const RandomOutput<T> out = output<T>(c);
    const T mean = static_cast<T>(c.attribute[1].value()), std = static_cast<T>(c.attribute[2].value());
    each(stream, random_blocks<T>(out.n), Normal<T>{key_of(c, 3), mean, std, out});
  });
}

void bernoulli(const Call& c, Stream stream) {
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    const RandomOutput<T> out = output<T>(c);
    const Walk<1> walk = walk_all(c.in[0]);
    const T* p = static_cast<const T*>(c.in[0].data);
    refuse_where(c, out.n, NoProbability<T>{walk, p}, stream, [&](int64_t i) {
      T value;
      device::to_host(c, &value, p + walk.offset(i), sizeof value);
      Refused r{Check::of_probability(), {}};
      r.note.place = static_cast<uint64_t>(i);
      r.note.probability = value;
      return r;
    });
    each(stream, random_blocks<T>(out.n), Bernoulli<T>{key_of(c, 0), walk, p, out});
  });
}

void integers(const Call& c, Stream stream) {
  const int64_t low = c.attribute[1].i, n = numel(c.out[0]);
  const uint64_t range = static_cast<uint64_t>(c.attribute[2].i) - static_cast<uint64_t>(low);
  auto run = [&](auto t) {
    using T = decltype(t);
    each(stream, random_blocks<int64_t>(n), Integers<T>{key_of(c, 3), low, range, n, static_cast<T*>(c.out[0].data)});
  };
  switch (dtype_of(c.out[0])) {
    case Dtype::Float32: return run(float{});
    case Dtype::Float64: return run(double{});
    case Dtype::Int64: return run(int64_t{});
    case Dtype::Int32: return run(int32_t{});
    case Dtype::UInt8: return run(uint8_t{});
    default: return run(Boolean{});
  }
}

void permutation(const Call& c, Stream stream) {
  if (numel(c.out[0]) <= INT32_MAX) permuted<int32_t>(c, stream);
  else permuted<int64_t>(c, stream);
}

void dropout(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    const Operand& x = c.in[0];
    const double p = c.attribute[0].value();
    const int64_t first = c.attribute[4].i;
    const RandomOutput<T> out = output<T>(c);
    if (p >= 1) return each(stream, out.n, Fill<T>{out.to, T(0)});
    each(stream, random_blocks<float>(out.n),
         Dropout<T>{key_of(c, 1), first / random_group_words * random_group_blocks, first, drop_threshold(p),
                    static_cast<T>(1 / (1 - p)), walk_all(x), static_cast<const T*>(x.data), out});
  });
}

void dropout_mask(const Call& c, Stream stream) {
  const double p = c.attribute[1].value();
  const RandomOutput<uint8_t> keep = output<uint8_t>(c);
  if (p >= 1) return each(stream, keep.n, Fill<uint8_t>{keep.to, 0});
  each(stream, random_blocks<float>(keep.n), DropoutMask{key_of(c, 2), drop_threshold(p), keep});
}

}  // namespace tg::cuda
