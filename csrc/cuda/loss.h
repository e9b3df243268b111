// Losses over logits: bodies and kinds of reductions.
#pragma once
#include "cuda/reduce_kinds.h"
#include "cuda/rows.h"
#include "math/loss.h"

namespace tg::cuda {

// Weights of classes; ones where none are given.
template <class T>
struct Weights {
  const T* data;
  int64_t step;
  TG_BODY T operator[](int64_t i) const { return data ? data[i * step] : T(1); }
};

// Targets as a distribution over classes (math/loss.h), and which of them a row has. A class that is none, as it may be in a plan
// whose run will be refused, counts as ignored.
template <class T>
struct Targets {
  Strided<const int64_t> index;
  Weights<T> weight;
  int64_t classes, ignore;
  bool smoothing;
  T keep, share;
  TG_BODY TargetLanes<T> of_row(int64_t r) const {
    const int64_t i = index[r];
    if (i == ignore || i < 0 || i >= classes) return {-1, T(0)};
    return {typename lane<T>::I(i), weight[i]};
  }
};

template <class T>
struct CrossEntropy {
  static constexpr int room = sizeof(T);
  const T* x;
  int64_t x_row, x_class;
  Targets<T> targets;
  T *loss, *lse, *counted;  // (M); counted may be null
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t r) const {
    const Strided<const T> row{x + r * x_row, x_class};
    const TargetLanes<T> target = targets.of_row(r);
    const T logit = target.index < 0 ? T(0) : row[target.index];
    T value, log_sum;
    cross_entropy_row(TeamRow<Team, T>{team, targets.classes}, row, target, logit, targets, &value, &log_sum);
    team.once([&] {
      loss[r] = value;
      lse[r] = log_sum;
      if (counted) counted[r] = target.weight;
    });
  }
};

template <class T>
struct CrossEntropyBackward {
  static constexpr int room = sizeof(T);
  const T* x;
  int64_t x_row, x_class;
  Targets<T> targets;
  const T* weights;  // their sum; null without smoothing
  Strided<const T> lse;
  Reader<T> grad;  // of row r at r * grad_step
  int64_t grad_step;
  Reader<T> total;  // what a mean divides by
  bool mean;
  T* dx;  // (M, classes)
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t r) const {
    const T scale = mean ? grad[0] / total[0] : grad[r * grad_step];
    cross_entropy_backward_row(TeamRow<Team, T>{team, targets.classes}, Strided<const T>{x + r * x_row, x_class},
                               targets.of_row(r), lse[r], scale, targets, weights ? targets.share * *weights : T(0),
                               Strided<T>{dx + r * targets.classes, 1});
  }
};

// ---- sums, in row order

// Of the losses and the weights that count, at once.
template <class T>
struct LossTotals {
  static constexpr int inputs = 1;
  struct Acc {
    T loss, counted;
  };
  const T *losses, *counted;
  bool mean;
  T *loss, *total;  // loss may be null
  TG_BODY Acc start() const { return {T(0), T(0)}; }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY Acc join(Acc a, Acc b) const { return {a.loss + b.loss, a.counted + b.counted}; }
  TG_BODY Acc step(Acc acc, const int64_t*, int64_t r, NoCenter) const { return join(acc, {losses[r], counted[r]}); }
  TG_BODY void finish(int64_t, Acc sums) const {
    *total = sums.counted;
    if (loss) *loss = mean ? sums.loss / sums.counted : sums.loss;
  }
};

template <class T>
struct ClassTotal {
  static constexpr int inputs = 1;
  using Acc = T;
  Targets<T> targets;
  T* out;
  TG_BODY T start() const { return T(0); }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY T join(T a, T b) const { return a + b; }
  TG_BODY T step(T acc, const int64_t*, int64_t r, NoCenter) const { return acc + targets.of_row(r).weight; }
  TG_BODY void finish(int64_t, T total) const { *out = total; }
};

template <class T>
struct WeightTotal {
  static constexpr int inputs = 1;
  using Acc = T;
  Weights<T> weight;
  T* out;
  TG_BODY T start() const { return T(0); }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY T join(T a, T b) const { return a + b; }
  TG_BODY T step(T acc, const int64_t*, int64_t i, NoCenter) const { return acc + weight[i]; }
  TG_BODY void finish(int64_t, T total) const { *out = total; }
};

// ---- binary cross-entropy
template <class T>
struct BceOperands {
  const T *x, *target;
  Reader<T> weight, pos_weight;  // where `weighs`, where `positive`
  bool weighs, positive;
  TG_BODY T loss(const int64_t* at) const {
    const T w = weighs ? weight[at[2]] : T(1), pos = positive ? pos_weight[at[3]] : T(1);
    return bce_loss(x[at[0]], target[at[1]], weighs, w, positive, pos);
  }
  TG_BODY T gradient(const int64_t* at, T scale) const {
    const T w = weighs ? weight[at[2]] : T(1), pos = positive ? pos_weight[at[3]] : T(1);
    return bce_gradient(x[at[0]], target[at[1]], weighs, w, positive, pos, scale);
  }
};
template <class T>
struct BceTotal {
  static constexpr int inputs = 4;
  using Acc = T;
  BceOperands<T> operands;
  bool mean;
  T n;
  T* out;
  TG_BODY T start() const { return T(0); }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY T join(T a, T b) const { return a + b; }
  TG_BODY T step(T acc, const int64_t* at, int64_t, NoCenter) const { return acc + operands.loss(at); }
  TG_BODY void finish(int64_t, T total) const { *out = mean ? total / n : total; }
};

}  // namespace tg::cuda
