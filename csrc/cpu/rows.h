// Kernels of one ISA for reductions, softmax, losses, normalisation and random numbers. Plain structs and function
// pointers; every ISA exports one RowsTable<float> and one RowsTable<double>. "Row order" and "batch order" are those of
// csrc/math/order.h. A kernel works on the part of a problem that it is given; who shares out the parts never matters.
#pragma once
#include <stdint.h>

#include "math/philox.h"
#include "math/reduce.h"

namespace tg {

// out[r] = the reduction of row r, x[r x_row + i] for i < n, in row order; center[r] where the kind needs it.
template <class T>
struct ReduceRows {
  Reduce kind;
  int64_t rows, n;
  const T* x;
  int64_t x_row;
  const T* center;
  T* out;
  bool fold = true;  // false: out(rows, 16) takes the totals of the 16 lanes
};

// out[r] = the sum over i < n of x[r x_row + i] y[r y_row + i], each step an fma, in row order.
template <class T>
struct DotRows {
  int64_t rows, n;
  const T* x;
  int64_t x_row;
  const T* y;
  int64_t y_row;
  T* out;
  bool fold = true;  // as above
};

// out[c] = the reduction of column c of x(M,N) in batch order, with shards of `shard` rows; kind dot: also y(M,N).
template <class T>
struct ReduceColumns {
  Reduce kind;
  int64_t M, N, shard;
  const T* x;
  int64_t x_row;
  const T* y;
  int64_t y_row;
  const T* center;  // (N)
  T* out;           // (N)
};

// Index of the first greatest (or least) element; NaN beats everything. n, M <= 2^30.
template <class T>
struct ArgRows {
  bool least;
  int64_t rows, n;
  const T* x;
  int64_t x_row;
  int64_t* out;
};
template <class T>
struct ArgColumns {
  bool least;
  int64_t M, N;
  const T* x;
  int64_t x_row;
  int64_t* out;
};

// Contiguous (outer, n, inner); row r = (r / inner, :, r % inner) for first <= r < last. Sums in row order.
//   softmax: e = exp(x - max), y = e (1 / sum e)       log: y = (x - max) - log(sum e)
template <class T>
struct Softmax {
  bool log;
  int64_t n, inner, first, last;
  const T* x;
  T* y;
};
//   softmax: dx = y (g - sum g y)                       log: dx = g - exp(y) sum g
template <class T>
struct SoftmaxBackward {
  bool log;
  int64_t n, inner, first, last;
  const T *g, *y;
  T* dx;
};

// Class indices and how they are weighted (math/loss.h).
template <class T>
struct Targets {
  const int64_t* index;
  const T* weight;  // (classes), or null: ones; never null when smoothing
  int64_t ignore;
  bool smoothing;
  T keep, share;
};

// Rows first..last-1 of x(M, classes), unit stride along the classes. A row with the ignored target has loss and counted 0.
template <class T>
struct CrossEntropy {
  int64_t classes, first, last;
  const T* x;
  int64_t x_row;
  Targets<T> targets;
  T *loss, *lse, *counted;  // (M); counted: the weight of the target
};
template <class T>
struct CrossEntropyBackward {
  int64_t classes, first, last;
  const T* x;
  int64_t x_row;
  Targets<T> targets;
  T smoothed;  // share * sum of weight
  const T* lse;
  const T* scale;  // of row r: scale[r scale_step]
  int64_t scale_step;
  T* dx;  // (M, classes), contiguous
};

template <class T>
struct BceWithLogits {
  int64_t n;
  const T *x, *target, *weight, *pos_weight;  // (n); weight, pos_weight may be null
  T* loss;
};
template <class T>
struct BceWithLogitsBackward {
  int64_t n;
  const T *x, *target, *weight, *pos_weight;
  const T* scale;  // of element i: scale[i scale_step]
  int64_t scale_step;
  T* dx;
};

// y = fma(x, s[c], t[c]); contiguous (outer, channels, inner)
template <class T>
struct ChannelAffine {
  int64_t outer, channels, inner;
  const T *x, *s, *t;
  T* y;
};
// dx = fma(mean[c] - x, k[c], g - g_mean[c]) s[c]
template <class T>
struct ChannelNormBackward {
  int64_t outer, channels, inner;
  const T *g, *x;
  const T *mean, *k, *g_mean, *s;
  T* dx;
};

// Rows first..last-1 of contiguous x(rows, n); sums in row order. With mean = sum x / n:
//   rstd = 1 / sqrt(sum (x - mean)^2 / n + eps),  y = fma((x - mean) rstd, weight, bias)
template <class T>
struct LayerNorm {
  int64_t n, first, last;
  const T *x, *weight, *bias;  // weight, bias (n)
  T eps;
  T *y, *mean, *rstd;  // mean, rstd (rows)
};
// With d = x - mean, a = sum fma(g, weight, .), b = sum fma(g weight, d, .), k = b rstd rstd / n:
//   dx = fma(-d, k, fma(g, weight, -(a / n))) rstd,  scaled = d rstd
template <class T>
struct LayerNormBackward {
  int64_t n, first, last;
  const T *g, *x, *mean, *rstd, *weight;
  T *dx, *scaled;  // (rows, n)
};

// Elements first .. first + n - 1 of a call, written to out[0..n); first is a multiple of random_group_words.
template <class T>
struct RandomUniform {  // fma(u, width, low), u of 24 or 53 bits in [0, 1); what rounds up to high becomes `below`
  RandomKey key;
  int64_t first, n;
  T low, width, high, below;
  T* out;
};
// Box-Muller over each half group: bits a (first half) and b (second half) give fma(r cos w, std, mean) in the first and
// fma(r sin w, std, mean) in the second half, r = sqrt(-2 log u(a)), u in (0, 1], w = 2 pi u(b).
template <class T>
struct RandomNormal {
  RandomKey key;
  int64_t first, n;
  T mean, std;
  T* out;
};
template <class T>
struct RandomBernoulli {  // u < p
  RandomKey key;
  int64_t first, n;
  const T* p;
  T* out;
};
// An element is dropped when its 32 bits are below `threshold`, whatever the dtype.
template <class T>
struct Dropout {
  RandomKey key;
  int64_t first, n;
  uint32_t threshold;
  T scale;
  const T* x;
  T* y;
};
struct DropoutMask {
  RandomKey key;
  int64_t first, n;
  uint32_t threshold;
  uint8_t* keep;  // 1 or 0
};
struct RandomBits {  // whole groups
  RandomKey key;
  int64_t first_group, groups;
  uint64_t* out;
};

template <class T>
struct RowsTable {
  void (*reduce_rows)(const ReduceRows<T>&);
  void (*reduce_columns)(const ReduceColumns<T>&);
  void (*dot_rows)(const DotRows<T>&);
  void (*arg_rows)(const ArgRows<T>&);
  void (*arg_columns)(const ArgColumns<T>&);
  void (*add_log)(int64_t n, const T* sum, T* inout);  // inout[i] += log(sum[i])
  void (*softmax)(const Softmax<T>&);
  void (*softmax_backward)(const SoftmaxBackward<T>&);
  void (*cross_entropy)(const CrossEntropy<T>&);
  void (*cross_entropy_backward)(const CrossEntropyBackward<T>&);
  void (*bce_with_logits)(const BceWithLogits<T>&);
  void (*bce_with_logits_backward)(const BceWithLogitsBackward<T>&);
  void (*layer_norm)(const LayerNorm<T>&);
  void (*layer_norm_backward)(const LayerNormBackward<T>&);
  void (*channel_affine)(const ChannelAffine<T>&);
  void (*channel_norm_backward)(const ChannelNormBackward<T>&);
  void (*uniform)(const RandomUniform<T>&);
  void (*normal)(const RandomNormal<T>&);
  void (*bernoulli)(const RandomBernoulli<T>&);
  void (*dropout)(const Dropout<T>&);
  void (*dropout_mask)(const DropoutMask&);
  void (*random_bits)(const RandomBits&);
};

}  // namespace tg
