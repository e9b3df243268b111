// Losses over logits and their gradients: rows as in softmax.h.
#pragma once
#include "elementary.h"

namespace TG_MATH_NS {

// Targets as a distribution over classes: q[c] = fma(share, weight[c], keep weight[target] [c == target]), with
// keep = 1 - label_smoothing, share = label_smoothing / classes (the first term only if smoothing). A type of targets has the
// members smoothing, keep, share and weight (of the classes; read only if smoothing).

// Of each lane's row.
template <class V>
struct TargetLanes {
  typename lane<V>::I index;  // of the class, -1 where the row is ignored
  V weight;                   // of it
};

// m = max x, s = sum exp(x - m) in row order:
//   lse = m + log s,  -log p[c] = log s - (x[c] - m)
//   loss = weight (-log p[target]); smoothing: fma(share, sum of fma(weight[c], -log p[c], ..) in row order, keep loss)
// An ignored row has loss 0. `logit` is the target's (anything if ignored).
template <class Row, class X, class Targets, class V = typename Row::V>
TG_FN void cross_entropy_row(const Row& row, X x, const TargetLanes<V>& target, V logit, const Targets& t, V* loss,
                             V* lse) {
  const V m = row.largest([&](int64_t i, auto k) __attribute__((always_inline)) { return row.get(x, i, k); });
  const V s =
      row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) { return acc + exp(row.get(x, i, k) - m); });
  const V l = log(s);
  *lse = m + l;
  V value = target.weight * (l - (logit - m));
  if (t.smoothing) {
    const V all = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
      return fma(row.shared(t.weight, i, k), l - (row.get(x, i, k) - m), acc);
    });
    value = fma(broadcast<V>(t.share), all, broadcast<V>(t.keep) * value);
  }
  using I = typename lane<V>::I;
  *loss = select(lt(target.index, I{}), V{}, value);
}

// dx[c] = fma(exp(x[c] - lse), q_sum, -q[c]) scale, q_sum = keep weight[target] + smoothed, smoothed = share * sum of weight
template <class Row, class X, class D, class Targets, class V = typename Row::V>
TG_FN void cross_entropy_backward_row(const Row& row, X x, const TargetLanes<V>& target, V lse, V scale,
                                      const Targets& t, V smoothed, D dx) {
  using I = typename lane<V>::I;
  const V hit = broadcast<V>(t.keep) * target.weight;
  const V q_sum = hit + smoothed;
  const auto ignored = lt(target.index, I{});
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    V q = select(row.is_at(i, target.index), hit, V{});
    if (t.smoothing) q = fma(broadcast<V>(t.share), row.shared(t.weight, i, k), q);
    const V d = fma(exp(row.get(x, i, k) - lse), q_sum, -q) * scale;
    row.put(dx, i, k, select(ignored, V{}, d));
  });
}

// ---- binary cross-entropy of logits x and targets t; a weight counts where `weighs`, one of the positives where `positive`
// 1 + t (pos_weight - 1): the weight of log-sigmoid(x)
template <class V>
TG_FN V positive_side(V t, V pos_weight) {
  const V one = broadcast<V>(1);
  return fma(t, pos_weight - one, one);
}

// f = log1p(exp(-|x|)) + max(-x, 0),  loss = fma(1 - t, x, positive side f) weight
template <class V>
TG_FN V bce_loss(V x, V t, bool weighs, V weight, bool positive, V pos_weight) {
  const V f = log1p(exp(-abs(x))) + select(lt(x, V{}), -x, V{});
  const V loss = fma(broadcast<V>(1) - t, x, positive ? positive_side(t, pos_weight) * f : f);
  return weighs ? loss * weight : loss;
}

// dx = fma(positive side, sigmoid(x), -pos_weight t) weight scale
template <class V>
TG_FN V bce_gradient(V x, V t, bool weighs, V weight, bool positive, V pos_weight, V scale) {
  const V p = sigmoid(x);
  V d;
  if (positive) d = fma(positive_side(t, pos_weight), p, -(pos_weight * t));
  else d = p - t;
  if (weighs) d = d * weight;
  return d * scale;
}

}  // namespace TG_MATH_NS
