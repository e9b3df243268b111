// Random numbers and dropout: pure functions of (seed, stream, step) and the place of the element.
#include "cuda/random.h"

#include <cmath>

#include "cuda/kernels.h"

namespace tg::cuda {
namespace {

RandomKey key_of(const Call& c, int first) {
  return random_key(static_cast<uint64_t>(c.attribute[first].i), static_cast<uint64_t>(c.attribute[first + 1].i),
                    static_cast<uint64_t>(c.attribute[first + 2].i));
}
uint32_t threshold(double p) { return static_cast<uint32_t>(p * 0x1p32); }

template <class T>
struct Zeros {
  T* out;
  TG_BODY void operator()(int64_t i) const { out[i] = T(0); }
};

}  // namespace

void uniform(const Call& c, Stream stream) {
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    const T low = static_cast<T>(c.attribute[1].value()), high = static_cast<T>(c.attribute[2].value());
    Uniform<T> body{key_of(c, 3),
                    numel(c.out[0]),
                    low,
                    high - low,
                    high,
                    high > low ? std::nextafter(high, low) : low,
                    static_cast<T*>(c.out[0].data)};
    each(stream, random_blocks(body.n * int64_t(sizeof(T) / 4)), body);
  });
}

void dropout(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    const Operand& x = c.in[0];
    const double p = c.attribute[0].value();
    const int64_t n = numel(x), first = c.attributes > 4 ? c.attribute[4].i : 0;
    T* out = static_cast<T*>(c.out[0].data);
    if (p >= 1) return each(stream, n, Zeros<T>{out});
    each(stream, random_blocks(n),
         Dropout<T>{key_of(c, 1), n, first / random_group_words * random_group_blocks, first, threshold(p),
                    static_cast<T>(1 / (1 - p)), walk_axes(x, (1u << x.rank) - 1), static_cast<const T*>(x.data), out});
  });
}

void dropout_mask(const Call& c, Stream stream) {
  const double p = c.attribute[1].value();
  const int64_t n = numel(c.out[0]);
  auto* keep = static_cast<uint8_t*>(c.out[0].data);
  if (p >= 1) return each(stream, n, Zeros<uint8_t>{keep});
  each(stream, random_blocks(n), DropoutMask{key_of(c, 2), n, threshold(p), keep});
}

}  // namespace tg::cuda
