// Cross-entropy over classes and binary cross-entropy, both from logits, and their gradients.
#include "cuda/loss.h"

#include <cstring>

#include "cuda/refuse.h"

namespace tg::cuda {
namespace {

enum class Of { none, mean, sum };  // the losses
Of reduction(const Attribute& a) {
  return !std::strcmp(a.text, "none") ? Of::none : !std::strcmp(a.text, "mean") ? Of::mean : Of::sum;
}

template <class T>
Weights<T> weights_of(const Operand& o) {
  if (o.kind != Operand::device) return {nullptr, 0};
  return {static_cast<const T*>(o.data), o.strides[0]};
}
template <class T>
Targets<T> targets_of(const Operand& index, const Operand& weight, int64_t classes, int64_t ignore, double smoothing) {
  return {{static_cast<const int64_t*>(index.data), index.strides[0]},
          weights_of<T>(weight),
          classes,
          ignore,
          smoothing > 0,
          static_cast<T>(1 - smoothing),
          static_cast<T>(smoothing / static_cast<double>(classes))};
}

struct NoClass {  // nor ignored
  int64_t classes, ignore;
  TG_BODY bool operator()(int64_t i) const { return i != ignore && (i < 0 || i >= classes); }
};
template <class T>
void refuse_others(const Call& c, const Operand& index, const Targets<T>& t, Stream stream) {
  refuse_integers(c, index, Check::of_target(t.classes, t.ignore), NoClass{t.classes, t.ignore}, stream);
}

// A reduction of n elements that its kind finds by itself, in row order.
template <class Kind>
void total(const Call& c, int64_t n, const Kind& kind, Stream stream) {
  Reduction<1> r;
  r.n = n;
  r.step[0] = 1;
  reduce(r, kind, stream, [&](int64_t bytes) { return scratch<unsigned char>(c, bytes); });
}

template <class T>
const T* data_of(const Operand& o) {
  return static_cast<const T*>(o.data);
}
template <class T>
T* data_of_output(const Call& c, int k) {
  return c.out[k].kind == Operand::device ? static_cast<T*>(c.out[k].data) : nullptr;
}

}  // namespace

void cross_entropy(const Call& c, Stream stream) {
  const Operand& x = c.in[0];
  const int64_t rows = x.shape[0], classes = x.shape[1];
  const Of of = reduction(c.attribute[1]);
  with_floating(dtype_of(x), [&](auto t) {
    using T = decltype(t);
    const auto targets = targets_of<T>(c.in[1], c.in[2], classes, c.attribute[0].i, c.attribute[2].value());
    refuse_others(c, c.in[1], targets, stream);
    T* weight_total = data_of_output<T>(c, 2);  // null of a part of a batch, whose losses are summed later
    T* losses = of == Of::none ? data_of_output<T>(c, 0) : scratch<T>(c, rows);
    T* counted = weight_total ? scratch<T>(c, rows) : nullptr;
    lines(
        stream, rows, classes, nearer(x.strides[0], x.strides[1]),
        CrossEntropy<T>{data_of<T>(x), x.strides[0], x.strides[1], targets, losses, data_of_output<T>(c, 1), counted});
    if (weight_total)
      total(c, rows,
            LossTotals<T>{losses, counted, of == Of::mean, of == Of::none ? nullptr : data_of_output<T>(c, 0),
                          weight_total},
            stream);
  });
}

void class_total(const Call& c, Stream stream) {
  const int64_t rows = c.in[0].shape[0];
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    const auto targets = targets_of<T>(c.in[0], c.in[1], c.attribute[0].i, c.attribute[1].i, 0);
    refuse_others(c, c.in[0], targets, stream);
    total(c, rows, ClassTotal<T>{targets, data_of_output<T>(c, 0)}, stream);
  });
}

void cross_entropy_backward(const Call& c, Stream stream) {
  const Operand &grad = c.in[0], &x = c.in[1], &lse = c.in[3];
  const int64_t rows = x.shape[0], classes = x.shape[1];
  const Of of = reduction(c.attribute[1]);
  with_floating(dtype_of(x), [&](auto t) {
    using T = decltype(t);
    const auto targets = targets_of<T>(c.in[2], c.in[5], classes, c.attribute[0].i, c.attribute[2].value());
    refuse_others(c, c.in[2], targets, stream);
    T* weights = nullptr;
    if (targets.smoothing) {
      weights = scratch<T>(c, 1);
      total(c, classes, WeightTotal<T>{targets.weight, weights}, stream);
    }
    lines(stream, rows, classes, nearer(x.strides[0], x.strides[1]),
          CrossEntropyBackward<T>{data_of<T>(x),
                                  x.strides[0],
                                  x.strides[1],
                                  targets,
                                  weights,
                                  {data_of<T>(lse), lse.strides[0]},
                                  Reader<T>(grad),
                                  of == Of::none ? grad.strides[0] : 0,
                                  Reader<T>(c.in[4]),
                                  of == Of::mean,
                                  data_of_output<T>(c, 0)});
  });
}

// ---- binary cross-entropy
namespace {

// Element by element: the losses, or the gradient.
template <class T>
struct BceLosses {
  Walk<4> walk;
  BceOperands<T> operands;
  T* out;
  TG_BODY void operator()(int64_t i) const {
    int64_t at[4];
    walk.offsets(i, at);
    out[i] = operands.loss(at);
  }
};
template <class T>
struct BceGradient {
  Walk<5> walk;  // the fifth is grad
  BceOperands<T> operands;
  Reader<T> grad;
  T by;  // grad is divided by this, unless it is 0
  T* dx;
  TG_BODY void operator()(int64_t i) const {
    int64_t at[5];
    walk.offsets(i, at);
    const T scale = by > T(0) ? grad[at[4]] / by : grad[at[4]];
    dx[i] = operands.gradient(at, scale);
  }
};

template <class T>
BceOperands<T> bce_operands(const Operand* in) {
  return {data_of<T>(in[0]),
          data_of<T>(in[1]),
          Reader<T>(in[2]),
          Reader<T>(in[3]),
          in[2].kind != Operand::absent,
          in[3].kind != Operand::absent};
}

}  // namespace

void bce_with_logits(const Call& c, Stream stream) {
  const Operand& x = c.in[0];
  const Operand* all[4] = {&c.in[0], &c.in[1], &c.in[2], &c.in[3]};
  const Walk<4> walk = walk_over<4>(x.rank, x.shape, all);
  const Of of = reduction(c.attribute[0]);
  with_floating(dtype_of(x), [&](auto t) {
    using T = decltype(t);
    const auto operands = bce_operands<T>(c.in);
    T* loss = data_of_output<T>(c, 0);
    if (of == Of::none) return each(stream, walk.n, BceLosses<T>{walk, operands, loss});
    const bool mean = of == Of::mean;
    if (walk.rank <= 1) {
      Reduction<4> r;
      r.n = walk.n;
      for (int k = 0; k < 4; k++) r.step[k] = walk.stride[k][0];
      return reduce(r, BceTotal<T>{operands, mean, static_cast<T>(walk.n), loss}, stream,
                    [&](int64_t bytes) { return scratch<unsigned char>(c, bytes); });
    }
    T* losses = scratch<T>(c, walk.n);
    each(stream, walk.n, BceLosses<T>{walk, operands, losses});
    Floats<Reduce::sum, T> sum;
    sum.x = losses;
    sum.out = loss;
    if (mean) sum.end = End::divided, sum.by = static_cast<T>(walk.n);
    total(c, walk.n, sum, stream);
  });
}

void bce_with_logits_backward(const Call& c, Stream stream) {
  const Operand& x = c.in[1];
  const Operand* all[5] = {&c.in[1], &c.in[2], &c.in[3], &c.in[4], &c.in[0]};
  const Walk<5> walk = walk_over<5>(x.rank, x.shape, all);
  if (walk.n == 0) return;
  const int64_t count = c.batch ? walk.n / x.shape[0] * c.batch : walk.n;  // of all elements
  const bool mean = reduction(c.attribute[0]) == Of::mean;
  with_floating(dtype_of(x), [&](auto t) {
    using T = decltype(t);
    each(stream, walk.n,
         BceGradient<T>{walk, bce_operands<T>(c.in + 1), Reader<T>(c.in[0]), mean ? static_cast<T>(count) : T(0),
                        data_of_output<T>(c, 0)});
  });
}

}  // namespace tg::cuda
