// What reductions accumulate, once for every backend: where a chain starts, how it takes an element, how two of them are joined.
// The orders in which that is done are those of order.h.
#pragma once
#include "elementary.h"

namespace tg {

// What is accumulated over elements x: x where it is not NaN, |x|, squares of x - center, exp(x - center), y (x - center).
enum class Reduce { sum, prod, max, min, present, absolute, squares, exps, dot };

}  // namespace tg

namespace TG_MATH_NS {

template <Reduce K, class V>
TG_FN V reduce_start() {
  using S = typename lane<V>::S;
  constexpr double start = K == Reduce::prod  ? 1
                           : K == Reduce::max ? -__builtin_inf()
                           : K == Reduce::min ? __builtin_inf()
                                              : 0;
  return broadcast<V>(S(start));
}
template <Reduce K, class V>
TG_FN V reduce_join(V a, V b) {
  if constexpr (K == Reduce::prod) return a * b;
  else if constexpr (K == Reduce::max) return maximum(a, b);
  else if constexpr (K == Reduce::min) return minimum(a, b);
  else return a + b;
}
template <Reduce K, class V>
TG_FN V reduce_step(V acc, V x, V y, V center) {
  if constexpr (K == Reduce::squares) {
    const V d = x - center;
    return fma(d, d, acc);
  } else if constexpr (K == Reduce::present) {
    return acc + select(is_nan(x), V{}, x);
  } else if constexpr (K == Reduce::absolute) {
    return acc + abs(x);
  } else if constexpr (K == Reduce::dot) {
    return fma(y, x - center, acc);
  } else if constexpr (K == Reduce::exps) {
    return acc + exp(x - center);
  } else {
    return reduce_join<K>(acc, x);
  }
}

}  // namespace TG_MATH_NS
