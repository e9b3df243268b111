// What the functions of math/ are written in: a "lane type" V and a handful of operations on it.
// Here are the scalar lanes (float, double, and the integer types for pointwise rows); csrc/cpu/simd.h adds
// vectors. Freestanding: host, CUDA device and exported headers include this file as it stands.
//
// Everything below is exactly rounded or integer, so one source gives the same bits wherever it is compiled.
// A product must never feed an add except through fma().
#pragma once
#include <stdint.h>

// TG_MEMBER: as TG_FN for a member of a class, which is inlined always: by itself it would be a weak symbol.
#if defined(__CUDACC__)
#define TG_FN static __host__ __device__ __forceinline__
#define TG_MEMBER TG_FN
#define TG_SLOW static __host__ __device__ __noinline__ __attribute__((unused))
#else
#define TG_MEMBER static inline __attribute__((always_inline))
#define TG_SLOW static __attribute__((noinline, unused))
#if defined(TG_SMALL)  // a build to be small rather than fast: the compiler decides
#define TG_FN static inline
#else
#define TG_FN TG_MEMBER
#endif
#endif

#if defined(__CUDA_ARCH__)
#define TG_HARDWARE_FMA 1
#elif defined(__FMA__) || defined(__aarch64__)
#define TG_HARDWARE_FMA 1
#else
#define TG_HARDWARE_FMA 0
#endif

namespace tg {

// lane<V>: S scalar of a lane, I signed integers of the same width (bit patterns), M mask, n number of lanes.
template <class V>
struct lane;
template <class F, class Int, int Mantissa>
struct scalar_lane {
  using S = F;
  using I = Int;
  using M = bool;
  static constexpr int n = 1;
  static constexpr bool floating = Mantissa > 0;
  static constexpr bool wide = sizeof(F) == 8;  // chooses the double branch of a function of math/
  static constexpr int mantissa = Mantissa;     // stored bits of the fraction: 23, 52, or 0 for integers
};
template <>
struct lane<float> : scalar_lane<float, int32_t, 23> {};
template <>
struct lane<double> : scalar_lane<double, int64_t, 52> {};
template <>
struct lane<int64_t> : scalar_lane<int64_t, int64_t, 0> {};
template <>
struct lane<int32_t> : scalar_lane<int32_t, int32_t, 0> {};
template <>
struct lane<uint8_t> : scalar_lane<uint8_t, int8_t, 0> {};
template <>
struct lane<bool> : scalar_lane<bool, int8_t, 0> {};

// ---- for every lane type, vectors included ----------------------------------------------------------------
template <class V>
TG_FN V broadcast(typename lane<V>::S s) {
  return V(s - V{});
}
template <class V>
TG_FN typename lane<V>::I bits(V x) {
  typename lane<V>::I i;
  static_assert(sizeof i == sizeof x);
  __builtin_memcpy(&i, &x, sizeof x);
  return i;
}
template <class V>
TG_FN V from_bits(typename lane<V>::I i) {
  V x;
  static_assert(sizeof i == sizeof x);
  __builtin_memcpy(&x, &i, sizeof x);
  return x;
}
template <class V>
TG_FN typename lane<V>::I sign_bit() {
  using I = typename lane<V>::I;
  return broadcast<I>(typename lane<I>::S(uint64_t(1) << (8 * sizeof(typename lane<V>::S) - 1)));
}
template <class V>
TG_FN V abs(V x) {
  return from_bits<V>(bits(x) & ~sign_bit<V>());
}
template <class V>
TG_FN V copysign(V magnitude, V sign) {
  return from_bits<V>((bits(magnitude) & ~sign_bit<V>()) | (bits(sign) & sign_bit<V>()));
}
template <class V>
TG_FN V load(const typename lane<V>::S* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
TG_FN void store(typename lane<V>::S* p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// ---- scalar masks and comparisons -------------------------------------------------------------------------
TG_FN bool both(bool a, bool b) { return a && b; }
TG_FN bool either(bool a, bool b) { return a || b; }
TG_FN bool invert(bool a) { return !a; }
TG_FN bool any(bool a) { return a; }

#define TG_SCALAR_LANE(T)                    \
  TG_FN bool lt(T a, T b) { return a < b; }  \
  TG_FN bool le(T a, T b) { return a <= b; } \
  TG_FN bool gt(T a, T b) { return a > b; }  \
  TG_FN bool ge(T a, T b) { return a >= b; } \
  TG_FN bool eq(T a, T b) { return a == b; } \
  TG_FN bool ne(T a, T b) { return a != b; } \
  TG_FN T select(bool m, T yes, T no) { return m ? yes : no; }
TG_SCALAR_LANE(float)
TG_SCALAR_LANE(double)
TG_SCALAR_LANE(int64_t)
TG_SCALAR_LANE(int32_t)
TG_SCALAR_LANE(uint8_t)
TG_SCALAR_LANE(bool)
#undef TG_SCALAR_LANE

TG_FN bool is_nan(float a) { return a != a; }
TG_FN bool is_nan(double a) { return a != a; }

// ---- fma: one rounding, always ----------------------------------------------------------------------------
#if TG_HARDWARE_FMA
#if defined(__CUDA_ARCH__)
TG_FN float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
TG_FN double fma(double a, double b, double c) { return __fma_rn(a, b, c); }
#else
TG_FN float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
TG_FN double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
#endif
#else

// a + b rounded to odd: of the two doubles that enclose an inexact sum, the one with an odd last bit.
// Rounding that once more to a shorter format (or after a much larger addend) gives the correctly rounded
// sum.
TG_FN double add_round_to_odd(double a, double b) {
  double s = a + b;
  double t = s - a;
  double error = (a - (s - t)) + (b - t);
  if ((error > 0 || error < 0) && !(bits(s) & 1))  // false for NaN, which infinite sums leave in error
    s = from_bits<double>(bits(s) + ((error > 0) == (s > 0) ? 1 : -1));
  return s;
}

// The product of two floats is exact in double.
TG_FN float fma(float a, float b, float c) { return float(add_round_to_odd(double(a) * double(b), double(c))); }

// Outside the range where the double algorithm below is exact: very large or very small operands, inf and
// NaN.
TG_SLOW double fma_any(double a, double b, double c) { return __builtin_fma(a, b, c); }

// Halves of a 53-bit significand (Veltkamp): x = high + low, both short enough that their products are exact.
TG_FN double high_half(double x) {
  double t = x * 134217729.0;  // 2^27 + 1
  return t - (t - x);
}

// Dekker's exact product, two exact sums, and the two low parts joined by round-to-odd (Boldo and Melquiond
// 2008).
TG_SLOW double fma(double a, double b, double c) {
  double ma = abs(a), mb = abs(b);
  bool safe =
      (ma == 0 || (ma > 0x1p-480 && ma < 0x1p480)) && (mb == 0 || (mb > 0x1p-480 && mb < 0x1p480)) && abs(c) < 0x1p960;
  if (!safe) return fma_any(a, b, c);
  double p = a * b;
  double ah = high_half(a), al = a - ah, bh = high_half(b), bl = b - bh;
  double hh = ah * bh, hl = ah * bl, lh = al * bh, ll = al * bl;  // each exact
  double q = (((hh - p) + hl) + lh) + ll;                         // p + q == a * b
  double t = c + q, tv = t - c, te = (c - (t - tv)) + (q - tv);   // t + te == c + q
  double s = p + t, sv = s - p, se = (p - (s - sv)) + (t - sv);   // s + se == p + t
  double r = s + add_round_to_odd(te, se);
  return r == 0 ? p + c : r;  // an exact zero takes its sign from the plain sum
}
#endif

// ---- sqrt and rounding to integers ------------------------------------------------------------------------
#if defined(__CUDA_ARCH__)
TG_FN float sqrt(float x) { return __fsqrt_rn(x); }
TG_FN double sqrt(double x) { return __dsqrt_rn(x); }
#else
TG_FN float sqrt(float x) { return __builtin_sqrtf(x); }
TG_FN double sqrt(double x) { return __builtin_sqrt(x); }
#endif

template <class V>
TG_FN V rint_by_addition(V x) {  // ties to even; adding 2^mantissa leaves no room for a fraction
  using S = typename lane<V>::S;
  V big = broadcast<V>(S(uint64_t(1) << lane<V>::mantissa));
  V a = abs(x);
  V r = copysign((a + big) - big, x);
  return a < big ? r : x;
}
template <class V>
TG_FN V trunc_by_addition(V x) {
  V a = abs(x), r = rint_by_addition(a);
  return copysign(r > a ? r - V(1) : r, x);
}
template <class V>
TG_FN V floor_by_addition(V x) {
  V r = rint_by_addition(x);
  return r > x ? r - V(1) : r;
}
template <class V>
TG_FN V ceil_by_addition(V x) {
  V r = rint_by_addition(x);
  return r < x ? copysign(r + V(1), x) : r;
}
TG_FN float rint(float x) { return rint_by_addition(x); }
TG_FN double rint(double x) { return rint_by_addition(x); }
TG_FN float trunc(float x) { return trunc_by_addition(x); }
TG_FN double trunc(double x) { return trunc_by_addition(x); }
TG_FN float floor(float x) { return floor_by_addition(x); }
TG_FN double floor(double x) { return floor_by_addition(x); }
TG_FN float ceil(float x) { return ceil_by_addition(x); }
TG_FN double ceil(double x) { return ceil_by_addition(x); }

// The remainder of truncated division is always exact, so any correct library returns the same bits.
#if defined(__CUDA_ARCH__)
TG_FN float fmod(float a, float b) { return ::fmodf(a, b); }
TG_FN double fmod(double a, double b) { return ::fmod(a, b); }
#else
TG_FN float fmod(float a, float b) { return __builtin_fmodf(a, b); }
TG_FN double fmod(double a, double b) { return __builtin_fmod(a, b); }
#endif

// Round to the nearest integer, ties to even. float: |x| < 2^31. double: |x| < 2^51.
TG_FN int64_t to_int(double x) { return bits(x + 0x1.8p52) - bits(0x1.8p52); }
TG_FN int32_t to_int(float x) { return int32_t(to_int(double(x))); }
template <class V>
TG_FN V to_float(typename lane<V>::I i) {  // double: |i| < 2^51
  return V(i);
}

// ---- helpers of math/ -------------------------------------------------------------------------------------
TG_FN int32_t shift_right_logical(int32_t x, int k) { return int32_t(uint32_t(x) >> k); }
TG_FN int64_t shift_right_logical(int64_t x, int k) { return int64_t(uint64_t(x) >> k); }
// Bits of a NaN may carry out; a signed overflow of scalars would be undefined.
TG_FN int32_t add_wrapping(int32_t a, int32_t b) { return int32_t(uint32_t(a) + uint32_t(b)); }
TG_FN int64_t add_wrapping(int64_t a, int64_t b) { return int64_t(uint64_t(a) + uint64_t(b)); }

// x held to x <= hi, to x >= lo, or to both; NaN stays NaN. The bounds must not be zeros.
TG_FN float at_most(float x, float hi) { return x > hi ? hi : x; }
TG_FN double at_most(double x, double hi) { return x > hi ? hi : x; }
TG_FN float at_least(float x, float lo) { return x < lo ? lo : x; }
TG_FN double at_least(double x, double lo) { return x < lo ? lo : x; }
TG_FN float clip(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }
TG_FN double clip(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }

// 2^n for an integral-valued n whose result is a normal number.
TG_FN float pow2(float n) { return from_bits<float>((to_int(n) + 127) << 23); }
TG_FN double pow2(double n) { return from_bits<double>((to_int(n) + 1023) << 52); }
// x * 2^n with one rounding, for 2^-40 < |x| < 2^40 and an integral-valued n, |n| < 170 (float), < 1300
// (double).
template <class V>
TG_FN V scale_in_two_steps(V x, V n) {
  V half = floor(n * V(0.5));
  return x * pow2(half) * pow2(n - half);
}
TG_FN float scale(float x, float n) { return scale_in_two_steps(x, n); }
TG_FN double scale(double x, double n) { return scale_in_two_steps(x, n); }

// NaN if either is NaN; -0 < +0, so the bits do not depend on the order of the arguments.
template <class V>
TG_FN V maximum_scalar(V a, V b) {
  if (a == b) return from_bits<V>(bits(a) & bits(b));
  return a > b || a != a ? a : b;
}
template <class V>
TG_FN V minimum_scalar(V a, V b) {
  if (a == b) return from_bits<V>(bits(a) | bits(b));
  return a < b || a != a ? a : b;
}
TG_FN float maximum(float a, float b) { return maximum_scalar(a, b); }
TG_FN double maximum(double a, double b) { return maximum_scalar(a, b); }
TG_FN float minimum(float a, float b) { return minimum_scalar(a, b); }
TG_FN double minimum(double a, double b) { return minimum_scalar(a, b); }
#define TG_INTEGER_LANE(T)                            \
  TG_FN T maximum(T a, T b) { return a > b ? a : b; } \
  TG_FN T minimum(T a, T b) { return a < b ? a : b; }
TG_INTEGER_LANE(int64_t)
TG_INTEGER_LANE(int32_t)
TG_INTEGER_LANE(uint8_t)
TG_INTEGER_LANE(bool)
#undef TG_INTEGER_LANE

// A V from its lanes one by one: f is called with each lane, in order.
template <class V, class F>
TG_FN V by_lane(V x, F f) {
  if constexpr (lane<V>::n == 1) {
    return f(x);
  } else {
    V r;
    for (int i = 0; i < lane<V>::n; i++) r[i] = f(x[i]);
    return r;
  }
}

}  // namespace tg

// Functions of math/ open their namespace with this macro: tg, or, where simd.h was included first, the
// namespace of the ISA, so that they find the operations on its vectors.
#if !defined(TG_MATH_NS)
#define TG_MATH_NS tg
#endif
