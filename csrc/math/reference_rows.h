// Reductions, softmax, losses, normalisation and random numbers as plain loops in the canonical orders of order.h. The
// kernels are compared with these bit for bit; exports may paste them. S is float or double; x_step and the like are the
// distances between the elements of a row.
#pragma once
#include "elementary.h"
#include "order.h"
#include "philox.h"

namespace tg::reference {

// piece(0) .. piece(count - 1) joined in the binary tree; `identity` if there is none.
template <class S, class Piece, class Join>
TG_FN S tree_order(int64_t count, S identity, Piece piece, Join join) {
  S entry[64];
  int entries = 0;
  for (int64_t i = 0; i < count; i++) {
    S p = piece(i);
    for (int merges = tree_merges(i); merges > 0; merges--) p = join(entry[--entries], p);
    entry[entries++] = p;
  }
  if (entries == 0) return identity;
  S total = entry[--entries];
  while (entries > 0) total = join(entry[--entries], total);
  return total;
}

// step(acc, i) takes element i < n into a chain. Row order: 16 lanes, each a tree of chains of 64, folded by halves.
template <class S, class Step, class Join>
TG_FN S row_order(int64_t n, S identity, Step step, Join join) {
  S lane[row_lanes];
  for (int l = 0; l < row_lanes; l++) {
    const int64_t terms = (n - l + row_lanes - 1) / row_lanes;
    auto chain = [&](int64_t piece) {
      S acc = identity;
      for (int64_t t = piece * row_shard; t < terms && t < (piece + 1) * row_shard; t++)
        acc = step(acc, t * row_lanes + l);
      return acc;
    };
    lane[l] = tree_order(terms > 0 ? (terms + row_shard - 1) / row_shard : 0, identity, chain, join);
  }
  for (int half = row_lanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++) lane[l] = join(lane[l], lane[l + half]);
  return lane[0];
}

// Batch order: a tree of chains of shard_rows(M) rows.
template <class S, class Step, class Join>
TG_FN S batch_order(int64_t M, S identity, Step step, Join join) {
  const int64_t rows = shard_rows(M);
  auto chain = [&](int64_t shard) {
    S acc = identity;
    for (int64_t m = shard * rows; m < M && m < (shard + 1) * rows; m++) acc = step(acc, m);
    return acc;
  };
  return tree_order(shards_of(M), identity, chain, join);
}

// One sum in either order.
template <class S, class Step>
TG_FN S ordered_sum(bool by_row, int64_t n, Step step) {
  auto join = [](S a, S b) { return a + b; };
  return by_row ? row_order(n, S(0), step, join) : batch_order(n, S(0), step, join);
}

// ---- reductions of x[0], x[x_step], .. (n elements) -------------------------------------------------------------------
template <class S>
TG_FN S sum(bool by_row, int64_t n, const S* x, int64_t x_step) {
  return ordered_sum<S>(by_row, n, [&](S acc, int64_t i) { return acc + x[i * x_step]; });
}
template <class S>
TG_FN S prod(bool by_row, int64_t n, const S* x, int64_t x_step) {
  auto step = [&](S acc, int64_t i) { return acc * x[i * x_step]; };
  auto join = [](S a, S b) { return a * b; };
  return by_row ? row_order(n, S(1), step, join) : batch_order(n, S(1), step, join);
}
template <class S>
TG_FN S amax(int64_t n, const S* x, int64_t x_step) {
  S m = -S(__builtin_inf());
  for (int64_t i = 0; i < n; i++) m = maximum(m, x[i * x_step]);
  return m;
}
template <class S>
TG_FN S amin(int64_t n, const S* x, int64_t x_step) {
  S m = S(__builtin_inf());
  for (int64_t i = 0; i < n; i++) m = minimum(m, x[i * x_step]);
  return m;
}
template <class S>
TG_FN int64_t argmax(int64_t n, const S* x, int64_t x_step, bool least) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++) {
    const S v = x[i * x_step], b = x[best * x_step];
    if ((least ? v < b : v > b) || (v != v && b == b)) best = i;
  }
  return best;
}
template <class S>
TG_FN S mean(bool by_row, int64_t n, const S* x, int64_t x_step) {
  return sum(by_row, n, x, x_step) / S(n);
}
template <class S>
TG_FN S squares(bool by_row, int64_t n, const S* x, int64_t x_step, S center) {
  return ordered_sum<S>(by_row, n, [&](S acc, int64_t i) {
    const S d = x[i * x_step] - center;
    return fma(d, d, acc);
  });
}
template <class S>
TG_FN S var(bool by_row, int64_t n, const S* x, int64_t x_step, double correction) {
  const double left = double(n) - correction;
  return squares(by_row, n, x, x_step, mean(by_row, n, x, x_step)) / S(left > 0 ? left : 0);
}
template <class S>
TG_FN S logsumexp(bool by_row, int64_t n, const S* x, int64_t x_step) {
  S m = amax(n, x, x_step);
  if (m == S(__builtin_inf()) || m == -S(__builtin_inf())) m = 0;
  return m + log(ordered_sum<S>(by_row, n, [&](S acc, int64_t i) { return acc + exp(x[i * x_step] - m); }));
}

// ---- softmax of a row ----------------------------------------------------------------------------------------------------
template <class S>
TG_FN S sum_of_exp(int64_t n, const S* x, int64_t x_step, S m) {
  return ordered_sum<S>(true, n, [&](S acc, int64_t i) { return acc + exp(x[i * x_step] - m); });
}
template <class S>
TG_FN void softmax(int64_t n, const S* x, S* y, int64_t step) {
  const S m = amax(n, x, step), inverse = S(1) / sum_of_exp(n, x, step, m);
  for (int64_t i = 0; i < n; i++) y[i * step] = exp(x[i * step] - m) * inverse;
}
template <class S>
TG_FN void log_softmax(int64_t n, const S* x, S* y, int64_t step) {
  const S m = amax(n, x, step), l = log(sum_of_exp(n, x, step, m));
  for (int64_t i = 0; i < n; i++) y[i * step] = (x[i * step] - m) - l;
}
template <class S>
TG_FN void softmax_backward(int64_t n, const S* g, const S* y, S* dx, int64_t step) {
  const S s = ordered_sum<S>(true, n, [&](S acc, int64_t i) { return fma(g[i * step], y[i * step], acc); });
  for (int64_t i = 0; i < n; i++) dx[i * step] = y[i * step] * (g[i * step] - s);
}
template <class S>
TG_FN void log_softmax_backward(int64_t n, const S* g, const S* y, S* dx, int64_t step) {
  const S s = sum(true, n, g, step);
  for (int64_t i = 0; i < n; i++) dx[i * step] = fma(-exp(y[i * step]), s, g[i * step]);
}

// ---- cross-entropy of a row; weight may be null; target < 0: the row is ignored ------------------------------------------
template <class S>
struct RowLoss {
  S loss, lse, counted;
};
template <class S>
TG_FN RowLoss<S> cross_entropy(int64_t classes, const S* x, int64_t target, const S* weight, double smoothing) {
  const S m = amax(classes, x, 1), l = log(sum_of_exp(classes, x, 1, m));
  if (target < 0) return {S(0), m + l, S(0)};
  const S w = weight ? weight[target] : S(1);
  S loss = w * (l - (x[target] - m));
  if (smoothing > 0) {
    const S all = ordered_sum<S>(true, classes,
                                 [&](S acc, int64_t c) { return fma(weight ? weight[c] : S(1), l - (x[c] - m), acc); });
    loss = fma(S(smoothing / double(classes)), all, S(1 - smoothing) * loss);
  }
  return {loss, m + l, w};
}
template <class S>
TG_FN void cross_entropy_backward(int64_t classes, const S* x, S lse, int64_t target, const S* weight, double smoothing,
                                  S scale, S* dx) {
  const S share = S(smoothing / double(classes));
  const S hit = target < 0 ? S(0) : S(1 - smoothing) * (weight ? weight[target] : S(1));
  S smoothed = 0;
  if (smoothing > 0)
    smoothed =
        share * ordered_sum<S>(true, classes, [&](S acc, int64_t c) { return acc + (weight ? weight[c] : S(1)); });
  for (int64_t c = 0; c < classes; c++) {
    S q = c == target ? hit : S(0);
    if (smoothing > 0) q = fma(share, weight ? weight[c] : S(1), q);
    dx[c] = target < 0 ? S(0) : fma(exp(x[c] - lse), hit + smoothed, -q) * scale;
  }
}

// ---- binary cross-entropy of one logit ----------------------------------------------------------------------------------
template <class S>
TG_FN S bce_with_logits(S x, S t, S weight, S pos_weight) {
  const S f = log1p(exp(-abs(x))) + (x < 0 ? -x : S(0));
  return fma(S(1) - t, x, fma(t, pos_weight - S(1), S(1)) * f) * weight;
}
template <class S>
TG_FN S bce_with_logits_backward(S x, S t, S weight, S pos_weight, S scale) {
  return fma(fma(t, pos_weight - S(1), S(1)), sigmoid(x), -(pos_weight * t)) * weight * scale;
}

// ---- batch normalisation of one channel: M values x[0], x[x_step], .. ----------------------------------------------------
template <class S>
struct ChannelStatistics {
  S mean, squares, invstd;
};
template <class S>
TG_FN ChannelStatistics<S> channel_statistics(int64_t M, const S* x, int64_t x_step, S eps) {
  const S m = mean(false, M, x, x_step), s = squares(false, M, x, x_step, m);
  return {m, s, S(1) / sqrt(s / S(M) + eps)};
}
template <class S>
TG_FN S batch_norm(S x, S mean, S invstd, S weight, S bias) {
  const S s = weight * invstd;
  return fma(x, s, fma(-mean, s, bias));
}

// ---- random numbers --------------------------------------------------------------------------------------------------------
// The 32-bit word `i` of a call's stream of bits.
TG_FN uint32_t random_word(RandomKey key, int64_t i) {
  const int64_t group = i / random_group_words, j = i % random_group_words;
  auto block = random_counter<uint64_t>(key, uint64_t(group * random_group_blocks + j % 16 / 2));
  philox<1>(&block, key.seed);
  return uint32_t(block.word[2 * (j / 16) + j % 2]);
}
TG_FN uint64_t random_long(RandomKey key, int64_t i) {
  return random_word(key, 2 * i) | uint64_t(random_word(key, 2 * i + 1)) << 32;
}
TG_FN float random_unit(RandomKey key, int64_t i, float) { return float(random_word(key, i) >> 8) * 0x1p-24f; }
TG_FN double random_unit(RandomKey key, int64_t i, double) { return double(random_long(key, i) >> 11) * 0x1p-53; }

template <class S>
TG_FN S uniform(RandomKey key, int64_t i, S low, S high, S below) {
  const S v = fma(random_unit(key, i, S()), high - low, low);
  return v < high ? v : below;
}
template <class S>
TG_FN S normal(RandomKey key, int64_t i, S mean, S std) {
  const int64_t group = 128 / int64_t(sizeof(S)), half = group / 2, first = i / group * group + i % half;
  const S u = random_unit(key, first, S()) + S(sizeof(S) == 4 ? 0x1p-24 : 0x1p-53);
  const S r = sqrt(log(u) * S(-2)), w = random_unit(key, first + half, S()) * S(6.283185307179586476925);
  return fma(r * (i % group < half ? cos(w) : sin(w)), std, mean);
}
TG_FN bool dropout_keeps(RandomKey key, int64_t i, double p) {
  return p < 1 && random_word(key, i) >= uint32_t(p * 0x1p32);
}

}  // namespace tg::reference
