// asin, acos, atan, atan2 and hypot.
#pragma once
#include "exp_log.h"

namespace TG_MATH_NS {

// asin s on s^2 = z <= 1/4: s + s z P(z), relative error: float 1.1e-9 = 0.02 * 2^-24, double 1.9e-18 = 0.02 * 2^-53.
template <class V>
TG_FN V asin_near_zero(V s, V z) {
  V P;
  if constexpr (lane<V>::wide)
    P = horner(z, 0x1.5555555555577p-3, 0x1.333333332e104p-4, 0x1.6db6db72140cdp-5, 0x1.f1c71a946f14bp-6,
               0x1.6e8bdeecce243p-6, 0x1.1c49ef952e6bep-6, 0x1.ca1f9e456fa8ep-7, 0x1.75850c201365fp-7,
               0x1.613f14101e4d5p-7, 0x1.e5d212112a083p-9, 0x1.63a684c1a90d2p-6, -0x1.580adf69cefe5p-6,
               0x1.0b4ab1033187bp-5);
  else
    P = horner(z, 0x1.55554cp-3f, 0x1.33387cp-4f, 0x1.6caeccp-5f, 0x1.0491d6p-5f, 0x1.d91c90p-7f, 0x1.3356d0p-5f);
  return fma(s * z, P, s);
}

// a = sin of the returned angle, or, where a > 1/2, a = cos of twice it: asin a = pi/2 - 2 asin(sqrt((1 - a) / 2)).
template <class V>
TG_FN V asin_or_half(V a) {
  auto steep = gt(a, constant<V>(0.5));
  V z = select(steep, fma(a, constant<V>(-0.5), constant<V>(0.5)), a * a);
  return asin_near_zero(select(steep, sqrt(z), a), z);
}

// n pi/4 + y, n up to 4.
template <class V>
TG_FN V plus_eighths(V n, V y) {
  constexpr double high = 0x1.921fb54442d18p-1, low = 0x1.1a62633145c07p-55;
  return fma(n, constant<V>(high), fma(n, constant_rest<V>(high, low), y));
}

template <class V>
TG_FN V asin(V x) {
  V a = abs(x), y = asin_or_half(a);
  return copysign(select(gt(a, constant<V>(0.5)), plus_eighths(constant<V>(2), constant<V>(-2) * y), y), x);
}
template <class V>
TG_FN V acos(V x) {
  const V two = constant<V>(2);
  V a = abs(x), y = asin_or_half(a);
  auto steep = gt(a, constant<V>(0.5)), negative = lt(x, V{});
  V turned = select(steep, y + y, y);
  turned = from_bits<V>(bits(turned) ^ (bits(x) & sign_bit<V>()));
  V eighths = select(steep, select(negative, constant<V>(4), V{}), two);
  return plus_eighths(eighths, select(steep, turned, -turned));
}

// The angle whose tangent is low / high, 0 <= low <= high > 0: eighths of a turn in n (0 or 1) and the rest. Up to a half
// the quotient itself, beyond (low - high) / (low + high), a difference without rounding.
template <class V>
struct small_angle {
  V n, y;
};
template <class V>
TG_FN small_angle<V> atan_of_ratio(V low, V high) {
  auto steep = gt(low, high * constant<V>(0.5));
  V t = select(steep, low - high, low) / select(steep, low + high, high);
  V z = t * t, P;
  // atan t = t + t z P(z) on |t| <= 1/2, relative error: float 1.1e-9 = 0.02 * 2^-24, double 4.1e-18 = 0.04 * 2^-53.
  if constexpr (lane<V>::wide)
    P = horner(z, -0x1.5555555555516p-2, 0x1.9999999991149p-3, -0x1.249249215dfe6p-3, 0x1.c71c7090efa14p-4,
               -0x1.745cf4cbbd3b7p-4, 0x1.3b113dc7e23cbp-4, -0x1.10f31f5603aaap-4, 0x1.dfe97a54c5969p-5,
               -0x1.a3986ece2f8a4p-5, 0x1.56f5d8c400515p-5, -0x1.c17ffd761fc8dp-6, 0x1.4b84365c1d383p-7);
  else
    P = horner(z, -0x1.555552p-2f, 0x1.9996ecp-3f, -0x1.244acap-3f, 0x1.c02474p-4f, -0x1.4706bcp-4f, 0x1.3d37e6p-5f);
  return {indicator<V>(steep), fma(t * z, P, t)};
}

template <class V>
TG_FN V atan(V x) {
  const V one = constant<V>(1);
  V a = abs(x);
  auto beyond = gt(a, one);
  small_angle<V> e = atan_of_ratio(select(beyond, one, a), select(beyond, a, one));
  V n = select(beyond, constant<V>(2) - e.n, e.n);
  return copysign(plus_eighths(n, select(beyond, -e.y, e.y)), x);
}

// The angle of (x, y) as atan2(y, x), with C99's special cases.
template <class V>
TG_FN V atan2(V y, V x) {
  constexpr bool wide = lane<V>::wide;
  const V zero = V{}, one = constant<V>(1);
  V a = abs(y), b = abs(x);
  V high = maximum(a, b), low = minimum(a, b);
  V factor = select(gt(high, constant<V>(wide ? 0x1p1000 : 0x1p120)), constant<V>(0.125), one);  // for low + high
  high = high * factor;
  low = low * factor;
  auto same = both(eq(low, high), gt(low, zero));  // two infinities are at pi/4
  low = select(same, one, low);
  high = select(same, one, select(eq(high, zero), one, high));
  small_angle<V> e = atan_of_ratio(low, high);
  auto swapped = gt(a, b), left = lt(copysign(one, x), zero);
  V n = select(swapped, constant<V>(2) - e.n, e.n), rest = select(swapped, -e.y, e.y);
  n = select(left, constant<V>(4) - n, n);
  rest = select(left, -rest, rest);
  return copysign(plus_eighths(n, rest), y);
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
