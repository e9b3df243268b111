// asin, acos, atan, atan2 and hypot.
#pragma once
#include "exp_log.h"

namespace TG_MATH_NS {

// An angle in two parts, high + low, where low is below a tenth of high.
template <class V>
struct angle {
  V high, low;
};
// n pi/4 + m (high + low), n up to 4, m a power of two.
template <class V>
TG_FN V plus_eighths(V n, V m, angle<V> y) {
  constexpr double eighth = 0x1.921fb54442d18p-1, eighth_low = 0x1.1a62633145c07p-55;
  V sum = fma(n, constant<V>(eighth), m * y.high), below = fma(m, y.high, fma(n, constant<V>(eighth), -sum));
  return sum + (below + fma(m, y.low, n * constant_rest<V>(eighth, eighth_low)));
}

// The angle whose sine is a or, where a > 1/2, half the angle whose cosine is a: sin^2 = (1 - a) / 2. Of s^2 = z <= 1/4,
// asin s = s + s z P(z), relative error: float 1.1e-9 = 0.02 * 2^-24, double 1.9e-18 = 0.02 * 2^-53.
template <class V>
TG_FN angle<V> asin_or_half_acos(V a) {
  auto steep = gt(a, constant<V>(0.5));
  V z = select(steep, fma(a, constant<V>(-0.5), constant<V>(0.5)), a * a), P;
  V s = select(steep, sqrt(z), a);
  if constexpr (lane<V>::wide)
    P = horner(z, 0x1.5555555555577p-3, 0x1.333333332e104p-4, 0x1.6db6db72140cdp-5, 0x1.f1c71a946f14bp-6,
               0x1.6e8bdeecce243p-6, 0x1.1c49ef952e6bep-6, 0x1.ca1f9e456fa8ep-7, 0x1.75850c201365fp-7,
               0x1.613f14101e4d5p-7, 0x1.e5d212112a083p-9, 0x1.63a684c1a90d2p-6, -0x1.580adf69cefe5p-6,
               0x1.0b4ab1033187bp-5);
  else P = horner(z, 0x1.55554cp-3f, 0x1.33387cp-4f, 0x1.6caeccp-5f, 0x1.0491d6p-5f, 0x1.d91c90p-7f, 0x1.3356d0p-5f);
  return {s, s * z * P};
}
template <class V>
TG_FN V asin(V x) {
  V a = abs(x);
  auto steep = gt(a, constant<V>(0.5));
  V eighths = select(steep, constant<V>(2), V{}), factor = select(steep, constant<V>(-2), constant<V>(1));
  return copysign(plus_eighths(eighths, factor, asin_or_half_acos(a)), x);
}
template <class V>
TG_FN V acos(V x) {
  const V two = constant<V>(2);
  auto steep = gt(abs(x), constant<V>(0.5)), negative = lt(x, V{});
  V eighths = select(steep, select(negative, constant<V>(4), V{}), two);
  V factor = copysign(select(steep, two, constant<V>(1)), x);
  return plus_eighths(eighths, select(steep, factor, -factor), asin_or_half_acos(abs(x)));
}

// The angle whose tangent is low / high, 0 <= low <= high > 0: n pi/4 + y, n 0 or 1. Up to a half from the quotient itself,
// beyond from (low - high) / (low + high), a difference without rounding.
template <class V>
struct turned_angle {
  V n;
  angle<V> y;
};
template <class V>
TG_FN turned_angle<V> atan_of_ratio(V low, V high) {
  auto steep = gt(low, high * constant<V>(0.5));
  V t = select(steep, low - high, low) / select(steep, low + high, high);
  V z = t * t, P;
  // atan t = t + t z P(z) on |t| <= 1/2, relative error: float 1.1e-9 = 0.02 * 2^-24, double 4.1e-18 = 0.04 * 2^-53.
  if constexpr (lane<V>::wide)
    P = horner(z, -0x1.5555555555516p-2, 0x1.9999999991149p-3, -0x1.249249215dfe6p-3, 0x1.c71c7090efa14p-4,
               -0x1.745cf4cbbd3b7p-4, 0x1.3b113dc7e23cbp-4, -0x1.10f31f5603aaap-4, 0x1.dfe97a54c5969p-5,
               -0x1.a3986ece2f8a4p-5, 0x1.56f5d8c400515p-5, -0x1.c17ffd761fc8dp-6, 0x1.4b84365c1d383p-7);
  else P = horner(z, -0x1.555552p-2f, 0x1.9996ecp-3f, -0x1.244acap-3f, 0x1.c02474p-4f, -0x1.4706bcp-4f, 0x1.3d37e6p-5f);
  return {indicator<V>(steep), {t, t * z * P}};
}

template <class V>
TG_FN V atan(V x) {
  const V one = constant<V>(1);
  V a = abs(x);
  auto beyond = gt(a, one);
  turned_angle<V> e = atan_of_ratio(select(beyond, one, a), select(beyond, a, one));
  V n = select(beyond, constant<V>(2) - e.n, e.n);
  return copysign(plus_eighths(n, select(beyond, -one, one), e.y), x);
}

// The angle of (x, y) as atan2(y, x), with C99's special cases.
template <class V>
TG_FN V atan2(V y, V x) {
  constexpr bool wide = lane<V>::wide;
  const V zero = V{}, one = constant<V>(1);
  V a = abs(y), b = abs(x);
  V high = maximum(a, b), low = minimum(a, b);
  V factor = select(gt(high, constant<V>(wide ? 0x1p1000 : 0x1p120)), constant<V>(0.125), one);  // for low + high
  auto same = both(eq(low, high), gt(low, zero));  // two infinities are at pi/4
  turned_angle<V> e =
      atan_of_ratio(select(same, one, low * factor), select(same, one, select(eq(high, zero), one, high * factor)));
  auto swapped = gt(a, b), left = lt(copysign(one, x), zero);
  V n = select(swapped, constant<V>(2) - e.n, e.n), m = select(swapped, -one, one);
  return copysign(plus_eighths(select(left, constant<V>(4) - n, n), select(left, -m, m), e.y), y);
}

// sqrt(a^2 + b^2) without overflow on the way; inf where either is inf, even beside NaN.
template <class V>
TG_FN V hypot(V a, V b) {
  constexpr bool wide = lane<V>::wide;
  const V one = constant<V>(1);
  a = abs(a);
  b = abs(b);
  V high = maximum(a, b), low = minimum(a, b);
  auto large = gt(high, constant<V>(wide ? 0x1p500 : 0x1p60)), small = lt(high, constant<V>(wide ? 0x1p-500 : 0x1p-60));
  const V down = constant<V>(wide ? 0x1p-600 : 0x1p-80), up = constant<V>(wide ? 0x1p600 : 0x1p80);
  V factor = select(large, down, select(small, up, one)), back = select(large, up, select(small, down, one));
  high = high * factor;
  low = low * factor;
  V y = sqrt(fma(high, high, low * low)) * back;
  return select(either(eq(a, infinity<V>()), eq(b, infinity<V>())), infinity<V>(), y);
}

}  // namespace TG_MATH_NS
