// exp, exp2, expm1, tanh, sigmoid, log, log2, log10, log1p.
#pragma once
#include "lane.h"

namespace TG_MATH_NS {

// A constant of the lane's own precision.
template <class V>
TG_FN V constant(double c) {
  return broadcast<V>(typename lane<V>::S(c));
}

// What is missing from constant<V>(high) to a number whose double parts are high and low.
template <class V>
TG_FN V constant_rest(double high, double low) {
  if constexpr (lane<V>::wide) return constant<V>(low);
  else return constant<V>(high - double(float(high)));
}

// 1 where the condition holds, else 0.
template <class V>
TG_FN V indicator(typename lane<V>::M m) {
  return select(m, constant<V>(1), V{});
}

// c0 + c1 x + c2 x^2 + ...
template <class V>
TG_FN V horner(V, typename lane<V>::S c) {
  return broadcast<V>(c);
}
template <class V, class... More>
TG_FN V horner(V x, typename lane<V>::S c, More... more) {
  return fma(horner(x, more...), x, broadcast<V>(c));
}

// x = n ln2 + r with integral-valued n and |r| <= 0.3467. ln2 in two parts; with fma the first step is exact.
template <class V>
struct exp_reduced {
  V n, r;
};
template <class V>
TG_FN exp_reduced<V> exp_reduce(V x) {
  constexpr bool wide = lane<V>::wide;
  const V shifter = constant<V>(wide ? 0x1.8p52 : 0x1.8p23);  // adding it rounds to an integer
  V n = fma(x, constant<V>(0x1.71547652b82fep+0), shifter) - shifter;
  V r = fma(n, constant<V>(wide ? -0x1.62e42fefa39efp-1 : -0x1.62e430p-1), x);
  r = fma(n, constant<V>(wide ? -0x1.abc9e3b39803fp-56 : 0x1.05c610p-29), r);
  return {n, r};
}

// q(r) with exp(r) = 1 + r + r^2 q(r) on |r| <= 0.3467.
// Error relative to expm1(r): float 2.0e-8 = 0.34 * 2^-24, double 4.4e-19 = 0.004 * 2^-53.
template <class V>
TG_FN V exp_tail(V r) {
  if constexpr (lane<V>::wide)
    return horner(r, 0x1.0000000000000p-1, 0x1.5555555555559p-3, 0x1.5555555555558p-5, 0x1.111111110f711p-7,
                  0x1.6c16c16c16ce4p-10, 0x1.a01a01af95072p-13, 0x1.a01a019bfa844p-16, 0x1.71ddf950ea6dcp-19,
                  0x1.27e4ff47582bcp-22, 0x1.af5cda5aab9bbp-26, 0x1.1f2d1ac633921p-29);
  else return horner(r, 0x1.fffffep-2f, 0x1.5554b8p-3f, 0x1.5556a6p-5f, 0x1.12294ap-7f, 0x1.6c29fap-10f);
}
template <class V>
TG_FN V exp_of_reduced(V r) {
  const V one = constant<V>(1);
  return fma(fma(exp_tail(r), r, one), r, one);
}
template <class V>
TG_FN V expm1_of_reduced(V r) {
  return fma(exp_tail(r), r * r, r);
}

// Beyond these arguments exp is +inf or rounds to +0.
template <class V>
TG_FN V exp_highest() {
  return constant<V>(lane<V>::wide ? 710 : 89);
}
template <class V>
TG_FN V exp_lowest() {
  return constant<V>(lane<V>::wide ? -746 : -104);
}

template <class V>
TG_FN V exp(V x) {
  exp_reduced<V> e = exp_reduce(clip(x, exp_lowest<V>(), exp_highest<V>()));
  return scale(exp_of_reduced(e.r), e.n);
}

// x = n + r with integral n: exact, and 2^r = exp(r ln2) where the rounding of r ln2 costs a sixth of an ulp.
template <class V>
TG_FN V exp2(V x) {
  constexpr bool wide = lane<V>::wide;
  V b = clip(x, constant<V>(wide ? -1080 : -155), constant<V>(wide ? 1030 : 130));  // 0 and inf beyond
  V n = rint(b);
  return scale(exp_of_reduced((b - n) * constant<V>(0x1.62e42fefa39efp-1)), n);
}

// exp(-|x|).
template <class V>
TG_FN V exp_minus_abs(V x) {
  V a = from_bits<V>(bits(x) | sign_bit<V>());
  exp_reduced<V> e = exp_reduce(at_least(a, exp_lowest<V>()));
  return scale(exp_of_reduced(e.r), e.n);
}

// factor * exp(x) for x <= 0 and 2^-40 < |factor| < 2^40, rounded once more where the product is a denormal:
// the factor enters before the power of two, so a small exp(x) costs no digits.
template <class V>
TG_FN V exp_times(V x, V factor) {
  exp_reduced<V> e = exp_reduce(at_least(x, exp_lowest<V>() - constant<V>(8)));
  return scale(exp_of_reduced(e.r) * factor, e.n);
}

// expm1 = 2^n (1 + p) - 1 = 2 (2^(n-1) p + (2^(n-1) - 1/2)): one fma whatever n, also for the largest.
template <class V>
TG_FN V expm1(V x) {
  exp_reduced<V> e = exp_reduce(clip(x, constant<V>(-40), exp_highest<V>()));
  V t = pow2(e.n - constant<V>(1));
  V y = fma(t, expm1_of_reduced(e.r), t - constant<V>(0.5));
  return select(lt(abs(x), constant<V>(lane<V>::wide ? 0x1p-60 : 0x1p-30)), x, y + y);
}

// |x| < 0.55: x + x^3 P(x^2), relative error: float 1.5e-9 = 0.03 * 2^-24, double 2.1e-18 = 0.02 * 2^-53.
// Beyond: u / (u + 2) with u = expm1(2|x|); from 10 (20) on it is 1 to the last bit.
template <class V>
TG_FN V tanh(V x) {
  V a = abs(x), z = a * a, P;
  if constexpr (lane<V>::wide)
    P = horner(z, -0x1.555555555554fp-2, 0x1.1111111110797p-3, -0x1.ba1ba1b97d12bp-5, 0x1.664f485955ba7p-6,
               -0x1.226e2f10f6d36p-7, 0x1.d6d29b05b6dffp-9, -0x1.7d8fcc354af85p-10, 0x1.34836faff0b37p-11,
               -0x1.e96d373535ed8p-13, 0x1.5d6cda9717aa8p-14, -0x1.46fe1b6a97df3p-16);
  else P = horner(z, -0x1.55554ap-2f, 0x1.110ceep-3f, -0x1.b91eb6p-5f, 0x1.58e75cp-6f, -0x1.9930a0p-8f);
  V near = fma(a * z, P, a);
  V b = at_most(a, constant<V>(lane<V>::wide ? 20 : 10));
  exp_reduced<V> e = exp_reduce(b + b);
  V t = pow2(e.n);
  V u = fma(t, expm1_of_reduced(e.r), t - constant<V>(1));
  V far = u / (u + constant<V>(2));
  return copysign(select(lt(a, constant<V>(0.55)), near, far), x);
}

// With e = exp(-|x|): q = 1 / (1 + e), corrected once for the roundings of 1 + e and of the division (1 - q is
// exact), and e q for negative x.
template <class V>
TG_FN V sigmoid(V x) {
  const V one = constant<V>(1);
  V e = exp_minus_abs(x);
  V q = one / (one + e);
  q = fma(fma(-q, e, one - q), q, q);
  return select(lt(x, V{}), e * q, q);
}

// ---- logarithms: x = 2^k m with sqrt(1/2) <= m < sqrt(2) --------------------------------------------------
template <class V>
struct log_reduced {
  V k, m;
};
template <class V>
TG_FN log_reduced<V> log_reduce(V x) {  // x positive, normal, finite
  using I = typename lane<V>::I;
  using K = typename lane<I>::S;
  constexpr int shift = lane<V>::mantissa;
  constexpr K bias = lane<V>::wide ? 1023 : 127;
  const I half_root = bits(constant<V>(0x1.6a09e667f3bcdp-1));
  const I k = shift_right_logical(add_wrapping(bits(x), broadcast<I>(K(bias << shift)) - half_root), shift) -
              broadcast<I>(bias);
  return {to_float<V>(k), from_bits<V>(add_wrapping(bits(x), (-k) << shift))};
}

// On sqrt(1/2) <= 1 + f < sqrt(2): log(1 + f) - f for double, (log(1 + f) - f) / f^2 for float.
template <class V>
TG_FN V log_tail(V f) {
  if constexpr (lane<V>::wide) {
    // s = f / (2 + f), log(1 + f) = f - f^2/2 + s (f^2/2 + z R(z)), z = s^2 <= 0.02945. Error of R: 1.3e-18 =
    // 0.011 * 2^-53.
    V s = f / (f + constant<V>(2));
    V z = s * s;
    V h = (f * constant<V>(0.5)) * f;
    V R = horner(z, 0x1.5555555555592p-1, 0x1.999999997ff04p-2, 0x1.24924941e332dp-2, 0x1.c71c521262a44p-3,
                 0x1.74663d64a010ep-3, 0x1.39a1db370f94bp-3, 0x1.2f04511c51776p-3);
    return fma(s, fma(z, R, h), -h);
  } else {
    // log(1 + f) = f - f^2/2 + f^3 P(f). Error of P: 6.6e-9 = 0.11 * 2^-24.
    V P = horner(f, 0x1.555554p-2f, -0x1.000226p-2f, 0x1.99a00cp-3f, -0x1.547246p-3f, 0x1.22d9e6p-3f, -0x1.0d84f4p-3f,
                 0x1.055cb4p-3f, -0x1.38ba40p-4f);
    return fma(P, f, constant<V>(-0.5));
  }
}

// k ln2 + log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2).
template <class V>
TG_FN V log_of_reduced(V k, V f) {
  if constexpr (lane<V>::wide) {
    V low = fma(k, constant<V>(0x1.abc9e3b39803fp-56), log_tail(f));
    return fma(k, constant<V>(0x1.62e42fefa39efp-1), f + low);
  } else {
    V y = fma(log_tail(f), f * f, f);
    y = fma(k, constant<V>(-0x1.05c610p-29), y);
    return fma(k, constant<V>(0x1.62e430p-1), y);
  }
}

template <class V>
TG_FN V infinity() {
  return constant<V>(__builtin_inf());
}

// of_reduced(k, f) for x = 2^k (1 + f), and what a logarithm is at 0, below it, at inf and NaN.
template <class V, class F>
TG_FN V log_by(V x, F of_reduced) {
  constexpr bool wide = lane<V>::wide;
  auto tiny = lt(x, constant<V>(wide ? 0x1p-1022 : 0x1p-126));
  log_reduced<V> e = log_reduce(select(tiny, x * constant<V>(wide ? 0x1p54 : 0x1p25), x));
  V k = e.k - select(tiny, constant<V>(wide ? 54 : 25), V{});
  V y = of_reduced(k, e.m - constant<V>(1));
  V at_edge = select(eq(x, V{}), -infinity<V>(), select(lt(x, V{}), constant<V>(__builtin_nan("")), x));
  return select(both(gt(x, V{}), lt(x, infinity<V>())), y, at_edge);
}
template <class V>
TG_FN V log(V x) {
  return log_by(x, [](V k, V f) __attribute__((always_inline)) { return log_of_reduced(k, f); });
}

// k c2 + log(1 + f) c, c = 1 / log(base) and c2 = log(2) / log(base), each in two parts.
template <class V>
TG_FN V log_in_base(V k, V f, double c, double c_low, double c2, double c2_low) {
  V tail = log_tail(f);
  if constexpr (!lane<V>::wide) tail = tail * (f * f);
  V low = fma(k, constant_rest<V>(c2, c2_low), fma(tail, constant<V>(c), f * constant_rest<V>(c, c_low)));
  return fma(k, constant<V>(c2), fma(f, constant<V>(c), low));
}
template <class V>
TG_FN V log2(V x) {
  return log_by(x, [](V k, V f) __attribute__((always_inline)) {
    return log_in_base(k, f, 0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56, 1, 0);
  });
}
template <class V>
TG_FN V log10(V x) {
  return log_by(x, [](V k, V f) __attribute__((always_inline)) {
    return log_in_base(k, f, 0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57, 0x1.34413509f79ffp-2, -0x1.9dc1da994fd21p-59);
  });
}

// 1 + x = 2^k (1 + f); f = 2^-k x + (2^-k - 1) is rounded once, by the fma. A large x needs no 1.
template <class V>
TG_FN V log1p(V x) {
  const V one = constant<V>(1);
  V u = x + one;
  log_reduced<V> e = log_reduce(u);
  V back = pow2(-e.k);
  V f = select(gt(u, constant<V>(0x1p60)), e.m - one, fma(x, back, back - one));
  V y = log_of_reduced(e.k, f);
  V at_edge = select(eq(x, -one), -infinity<V>(), select(lt(x, -one), constant<V>(__builtin_nan("")), x));
  return select(both(both(gt(x, -one), lt(x, infinity<V>())), ne(x, V{})), y, at_edge);
}

// log1p(e) = e + e^2 P(e) for 0 <= e <= 1. Relative error: float 5.8e-9 = 0.10 * 2^-24, double 1.8e-17 =
// 0.16 * 2^-53.
template <class V>
TG_FN V log1p_of_fraction(V e) {
  V P;
  if constexpr (lane<V>::wide)
    P = horner(e, -0x1.fffffffffffefp-2, 0x1.55555555547b3p-2, -0x1.ffffffff87b20p-3, 0x1.9999998892f26p-3,
               -0x1.555553df9724cp-3, 0x1.249233caf7aafp-3, -0x1.fffe45bd467cdp-4, 0x1.c70f391ef4dd1p-4,
               -0x1.994c804d63b71p-4, 0x1.72fe82f16cf9dp-4, -0x1.5063d172cbd6bp-4, 0x1.2cb4655a47d9dp-4,
               -0x1.027f22ea6e7a5p-4, 0x1.9ccd3faeecf32p-5, -0x1.25e8a1807359ep-5, 0x1.654fb3dac110fp-6,
               -0x1.622944773efbcp-7, 0x1.0f50a438105c6p-8, -0x1.2ac2853050bcap-10, 0x1.a248e4de4462fp-13,
               -0x1.167e405c8c9afp-16);
  else
    P = horner(e, -0x1.fffff8p-2f, 0x1.5553a6p-2f, -0x1.ffc41ep-3f, 0x1.978278p-3f, -0x1.4a542cp-3f, 0x1.fea746p-4f,
               -0x1.544588p-4f, 0x1.57e96ap-5f, -0x1.bead68p-7f, 0x1.0fb4d2p-9f);
  return fma(P, e * e, e);
}

}  // namespace TG_MATH_NS
