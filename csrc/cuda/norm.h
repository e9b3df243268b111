// Batch normalisation over (rows, channels, ...): sums over the sequences of the channels, in batch order, what follows from them
// for each channel, and an fma for each element (math/norm.h).
#pragma once
#include "cuda/reduce_kinds.h"
#include "math/norm.h"

namespace tg::cuda {

// A number per channel, or one for all.
template <class T>
struct PerChannel {
  const T* data = nullptr;
  int64_t step = 0;
  T otherwise = T(0);
  PerChannel(const Operand& o, double otherwise) : otherwise(T(otherwise)) {
    if (o.kind == Operand::device) data = static_cast<const T*>(o.data), step = o.strides[0];
  }
  TG_BODY T operator[](int64_t c) const { return data ? data[c * step] : otherwise; }
};

// ---- forward: what a channel's mean and sum of squares lead to
template <class T>
struct Normalizer {
  int64_t channels;
  T count, momentum, eps;
  PerChannel<T> weight, bias;
  T *running_mean = nullptr, *running_var = nullptr;  // or none
  int64_t mean_step = 0, var_step = 0;
  T* invstd;
  T* factors;  // (2, channels): s, t
  TG_BODY void evaluated(int64_t c, T mean, T variance) const {
    invstd[c] = inverse_deviation(variance, eps);
    const AffineFactors<T> f = affine_factors(mean, invstd[c], weight[c], bias[c]);
    factors[c] = f.s;
    factors[channels + c] = f.t;
  }
  TG_BODY void trained(int64_t c, T mean, T squares) const {
    evaluated(c, mean, squares / count);
    if (!running_mean) return;
    T &m = running_mean[c * mean_step], &v = running_var[c * var_step];
    m = running_statistic(m, mean, momentum);
    v = running_statistic(v, squares / (count - T(1)), momentum);
  }
};
template <class T>
struct ChannelStatistics : Floats<Reduce::squares, T> {  // centers: the means
  Normalizer<T> normalizer;
  ChannelStatistics(const T* x, const T* means, const Normalizer<T>& n) : normalizer(n) {
    this->x = x;
    this->centers = means;
  }
  TG_BODY void finish(int64_t c, T squares) const { normalizer.trained(c, this->centers[c], squares); }
};
template <class T>
struct ChannelFactors {  // of sums that are there
  Normalizer<T> normalizer;
  const T *total, *squares;
  T* mean;
  TG_BODY void operator()(int64_t c) const {
    mean[c] = total[c] / normalizer.count;
    normalizer.trained(c, mean[c], squares[c]);
  }
};
template <class T>
struct RunningFactors {
  Normalizer<T> normalizer;
  PerChannel<T> running_mean, running_var;
  T* mean;
  TG_BODY void operator()(int64_t c) const {
    mean[c] = running_mean[c];
    normalizer.evaluated(c, mean[c], running_var[c]);
  }
};
template <class T>
struct SquaresAboutTotal : Floats<Reduce::squares, T> {  // centers: total / by
  TG_BODY T center(int64_t c) const { return this->centers[c] / this->by; }
};

// ---- backward: sums over the gradient g, and g times something, side by side
template <class T>
struct TwoSums {
  T sum, dot;
  TG_BODY friend TwoSums operator+(TwoSums a, TwoSums b) { return {a.sum + b.sum, a.dot + b.dot}; }
};
template <class T>
struct GradientFinish {
  int64_t channels;
  T count;
  PerChannel<T> invstd, weight;
  T *dweight, *dbias;
  T* factors;  // (3, channels): k, g_mean, s
  TG_BODY void operator()(int64_t c, T sum, T dot) const {
    const GradientFactors<T> f = gradient_factors(sum, dot, invstd[c], weight[c], count);
    if (dbias) dbias[c] = sum;
    dweight[c] = f.dweight;
    factors[c] = f.k;
    factors[channels + c] = f.g_mean;
    factors[2 * channels + c] = f.s;
  }
};
template <class T>
struct ChannelGradientSums {
  static constexpr int inputs = 2;
  using Acc = TwoSums<T>;
  const T *g, *x;
  const T* mean;
  GradientFinish<T> then;
  TG_BODY Acc start() const { return {T(0), T(0)}; }
  TG_BODY Acc join(Acc a, Acc b) const { return a + b; }
  TG_BODY T center(int64_t c) const { return mean[c]; }
  TG_BODY Acc step(Acc acc, const int64_t* at, int64_t, T center) const {
    const T gradient = g[at[0]];
    return {acc.sum + gradient, fma(gradient, x[at[1]] - center, acc.dot)};
  }
  TG_BODY void finish(int64_t c, Acc acc) const { then(c, acc.sum, acc.dot); }
};
template <class T>
struct ChannelGradients {  // of sums that are there
  const T *sum, *dot;
  GradientFinish<T> then;
  TG_BODY void operator()(int64_t c) const { then(c, sum[c], dot[c]); }
};

// ---- elements; the last operand of the walk stands for the channels
template <class T>
struct ApplyAffine {
  Walk<3> walk;
  const T* x;
  T* y;
  const T *s, *t;
  TG_BODY void operator()(int64_t i) const {
    int64_t at[3];
    walk.offsets(i, at);
    y[at[1]] = fma(x[at[0]], s[at[2]], t[at[2]]);
  }
};
template <class T>
struct ApplyGradient {
  Walk<4> walk;
  const T *g, *x;
  T* dx;
  const T *mean, *k, *g_mean, *s;
  TG_BODY void operator()(int64_t i) const {
    int64_t at[4];
    walk.offsets(i, at);
    const int64_t c = at[3];
    dx[at[2]] = normalized_gradient(g[at[0]], x[at[1]], mean[c], k[c], g_mean[c], s[c]);
  }
};

}  // namespace tg::cuda
