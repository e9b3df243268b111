// cast, copy_, fill_, masked_fill and native_arange.
#include "cpu/aside.h"
#include "cpu/contiguous.h"
#include "core/by_dtype.h"
#include "cpu/isa.h"
#include "cpu/kernels.h"
#include "cpu/strided.h"
#include "math/lane.h"

namespace tg {
namespace {

template <class From, class To>
void cast_loop(const void* const* in, void* out, int64_t n, double, double) {
  const From* from = static_cast<const From*>(in[0]);
  To* to = static_cast<To*>(out);
  for (int64_t i = 0; i < n; i++) to[i] = convert<To>(from[i]);
}

PointwiseFn cast_function(Dtype from, Dtype to) {
  const ConvertTable& fast = *isa().convert;
  if (from == Dtype::Float32 && fast.from_float32[static_cast<int>(to)]) return fast.from_float32[static_cast<int>(to)];
  if (to == Dtype::Float32 && fast.to_float32[static_cast<int>(from)]) return fast.to_float32[static_cast<int>(from)];
  return with_element(from, [to](auto f) {
    return with_element(to, [](auto t) -> PointwiseFn { return cast_loop<decltype(f), decltype(t)>; });
  });
}

// out[i] = start + i * step.
struct FloatingProgression {
  void (*run)(void*, int64_t, int64_t, double, double);
  std::byte* out;
  int64_t size;
  double start, step;

  static void body(void* ctx, int64_t first, int64_t last) {
    const FloatingProgression& p = *static_cast<const FloatingProgression*>(ctx);
    p.run(p.out + first * p.size, first, last - first, p.start, p.step);
  }
};
template <class T>
struct IntegerProgression {  // integers wrap
  T* out;
  uint64_t start, step;

  static void body(void* ctx, int64_t first, int64_t last) {
    const IntegerProgression& p = *static_cast<const IntegerProgression*>(ctx);
    uint64_t value = p.start + static_cast<uint64_t>(first) * p.step;
    for (int64_t i = first; i < last; i++, value += p.step) p.out[i] = static_cast<T>(value);
  }
};

template <class T>
T value_of(const Attr& a) {
  return a.kind == Attr::Kind::Float ? convert<T>(a.f) : convert<T>(a.i);
}

// The number that attribute 0 is, as an element of the output.
Tensor filling(const Call& c) {
  const Tensor value = aside({}, c.out[0].dtype);
  with_element(value.dtype,
               [&](auto like) { *value.data<decltype(like)>() = value_of<decltype(like)>(c.attrs.values[0]); });
  return value;
}

}  // namespace

void k_cast(const Call& c) {
  const Tensor &from = c.in[0], &to = c.out[0];
  if (from.dtype == to.dtype) return copy(to, from);
  elementwise(cast_function(from.dtype, to.dtype), c.in, to, 0, 0, 0.3);
}

void k_copy_(const Call& c) { copy(c.out[0], c.in[1]); }

void k_fill_(const Call& c) { copy(c.out[0], filling(c)); }

void k_masked_fill(const Call& c) {
  const Tensor& out = c.out[0];
  const Tensor in[3] = {c.in[1], filling(c), c.in[0]};
  elementwise(isa().pointwise->where[static_cast<int>(out.dtype)], in, out, 0, 0,
              0.03 * static_cast<double>(size_of(out.dtype)));
}

void k_arange(const Call& c) {
  const Tensor& out = c.out[0];
  const Attr &start = c.attrs.values[0], &step = c.attrs.values[1];
  with_element(out.dtype, [&](auto like) {
    using T = decltype(like);
    if constexpr (std::floating_point<T>) {
      FloatingProgression p{isa().convert->progression[sizeof(T) == 8], out.data(), sizeof(T), value_of<double>(start),
                            value_of<double>(step)};
      parallel_range(out.numel(), 0.3, p.body, &p);
    } else if constexpr (std::integral<T>) {
      IntegerProgression<T> p{out.data<T>(), static_cast<uint64_t>(value_of<int64_t>(start)),
                              static_cast<uint64_t>(value_of<int64_t>(step))};
      parallel_range(out.numel(), 0.3, p.body, &p);
    }
  });
}

}  // namespace tg
