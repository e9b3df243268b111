// What normalisation makes of the sums over its elements, and what it does to each, for any lane type V. Sums of batch
// normalisation are those of a channel, in batch order; of layer normalisation those of a row, in row order.
#pragma once
#include "elementary.h"

namespace TG_MATH_NS {

// ---- batch normalisation: y = fma(x, s, t) in training and evaluation
template <class V>
TG_FN V inverse_deviation(V variance, V eps) {
  return broadcast<V>(1) / sqrt(variance + eps);
}
template <class V>
TG_FN V running_statistic(V before, V of_batch, V momentum) {
  return fma(momentum, of_batch, (broadcast<V>(1) - momentum) * before);
}
template <class V>
struct AffineFactors {
  V s, t;
};
template <class V>
TG_FN AffineFactors<V> affine_factors(V mean, V invstd, V weight, V bias) {
  const V s = weight * invstd;
  return {s, fma(-mean, s, bias)};
}

// With d = x - mean: dbias = sum g, dweight = invstd dot, dot = sum fma(g, d, .), and
// dx = fma(-d, dweight invstd / count, g - dbias / count) weight invstd.
template <class V>
struct GradientFactors {
  V dweight, k, g_mean, s;
};
template <class V>
TG_FN GradientFactors<V> gradient_factors(V dbias, V dot, V invstd, V weight, V count) {
  const V dweight = dot * invstd;
  return {dweight, dweight * invstd / count, dbias / count, weight * invstd};
}
template <class V>
TG_FN V normalized_gradient(V g, V x, V mean, V k, V g_mean, V s) {
  return fma(mean - x, k, g - g_mean) * s;
}

// ---- layer normalisation of a row (softmax.h says what a Row is)
// With mean = sum x / n:  rstd = 1 / sqrt(sum (x - mean)^2 / n + eps),  y = fma((x - mean) rstd, weight, bias)
template <class Row, class X, class W, class Y, class V = typename Row::V, class S = typename Row::S>
TG_FN void layer_norm_row(const Row& row, X x, W weight, W bias, S eps, Y y, V* mean, V* rstd) {
  const V n = broadcast<V>(S(row.n));
  const V first =
      row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) { return acc + row.get(x, i, k); }) / n;
  // The rounding of the mean, which 1/std would multiply where the row is nearly constant.
  const V m = first + row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
    return acc + (row.get(x, i, k) - first);
  }) / n;
  const V squares = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
    const V d = row.get(x, i, k) - m;
    return fma(d, d, acc);
  });
  const V r = inverse_deviation(squares / n, broadcast<V>(eps));
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    row.put(y, i, k, fma((row.get(x, i, k) - m) * r, row.shared(weight, i, k), row.shared(bias, i, k)));
  });
  *mean = m;
  *rstd = r;
}

// What the gradient of the weight is a sum of: fma(g, this, .).
template <class V>
TG_FN V standardized(V x, V mean, V rstd) {
  return (x - mean) * rstd;
}
// With d = x - mean, a = sum fma(g, weight, .), b = sum fma(g weight, d, .), k = b rstd rstd / n:
//   dx = fma(-d, k, fma(g, weight, -(a / n))) rstd
// after(i, k, x) is called behind each element, whose x may be overwritten by then.
template <class Row, class G, class X, class W, class D, class After, class V = typename Row::V,
          class S = typename Row::S>
TG_FN void layer_norm_backward_row(const Row& row, G g, X x, W weight, V mean, V rstd, D dx, After after) {
  const V n = broadcast<V>(S(row.n));
  const V sum = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
    return fma(row.get(g, i, k), row.shared(weight, i, k), acc);
  });
  const V dot = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
    return fma(row.get(g, i, k) * row.shared(weight, i, k), row.get(x, i, k) - mean, acc);
  });
  const V offset = -(sum / n), slope = dot * rstd * rstd / n;
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    const V value = row.get(x, i, k);
    const V own = fma(row.get(g, i, k), row.shared(weight, i, k), offset);
    after(i, k, value);
    row.put(dx, i, k, fma(-(value - mean), slope, own) * rstd);
  });
}

}  // namespace TG_MATH_NS
