// sin, cos and tan, with exact reduction of every finite argument.
#pragma once
#include "exp_log.h"

namespace TG_MATH_NS {

// |x| = (4 j + quadrant) pi/2 + r + low, |r| <= pi/4 and a little, |low| below r's last place.
template <class V>
struct trig_reduced {
  V r, low;
  typename lane<V>::I quadrant;  // its last two bits count
};

// 64 bits of 2/pi from bit `first` on, counted from 64 zero bits before the binary point.
TG_SLOW uint64_t two_over_pi_bits(int first) {
  constexpr uint64_t word[] = {0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041,
                               0xfe5163abdebbc561, 0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e,
                               0xe88235f52ebb4484, 0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b,
                               0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d,
                               0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab,
                               0xf0cfbc209af4361d};
  int i = first / 64, k = first % 64;
  return k ? word[i] << k | word[i + 1] >> (64 - k) : word[i];
}

// Payne and Hanek for a finite x >= 1: x = m 2^e; of 2/pi only the bits that reach below 4 after the product
// with 2^e are multiplied by m, 192 of them, so that 128 significant bits of the fraction stay exact.
TG_SLOW trig_reduced<double> trig_reduce_any(double x) {
  using wide_t = unsigned __int128;
  uint64_t m = (uint64_t(bits(x)) & 0xfffffffffffff) | 0x10000000000000;
  int e = int(bits(x) >> 52) - 1075;
  int first = e - 2 + 64;
  wide_t p0 = wide_t(m) * two_over_pi_bits(first + 128);
  wide_t p1 = wide_t(m) * two_over_pi_bits(first + 64) + uint64_t(p0 >> 64);
  uint64_t top = m * two_over_pi_bits(first) + uint64_t(p1 >> 64);  // 2 bits of quadrant, then the fraction
  wide_t fraction = wide_t(top) << 66 | wide_t(uint64_t(p1)) << 2 | uint64_t(p0) >> 62;
  int64_t quadrant = int64_t(top >> 62);
  bool negative = fraction >> 127;  // at least 1/2: the next quadrant, and a negative r
  if (negative) {
    fraction = -fraction;
    quadrant++;
  }
  // fraction / 2^128 as high + low, normalised so that both conversions are exact
  int zeros = 0;
  while (zeros < 127 && !(fraction >> 127)) {
    fraction <<= 1;
    zeros++;
  }
  double unit = pow2(double(-53 - zeros));
  double high = double(int64_t(fraction >> 75)) * unit;
  double low = double(int64_t(uint64_t(fraction >> 22) & 0x1fffffffffffff)) * (unit * 0x1p-53);
  const double half_pi = 0x1.921fb54442d18p+0;
  double r = high * half_pi;
  double rest = fma(high, half_pi, -r);
  rest = fma(low, half_pi, rest);
  rest = fma(high, 0x1.1a62633145c07p-54, rest);
  double sum = r + rest, below = (r - sum) + rest;
  return {negative ? -sum : sum, negative ? -below : below, quadrant};
}

// What rounding exact.r to S leaves.
template <class S>
TG_FN S rest_of(trig_reduced<double> exact) {
  return S((exact.r - double(S(exact.r))) + exact.low);
}

template <class V>
TG_FN trig_reduced<V> trig_reduce(V a) {  // a = |x|
  constexpr bool wide = lane<V>::wide;
  const V shifter = constant<V>(wide ? 0x1.8p52 : 0x1.8p23);
  V shifted = fma(a, constant<V>(0x1.45f306dc9c883p-1), shifter);
  V n = shifted - shifter;
  // pi/2 in three parts. The first difference is exact (a multiple of 2^-24 or 2^-53 below 1), the second is
  // rounded once and dwarfs the third term, however small it comes out.
  const V second = constant<V>(wide ? -0x1.1a62633145c07p-54 : 0x1.777a5cp-25);
  const V third = constant<V>(wide ? 0x1.f1976b7ed8fbcp-110 : 0x1.ee59dap-50);
  V r1 = fma(n, constant<V>(wide ? -0x1.921fb54442d18p+0 : -0x1.921fb6p+0), a);
  V r2 = fma(n, second, r1), r = fma(n, third, r2);
  // What the last two steps rounded away. r1 - r2 may be rounded in turn, where the two cancel.
  V d = r1 - r2, back = d - r1, d_low = (r1 - (d - back)) - (r2 + back);
  V low = fma(n, third, r2 - r) + (fma(n, second, d) + d_low);
  trig_reduced<V> out = {r, low, bits(shifted)};

  const typename lane<V>::S limit = wide ? 0x1p20 : 0x1p15;
  auto far = ge(a, broadcast<V>(limit));
  if (any(far)) {
    out.r = select(far, a - a, out.r);  // NaN for inf
    auto slow = both(far, lt(a, infinity<V>()));
    if constexpr (lane<V>::n == 1) {
      if (slow) {
        trig_reduced<double> exact = trig_reduce_any(double(a));
        out = {V(exact.r), rest_of<V>(exact), typename lane<V>::I(exact.quadrant)};
      }
    } else if (any(slow)) {
      for (int i = 0; i < lane<V>::n; i++) {
        if (!(a[i] >= limit) || !(a[i] < __builtin_inf())) continue;
        trig_reduced<double> exact = trig_reduce_any(double(a[i]));
        out.r[i] = typename lane<V>::S(exact.r);
        out.low[i] = rest_of<typename lane<V>::S>(exact);
        out.quadrant[i] = typename lane<typename lane<V>::I>::S(exact.quadrant);
      }
    }
  }
  return out;
}

// On |r| <= 0.786. sin r = r + r^3 S(r^2), error relative to sin: float 4.0e-9 = 0.07 * 2^-24, double
// 9.4e-20. cos r = 1 - r^2/2 + r^4 C(r^2), error: float 1.2e-10, double 5.8e-20, both below 0.002 ulp.
template <class V>
TG_FN V sin_series(V z) {
  if constexpr (lane<V>::wide)
    return horner(z, -0x1.5555555555555p-3, 0x1.1111111111069p-7, -0x1.a01a019ffe524p-13, 0x1.71de3a33a5bdfp-19,
                  -0x1.ae642c5231753p-26, 0x1.6109bde907be1p-33, -0x1.9ffdc2d86f39ep-41);
  else return horner(z, -0x1.555546p-3f, 0x1.110774p-7f, -0x1.9951eap-13f);
}
template <class V>
TG_FN V cos_series(V z) {  // -1/2 + z C(z)
  V C;
  if constexpr (lane<V>::wide)
    C = horner(z, 0x1.555555555554bp-5, -0x1.6c16c16c15005p-10, 0x1.a01a019c8c7d5p-16, -0x1.27e4f7ef0d347p-22,
               0x1.1ee9d9c6591dcp-29, -0x1.8fa5536475aabp-37);
  else C = horner(z, 0x1.55554ap-5f, -0x1.6c0c28p-10f, 0x1.99e80cp-16f);
  return fma(C, z, constant<V>(-0.5));
}
template <class V>
TG_FN V sin_of_reduced(V r) {
  V z = r * r;
  return fma(z * r, sin_series(z), r);
}
template <class V>
TG_FN V cos_of_reduced(V r) {
  V z = r * r;
  return fma(cos_series(z), z, constant<V>(1));
}

// sin of the reduced argument `turn` quadrants further on.
template <class V>
TG_FN V sin_in_quadrant(trig_reduced<V> e, int turn) {
  using I = typename lane<V>::I;
  using K = typename lane<I>::S;
  I q = e.quadrant + broadcast<I>(K(turn));
  V y = select(ne(I(q & broadcast<I>(1)), I{}), cos_of_reduced(e.r), sin_of_reduced(e.r));
  constexpr int to_sign = 8 * int(sizeof(K)) - 2;  // bit 1 of the quadrant is the sign
  return from_bits<V>(bits(y) ^ ((q & broadcast<I>(2)) << to_sign));
}
template <class V>
TG_FN V sin(V x) {
  V y = sin_in_quadrant(trig_reduce(abs(x)), 0);
  return from_bits<V>(bits(y) ^ (bits(x) & sign_bit<V>()));
}
template <class V>
TG_FN V cos(V x) {
  return sin_in_quadrant(trig_reduce(abs(x)), 1);
}

// sin r / cos r, or -cos r / sin r in the odd quadrants. Both come with what the reduction and their last addition rounded
// away, and the quotient is corrected by it.
template <class V>
TG_FN V tan(V x) {
  using I = typename lane<V>::I;
  const V one = constant<V>(1);
  trig_reduced<V> e = trig_reduce(abs(x));
  V z = e.r * e.r, zr = z * e.r, S = sin_series(z), C = cos_series(z);
  V s = fma(zr, S, e.r), c = fma(C, z, one);
  V s_low = fma(e.low, c, fma(zr, S, e.r - s)), c_low = fma(-e.low, s, fma(C, z, one - c));
  auto odd = ne(I(e.quadrant & broadcast<I>(1)), I{});
  V over = select(odd, -c, s), over_low = select(odd, -c_low, s_low);
  V under = select(odd, s, c), under_low = select(odd, s_low, c_low);
  V inverse = one / under;
  V q = over * inverse;
  V rest = fma(-q, under, over) + fma(-q, under_low, over_low);
  q = fma(rest, inverse, q);
  return from_bits<V>(bits(q) ^ (bits(x) & sign_bit<V>()));
}

}  // namespace TG_MATH_NS
