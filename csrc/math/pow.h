// pow with C99's special cases. log2 |x| in two parts (about 2^-66 in double), times y in two parts, then 2
// to it.
#pragma once
#include "exp_log.h"

namespace TG_MATH_NS {

template <class V>
struct two_parts {
  V high, low;
};

// high + low with |high| >= |low| (or high zero).
template <class V>
TG_FN two_parts<V> fast_two_sum(V high, V low) {
  V s = high + low;
  return {s, low - (s - high)};
}

// (a.high + a.low)(b.high + b.low)
template <class V>
TG_FN two_parts<V> two_product(two_parts<V> a, two_parts<V> b) {
  V p = a.high * b.high;
  V e = fma(a.high, b.high, -p);
  return {p, fma(a.high, b.low, fma(a.low, b.high, e))};
}

// log2 x for positive, normal, finite x: k + s (c1 + z (c3 + z T(z))), s = (m - 1) / (m + 1), z = s^2 <=
// 0.02945. c1 = 2/ln2 and c3 = 2/(3 ln2) in two parts; error of T relative to log2: float 8.6e-12, double
// 7.7e-23.
template <class V>
TG_FN two_parts<V> log2_two_parts(V x, V k_before) {
  constexpr bool wide = lane<V>::wide;
  const V one = constant<V>(1);
  log_reduced<V> e = log_reduce(x);
  V f = e.m - one, d = e.m + one, d_low = e.m - (d - one);
  V s = f / d;
  V s_rest = fma(-s, d_low, fma(-s, d, f));
  two_parts<V> S = {s, s_rest / d};
  V z = s * s;
  two_parts<V> Z = {z, fma(s + s, S.low, fma(s, s, -z))};
  V T;
  if constexpr (wide)
    T = horner(z, 0x1.2776c50ef9bfcp-1, 0x1.a61762a7aedddp-2, 0x1.484b13d6acff4p-2, 0x1.0c9a853ae87a2p-2,
               0x1.c68ee966f48b7p-3, 0x1.8a09b69c0e34fp-3, 0x1.58fce6af4f9c3p-3, 0x1.61eff557d029ep-3);
  else T = horner(z, 0x1.27770ep-1f, 0x1.a5bbfap-2f, 0x1.59ee04p-2f);
  const V c1 = constant<V>(wide ? 0x1.71547652b82fep+1 : 0x1.715476p+1);
  const V c1_low = constant<V>(wide ? 0x1.777d0ffda0d24p-55 : 0x1.4ae0c0p-25);
  const V c3 = constant<V>(wide ? 0x1.ec709dc3a03fdp-1 : 0x1.ec709ep-1);
  const V c3_low = constant<V>(wide ? 0x1.d27f05548af0cp-55 : -0x1.e2fe02p-28);
  two_parts<V> cubic = two_product(Z, fast_two_sum(c3, fma(z, T, c3_low)));
  two_parts<V> factor = fast_two_sum(c1, cubic.high);
  factor.low = (factor.low + cubic.low) + c1_low;
  two_parts<V> log_m = two_product(S, factor);
  two_parts<V> sum = fast_two_sum(e.k - k_before, log_m.high);
  return fast_two_sum(sum.high, sum.low + log_m.low);
}

template <class V>
TG_FN V pow(V x, V y) {
  constexpr bool wide = lane<V>::wide;
  const V zero = V{}, one = constant<V>(1), inf = infinity<V>();
  V a = abs(x);
  auto tiny = lt(a, constant<V>(wide ? 0x1p-1022 : 0x1p-126));
  two_parts<V> L = log2_two_parts(select(tiny, a * constant<V>(wide ? 0x1p54 : 0x1p25), a),
                                  select(tiny, constant<V>(wide ? 54 : 25), zero));
  V h = select(eq(a, zero), -inf, select(eq(a, inf), inf, L.high));

  // y log2 |x|, held to where the result is surely 0 or inf
  const V limit = constant<V>(wide ? 1200 : 160);
  V product = y * h;
  V low = fma(y, L.low, fma(y, h, -product));
  V p = clip(product, -limit, limit);
  low = select(lt(abs(product), limit), low, zero);
  V n = rint(p);
  V r = ((p - n) + low) * constant<V>(0x1.62e42fefa39efp-1);
  V magnitude = scale(exp_of_reduced(r), n);

  magnitude = select(eq(a, one), one, magnitude);  // also for y = inf
  auto integral = eq(rint(y), y);
  V half_y = y * constant<V>(0.5);
  auto odd = both(integral, ne(rint(half_y), half_y));
  auto negative = lt(copysign(one, x), zero);
  V result = select(both(odd, negative), -magnitude, magnitude);
  auto outside = both(both(lt(x, zero), gt(x, -inf)), invert(integral));
  result = select(outside, constant<V>(__builtin_nan("")), result);
  result = select(either(is_nan(x), is_nan(y)), x + y, result);
  return select(either(eq(x, one), eq(y, zero)), one, result);
}

}  // namespace TG_MATH_NS
