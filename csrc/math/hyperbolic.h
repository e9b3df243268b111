// sinh, cosh, asinh, acosh, atanh.
#pragma once
#include "exp_log.h"

namespace TG_MATH_NS {

// exp(a) / 2 for a >= 0, which overflows no sooner than sinh and cosh do.
template <class V>
TG_FN V half_exp(V a) {
  exp_reduced<V> e = exp_reduce(at_most(a, constant<V>(lane<V>::wide ? 712 : 91)));
  return scale(exp_of_reduced(e.r), e.n - constant<V>(1));
}

// |x| < 1: x + x^3 P(x^2), relative error: float 5.2e-9 = 0.09 * 2^-24, double 9.5e-18 = 0.09 * 2^-53.
template <class V>
TG_FN V sinh(V x) {
  V a = abs(x), z = a * a, P;
  if constexpr (lane<V>::wide)
    P = horner(z, 0x1.5555555555556p-3, 0x1.11111111110a6p-7, 0x1.a01a01a0289a0p-13, 0x1.71de3a465afc9p-19,
               0x1.ae64671b3171fp-26, 0x1.611a5614a7b17p-33, 0x1.b4c75d3d47384p-41);
  else P = horner(z, 0x1.555556p-3f, 0x1.111134p-7f, 0x1.9ffe92p-13f, 0x1.7a15b0p-19f);
  V near = fma(a * z, P, a);
  V h = half_exp(a);
  V far = h - constant<V>(0.25) / h;
  return copysign(select(lt(a, constant<V>(1)), near, far), x);
}

template <class V>
TG_FN V cosh(V x) {
  V h = half_exp(abs(x));
  return h + constant<V>(0.25) / h;
}

// log(1 + v + low) for u = 1 + v, 0 <= v < 2^60 and |low| below v's last place; where `far`, log(2x). `low` comes in last:
// it is below the last place of f, too.
template <class V>
TG_FN V log1p_of_parts(V u, V v, V low, typename lane<V>::M far, V x) {
  const V one = constant<V>(1);
  log_reduced<V> e = log_reduce(select(far, x, u));
  V back = pow2(-e.k);
  V f = select(far, e.m - one, fma(v, back, back - one)), k = select(far, e.k + one, e.k);
  V rest = select(far, V{}, low / u);
  if constexpr (lane<V>::wide) rest = log_tail(f) + rest;
  else rest = fma(log_tail(f), f * f, rest);
  constexpr double ln2 = 0x1.62e42fefa39efp-1, ln2_low = 0x1.abc9e3b39803fp-56;
  return fma(k, constant<V>(ln2), f + fma(k, constant_rest<V>(ln2, ln2_low), rest));
}
// From here on log(2x) is asinh x and acosh x to the last bit.
template <class V>
TG_FN V two_x_suffices() {
  return constant<V>(lane<V>::wide ? 0x1p30 : 0x1p15);
}

// log(a + sqrt(a^2 + 1)) = log(1 + a + q), q = a^2 / (1 + sqrt(a^2 + 1)) < a.
template <class V>
TG_FN V asinh(V x) {
  const V one = constant<V>(1);
  V a = abs(x), b = at_most(a, two_x_suffices<V>());
  V q = b * b / (one + sqrt(fma(b, b, one)));
  V v = b + q;
  V y = log1p_of_parts(v + one, v, (b - v) + q, gt(a, two_x_suffices<V>()), a);
  return copysign(select(lt(a, infinity<V>()), y, a), x);
}

// log(x + sqrt(x^2 - 1)) = log(1 + t + s), t = x - 1, s^2 = t (t + 2). What rounding takes from s and from t + s goes
// into the low part.
template <class V>
TG_FN V acosh(V x) {
  const V one = constant<V>(1);
  V t = at_most(x, two_x_suffices<V>()) - one;
  V w = fma(t, t, t + t), w_low = fma(t, t, (t + t) - w);
  V s = sqrt(w);
  V s_low = select(gt(s, V{}), (fma(-s, s, w) + w_low) / (s + s), V{});
  V v = s + t;
  V y = log1p_of_parts(v + one, v, ((s - v) + t) + s_low, gt(x, two_x_suffices<V>()), x);
  V at_edge = select(lt(x, one), constant<V>(__builtin_nan("")), x);
  return select(both(ge(x, one), lt(x, infinity<V>())), y, at_edge);
}

// log((1 + a) / (1 - a)) / 2 = log(1 + v) / 2, v = 2a / (1 - a).
template <class V>
TG_FN V atanh(V x) {
  const V one = constant<V>(1);
  V a = abs(x), d = one - a, d_low = (one - d) - a;
  V inverse = one / d;
  V v = (a + a) * inverse;
  V low = fma(-v, d_low, fma(-v, d, a + a)) * inverse;
  V y = log1p_of_parts(fma(a + a, inverse, one), v, low, typename lane<V>::M{}, V{}) * constant<V>(0.5);
  V at_edge = select(eq(a, one), infinity<V>(), constant<V>(__builtin_nan("")));
  return copysign(select(lt(a, one), y, at_edge), x);
}

}  // namespace TG_MATH_NS
