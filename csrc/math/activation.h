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

// Quotient rounded down and the remainder with the divisor's sign, as Python's // and %. The callers refuse
// integer division by zero; here it gives 0.
template <class V>
TG_FN V floor_remainder(V a, V b) {
  if constexpr (lane<V>::floating) {
    V m = fmod(a, b);
    return select(both(ne(m, V{}), ne(copysign(constant<V>(1), m), copysign(constant<V>(1), b))), m + b, m);
  } else {
    if (b == V{}) return V{};
    if constexpr (V(-1) < V(0))
      if (b == V(-1)) return V{};  // the quotient may overflow
    V m = V(a % b);
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
