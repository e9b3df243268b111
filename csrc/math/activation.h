// Functions that rows of pointwise.def name and that are not elementary: activations whose plain formula
// would cancel or lose digits, and arithmetic whose meaning differs between floating-point and integer lanes.
#pragma once
#include "elementary.h"

namespace TG_MATH_NS {

// ---- arithmetic -------------------------------------------------------------------------------------------
// Integers wrap around as in numpy; a signed overflow would be undefined.
template <class V>
TG_FN V sum(V a, V b) {
  if constexpr (lane<V>::floating) return a + b;
  else return V(uint64_t(a) + uint64_t(b));
}
template <class V>
TG_FN V difference(V a, V b) {
  if constexpr (lane<V>::floating) return a - b;
  else return V(uint64_t(a) - uint64_t(b));
}
template <class V>
TG_FN V product(V a, V b) {
  if constexpr (lane<V>::floating) return a * b;
  else return V(uint64_t(a) * uint64_t(b));
}
template <class V>
TG_FN V negative(V x) {
  if constexpr (lane<V>::floating) return -x;
  else return difference(V{}, x);
}
template <class V>
TG_FN V magnitude(V x) {
  if constexpr (lane<V>::floating) return abs(x);
  else return x < V{} ? negative(x) : x;
}
template <class V>
TG_FN V signum(V x) {  // 0 for zeros, NaN for NaN
  const V one = constant<V>(1);
  if constexpr (lane<V>::floating) return select(gt(x, V{}), one, select(lt(x, V{}), -one, select(is_nan(x), x, V{})));
  else return x > V{} ? one : x < V{} ? negative(one) : V{};
}

// A derivative that is 1 where the condition holds and 0 elsewhere. There no gradient comes through, be it infinite.
template <class V>
struct gate {
  typename lane<V>::M open;
};
template <class V>
TG_FN V operator*(V gradient, gate<V> g) {
  return select(g.open, gradient, copysign(V{}, gradient));
}

// The remainder of the quotient rounded to 0, with the dividend's sign, as C's % and fmod. The callers refuse integer
// division by zero; here it gives 0.
template <class V>
TG_FN V truncated_remainder(V a, V b) {
  if constexpr (lane<V>::floating) {
    return fmod(a, b);
  } else {
    if (b == V{}) return V{};
    if constexpr (V(-1) < V(0))
      if (b == V(-1)) return V{};  // the quotient may overflow
    return V(a % b);
  }
}
template <class V>
TG_FN V truncated_quotient(V a, V b) {
  if constexpr (lane<V>::floating) {
    return trunc(a / b);
  } else {
    if (b == V{}) return V{};
    if constexpr (V(-1) < V(0))
      if (b == V(-1)) return negative(a);
    return V(a / b);
  }
}
// Quotient rounded down and the remainder with the divisor's sign, as Python's // and %. The callers refuse
// integer division by zero; here it gives 0.
template <class V>
TG_FN V floor_remainder(V a, V b) {
  if constexpr (lane<V>::floating) {
    V m = fmod(a, b);
    return select(both(ne(m, V{}), ne(copysign(constant<V>(1), m), copysign(constant<V>(1), b))), m + b, m);
  } else {
    V m = truncated_remainder(a, b);
    return m != V{} && (m < V{}) != (b < V{}) ? V(m + b) : m;
  }
}
template <class V>
TG_FN V floor_quotient(V a, V b) {
  if constexpr (lane<V>::floating) {
    const V one = constant<V>(1);
    V m = fmod(a, b);
    V q = (a - m) / b;  // integral but for rounding
    q = select(both(ne(m, V{}), ne(copysign(one, m), copysign(one, b))), q - one, q);
    V down = floor(q);
    V nearest = select(gt(q - down, constant<V>(0.5)), down + one, down);
    V quotient = select(eq(q, V{}), copysign(V{}, a / b), nearest);
    return select(eq(b, V{}), a / b, quotient);
  } else {
    if (b == V{}) return V{};
    if constexpr (V(-1) < V(0))
      if (b == V(-1)) return negative(a);
    V q = V(a / b);
    return a % b != V{} && (a < V{}) != (b < V{}) ? V(q - V(1)) : q;
  }
}

// Integers: by repeated squaring, wrapping; a negative exponent leaves 1 / a^|b| rounded towards zero.
template <class V>
TG_FN V power(V a, V b) {
  if constexpr (lane<V>::floating) {
    // A square is the product, correctly rounded; lanes that share a vector with other exponents get the same bits.
    if (!any(ne(b, constant<V>(2)))) return a * a;
    return select(eq(b, constant<V>(2)), a * a, pow(a, b));
  } else {
    if (b < V{}) {
      if (a == V(1)) return a;
      if (a == V(-1)) return b % V(2) == V{} ? V(1) : a;
      return V{};
    }
    V y = V(1);
    for (uint64_t n = uint64_t(b); n; n >>= 1) {
      if (n & 1) y = product(y, a);
      a = product(a, a);
    }
    return y;
  }
}

// Bits of integers and bools. A shift by less than 0 or by all bits leaves what an endless row of single shifts would.
template <class V>
TG_FN V complement(V x) {
  if constexpr (__is_same(V, bool)) return !x;
  else return V(~x);
}
template <class V>
TG_FN V shifted_left(V a, V b) {
  constexpr V bits = 8 * sizeof(V);
  const bool inside = b >= V{} && b < bits;
  const V shifted = V(uint64_t(a) << (inside ? b : V{}));
  return inside ? shifted : V{};
}
template <class V>
TG_FN V shifted_right(V a, V b) {
  constexpr V last = 8 * sizeof(V) - 1;
  const bool inside = b >= V{} && b <= last;
  const V sign = a < V{} ? V(-1) : V{};
  const V shifted = V(a >> (inside ? b : last));
  return inside ? shifted : sign;
}

// Rounding to integral values; integers are what they are.
template <class V>
TG_FN V rounded_down(V x) {
  if constexpr (lane<V>::floating) return floor(x);
  return x;
}
template <class V>
TG_FN V rounded_up(V x) {
  if constexpr (lane<V>::floating) return ceil(x);
  return x;
}
template <class V>
TG_FN V rounded_to_even(V x) {
  if constexpr (lane<V>::floating) return rint(x);
  return x;
}
template <class V>
TG_FN V rounded_to_zero(V x) {
  if constexpr (lane<V>::floating) return trunc(x);
  return x;
}
template <class V>
TG_FN typename lane<V>::M is_infinite(V x) {
  if constexpr (lane<V>::floating) return eq(abs(x), infinity<V>());
  return typename lane<V>::M{};
}

// ---- activations ------------------------------------------------------------------------------------------
// x sigmoid(x); for negative x the factor x enters before the power of two, so that the tail keeps its
// digits.
template <class V>
TG_FN V silu(V x) {
  V a = abs(x);
  exp_reduced<V> r = exp_reduce(at_least(-a, exp_lowest<V>() - constant<V>(8)));
  V u = exp_of_reduced(r.r);
  V numerator = select(lt(x, V{}), scale(u * x, r.n), x);
  V y = numerator / (constant<V>(1) + scale(u, r.n));
  return select(lt(x, exp_lowest<V>() - constant<V>(8)), constant<V>(-0.0), y);
}

// x sigmoid(z), z = x (c + k x^2): gelu with tanh for erf. z is computed in two parts, for exp(-z) multiplies its error
// by z.
template <class V>
TG_FN V gelu_tanh_reach() {  // beyond, sigmoid(-z) rounds to 0
  return constant<V>(lane<V>::wide ? 22 : 12);
}
template <class V>
TG_FN V gelu_tanh(V x) {
  constexpr double ch = 0x1.9884533d43651p+0, cl = -0x1.cbc0d30ebfd15p-54;  // sqrt(8 / pi)
  constexpr double kh = 0x1.2444f2a4d8b4bp-4, kl = -0x1.6c843a29d1c70p-61;  // 0.044715 of it
  const V c = constant<V>(ch), k = constant<V>(kh), one = constant<V>(1);
  V a = at_most(abs(x), gelu_tanh_reach<V>());
  V square = a * a, square_low = fma(a, a, -square);
  V w = fma(k, square, c), t = w - c;
  V w_low = (c - (w - t)) + fma(k, square, -t);
  w_low = w_low + fma(k, square_low, fma(constant_rest<V>(kh, kl), square, constant_rest<V>(ch, cl)));
  V z = a * w, z_low = fma(a, w_low, fma(a, w, -z));
  exp_reduced<V> e = exp_reduce(-z);
  V u = exp_of_reduced(e.r);
  u = fma(-z_low, u, u);
  V numerator = select(lt(x, V{}), scale(u * x, e.n), x);
  V y = numerator / (one + scale(u, e.n));
  return select(lt(x, -gelu_tanh_reach<V>()), constant<V>(-0.0), y);
}
template <class V>
TG_FN V gelu_tanh_slope(V x) {
  const V c = constant<V>(0x1.9884533d43651p+0), k = constant<V>(0x1.2444f2a4d8b4bp-4);
  V a = clip(x, -gelu_tanh_reach<V>(), gelu_tanh_reach<V>());  // 0 times inf is not meant
  V square = a * a, s = sigmoid(a * fma(k, square, c)), r = sigmoid(-a * fma(k, square, c));
  return fma(a * fma(k * constant<V>(3), square, c), s * r, s);
}
template <class V>
TG_FN V gelu_tanh_curvature(V x) {
  const V c = constant<V>(0x1.9884533d43651p+0), k = constant<V>(0x1.2444f2a4d8b4bp-4);
  V a = clip(x, -gelu_tanh_reach<V>(), gelu_tanh_reach<V>());
  V square = a * a, s = sigmoid(a * fma(k, square, c)), r = sigmoid(-a * fma(k, square, c));
  V slope = fma(k * constant<V>(3), square, c);  // of z
  V inner = fma(slope * slope, r - s, k * constant<V>(6) * a);
  return s * r * fma(a, inner, slope + slope);
}

// x tanh(log(1 + e)) = x w / (w + 2), w = e (e + 2), e = exp(x); for negative x as in silu.
template <class V>
TG_FN V mish(V x) {
  const V two = constant<V>(2), lowest = exp_lowest<V>() - constant<V>(8);
  exp_reduced<V> r = exp_reduce(clip(x, lowest, constant<V>(20)));  // 1 to the last bit from there on
  V u = exp_of_reduced(r.r), e = scale(u, r.n), beyond = e + two;
  auto negative = lt(x, V{});
  V q = select(negative, scale(u * x * beyond, r.n), e * beyond) / fma(e, beyond, two);
  return select(lt(x, lowest), constant<V>(-0.0), select(negative, q, x * q));
}
// With d = w + 2 and t = w / d: t' = 4 e (e + 1) / d^2, t'' = 4 e (2 + 2e - 3e^2 - 2e^3) / d^3.
template <class V>
TG_FN V mish_slope(V x) {
  const V one = constant<V>(1), two = constant<V>(2);
  V a = clip(x, exp_lowest<V>(), constant<V>(40)), e = exp(at_most(a, constant<V>(lane<V>::wide ? 40 : 20)));
  V w = e * (e + two), q = one / fma(e, e + two, two);
  return fma(a, constant<V>(4) * (e * q) * ((e + one) * q), w * q);
}
template <class V>
TG_FN V mish_curvature(V x) {
  const V one = constant<V>(1), two = constant<V>(2), four = constant<V>(4);
  V a = clip(x, exp_lowest<V>(), constant<V>(40)), e = exp(at_most(a, constant<V>(lane<V>::wide ? 40 : 20)));
  V q = one / fma(e, e + two, two);
  V first = four * (e * q) * ((e + one) * q);
  V second = four * (e * q) * (horner(e, 2, 2, -3, -2) * q) * q;
  return fma(a, second, first + first);
}

template <class V>
TG_FN V softsign(V x) {
  V a = abs(x);
  return select(eq(a, infinity<V>()), copysign(constant<V>(1), x), x / (constant<V>(1) + a));
}
// 0 below -3, 1 above 3, a straight line between.
template <class V>
TG_FN V hard_step(V x) {
  return (clip(x, constant<V>(-3), constant<V>(3)) + constant<V>(3)) * constant<V>(1.0 / 6);
}

// ---- factors of derivatives
template <class V>
TG_FN V ln2() {
  return constant<V>(0x1.62e42fefa39efp-1);
}
template <class V>
TG_FN V ln10() {
  return constant<V>(0x1.26bb1bbb55516p+1);
}
template <class V>
TG_FN V one_minus_square(V x) {
  return (constant<V>(1) - x) * (constant<V>(1) + x);
}

// The normal distribution: density and cumulative.
template <class V>
TG_FN V normal_density(V x) {
  V a = at_most(abs(x), normal_reach<V>());
  return exp_minus_product(a, a * constant<V>(0.5), constant<V>(0x1.9884533d43651p-2));
}
template <class V>
TG_FN V normal_cumulative(V x) {
  V a = at_most(abs(x), normal_reach<V>());
  V t = erfcx_in_units(a, 0x1.6a09e667f3bcdp+0) * constant<V>(0.5);
  V tail = exp_minus_product(a, a * constant<V>(0.5), t);
  return select(gt(x, V{}), constant<V>(1) - tail, tail);
}
// x normal_cumulative(x) = max(x, 0) - |x| tail(|x|).
template <class V>
TG_FN V gelu(V x) {
  V t = normal_tail_times(abs(x));
  // A zero with the sign of x, not a constant: a compiler may take x < 0 ? -0.0 : x for a maximum, and then +0 is lost.
  return select(le(x, V{}), copysign(V{}, x), x) - t;
}
template <class V>
TG_FN V gelu_slope(V x) {
  V a = clip(x, -normal_reach<V>(), normal_reach<V>());  // 0 times inf is not meant
  return fma(a, normal_density(a), normal_cumulative(a));
}
template <class V>
TG_FN V gelu_curvature(V x) {
  V a = clip(x, -normal_reach<V>(), normal_reach<V>());
  return normal_density(a) * fma(-a, a, constant<V>(2));
}

// The derivative of erf: 2/sqrt(pi) exp(-x^2).
template <class V>
TG_FN V erf_slope(V x) {
  V a = at_most(abs(x), constant<V>(lane<V>::wide ? 28 : 10.5));
  return exp_minus_product(a, a, constant<V>(0x1.20dd750429b6dp+0));
}

// selu's constants: its scale, and scale times alpha.
template <class V>
TG_FN V selu_scale() {
  return constant<V>(1.0507009873554804934193349852946);
}
template <class V>
TG_FN V selu_low() {
  return constant<V>(1.7580993408473768599402175208123);
}

// log(1 + exp(beta x)) / beta = max(x, 0) + log1p(exp(-|beta x|)) / beta; the identity above the threshold.
template <class V>
TG_FN V softplus(V x, V beta, V threshold) {
  V z = x * beta;
  V small = log1p_of_fraction(exp_minus_abs(z)) / beta;
  return select(gt(z, threshold), x, select(gt(z, V{}), x + small, small));
}

}  // namespace TG_MATH_NS
