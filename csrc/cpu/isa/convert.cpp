// Casts from and to float32, progressions and moves: what the compiler makes into vectors of this ISA by itself.
#include "cpu/pointwise.inl"

namespace tg::TG_ISA_NS {
namespace {

// ---- one element; no branches, so that the loops become vectors

TG_FN uint32_t word(float x) {
  uint32_t w;
  __builtin_memcpy(&w, &x, sizeof w);
  return w;
}
TG_FN float number(uint32_t w) {
  float x;
  __builtin_memcpy(&x, &w, sizeof x);
  return x;
}

// To nearest even; NaN stays NaN.
struct ToHalf {
  using From = float;
  using To = uint16_t;
  TG_FN uint16_t at(float x) {
    const uint32_t w = word(x), sign = w >> 16 & 0x8000, size = w & 0x7fffffff;
    // Below 2^-14 the spacing is 2^-24, that of the floats from 1/2 to 1: the addition rounds.
    const uint32_t small = word(number(size) + 0.5f) - word(0.5f);
    // Above, the exponent is biased anew; a carry of the rounding runs into it, up to infinity.
    const uint32_t normal = (size - (112u << 23) + 0xfff + (size >> 13 & 1)) >> 13;
    const uint32_t large = size > 0x7f800000u ? 0x7e00 : 0x7c00;
    const uint32_t bits = size < (113u << 23) ? small : size >= (143u << 23) ? large : normal;
    return uint16_t(sign | bits);
  }
};
struct ToBfloat {
  using From = float;
  using To = uint16_t;
  TG_FN uint16_t at(float x) {
    const uint32_t w = word(x), rounded = (w + 0x7fff + (w >> 16 & 1)) >> 16;
    return uint16_t((w & 0x7fffffff) > 0x7f800000u ? (w >> 16 & 0x8000) | 0x7fc0 : rounded);
  }
};
struct FromHalf {
  using From = uint16_t;
  using To = float;
  TG_FN float at(uint16_t h) {
    const uint32_t sign = uint32_t(h & 0x8000) << 16, size = h & 0x7fff;
    const uint32_t normal = (size << 13) + (112u << 23);
    const uint32_t special = (size << 13) | 0x7f800000u;
    const uint32_t small = word(float(int32_t(size)) * 0x1p-24f);  // exact
    return number(sign | (size >= 0x7c00 ? special : size >= 0x400 ? normal : small));
  }
};
struct FromBfloat {
  using From = uint16_t;
  using To = float;
  TG_FN float at(uint16_t h) { return number(uint32_t(h) << 16); }
};
struct ToBoolean {
  using From = float;
  using To = uint8_t;
  TG_FN uint8_t at(float x) { return x != 0; }
};
// Truncated; NaN is 0, what lies beyond the integers becomes the last one.
struct ToInt64 {
  using From = float;
  using To = int64_t;
  TG_FN int64_t at(float x) {
    const bool above = x >= 0x1p63f, below = x < -0x1p63f;
    const int64_t whole = int64_t(above || below || x != x ? 0.0f : x);
    return above ? INT64_MAX : below ? INT64_MIN : whole;
  }
};
template <class A, class B>
struct Plain {
  using From = A;
  using To = B;
  TG_FN B at(A x) { return B(x); }
};

template <class Cast>
void cast_loop(const void* const* in, void* out, int64_t n, double, double) {
  const auto* from = static_cast<const typename Cast::From*>(in[0]);
  auto* to = static_cast<typename Cast::To*>(out);
  TG_INDEPENDENT
  for (int64_t i = 0; i < n; i++) to[i] = Cast::at(from[i]);
}

// out[i] = start + i * step: one rounding in double, one more to the dtype.
template <class T>
void progression(void* out, int64_t first, int64_t n, double start, double step) {
  constexpr int64_t block = 1 << 20;
  for (int64_t done = 0; done < n; done += block) {
    T* to = static_cast<T*>(out) + done;
    const double base = double(first + done);  // counting on from here is exact
    const int32_t here = int32_t(n - done < block ? n - done : block);
    TG_INDEPENDENT
    for (int32_t i = 0; i < here; i++) to[i] = T(fma(base + double(i), step, start));
  }
}

template <class T>
void fill(void* to, const void* value, int64_t n) {
  T* out = static_cast<T*>(to);
  const T element = *static_cast<const T*>(value);
  TG_INDEPENDENT
  for (int64_t i = 0; i < n; i++) out[i] = element;
}
template <class T>
void reverse(void* to, const void* from, int64_t n) {
  T* out = static_cast<T*>(to);
  const T* last = static_cast<const T*>(from);
  TG_INDEPENDENT
  for (int64_t i = 0; i < n; i++) out[i] = last[-i];
}

}  // namespace

extern const ConvertTable convert_table;
const ConvertTable convert_table = {
    // float32, float64, int64, int32, uint8, bool, int8, int16, uint16, uint32, float16, bfloat16
    {nullptr, cast_loop<Plain<float, double>>, cast_loop<ToInt64>, nullptr, nullptr, cast_loop<ToBoolean>, nullptr,
     nullptr, nullptr, nullptr, cast_loop<ToHalf>, cast_loop<ToBfloat>},
    {nullptr, cast_loop<Plain<double, float>>, cast_loop<Plain<int64_t, float>>, cast_loop<Plain<int32_t, float>>,
     cast_loop<Plain<uint8_t, float>>, nullptr, nullptr, nullptr, nullptr, nullptr, cast_loop<FromHalf>,
     cast_loop<FromBfloat>},
    {progression<float>, progression<double>},
};

extern const MoveTable move_table;
const MoveTable move_table = {
    {fill<uint8_t>, fill<uint16_t>, fill<uint32_t>, fill<uint64_t>},
    {reverse<uint8_t>, reverse<uint16_t>, reverse<uint32_t>, reverse<uint64_t>},
};

}  // namespace tg::TG_ISA_NS
