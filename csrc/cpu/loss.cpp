// Cross-entropy over classes and binary cross-entropy, both from logits, and their gradients.
#include <cstring>

#include "cpu/aside.h"
#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"
#include "ops/refusals.h"

namespace tg {
namespace {

enum class Reduction { none, mean, sum };
Reduction reduction(const char* name) {
  return !std::strcmp(name, "none") ? Reduction::none : !std::strcmp(name, "mean") ? Reduction::mean : Reduction::sum;
}

void check_targets(const Op& op, const int64_t* target, int64_t rows, int64_t classes, int64_t ignore) {
  for (int64_t r = 0; r < rows; r++)
    if ((target[r] < 0 || target[r] >= classes) && target[r] != ignore) [[unlikely]]
      refuse(op, Check::of_target(classes, ignore), {static_cast<uint64_t>(r), {target[r]}});
}

// The attributes shared by the loss (from attribute 0 on) and its gradient, and the weights made contiguous.
template <class T>
struct ClassTargets {
  Tensor index, weight;
  Reduction how;
  Targets<T> q;

  ClassTargets(const Call& c, const Tensor& target, const Tensor& class_weight, int64_t rows, int64_t classes)
      : index(contiguous(target)), how(reduction(c.attrs.text(1))) {
    const double smoothing = c.attrs.real(2);
    const Dtype dtype = c.out[0].dtype;
    if (class_weight.defined()) {
      weight = contiguous(class_weight);
    } else if (smoothing > 0) {
      weight = aside({classes}, dtype);
      for (int64_t i = 0; i < classes; i++) weight.data<T>()[i] = T(1);
    }
    q = {
        index.data<int64_t>(), data_or_null<T>(weight),       c.attrs.integer(0),
        smoothing > 0,         static_cast<T>(1 - smoothing), static_cast<T>(smoothing / static_cast<double>(classes))};
    check_targets(c.op, q.index, rows, classes, q.ignore);
  }
};

// Logits (M, classes) with unit stride along the classes.
Tensor rows_of(const Tensor& x) { return x.shape[1] <= 1 || x.strides[1] == 1 ? x : contiguous(x); }

template <class T>
void cross_entropy(const Call& c) {
  const Tensor x = rows_of(c.in[0]);
  const int64_t rows = x.shape[0], classes = x.shape[1];
  const ClassTargets<T> t(c, c.in[1], c.in[2], rows, classes);
  const Tensor counted = aside({rows}, x.dtype);
  const Tensor losses = t.how == Reduction::none ? c.out[0] : aside({rows}, x.dtype);
  split(rows, 0.15 * sizeof(T) * static_cast<double>(classes) + 2, [&](int64_t first, int64_t last) {
    isa().rows<T>().cross_entropy({classes, first, last, x.data<T>(), x.strides[0], t.q, losses.template data<T>(),
                                   c.out[1].data<T>(), counted.data<T>()});
  });
  if (!c.out[2].defined()) return;  // a part of a batch: the total is made apart, the losses are summed later
  T* total = c.out[2].data<T>();
  row_sum(counted.data<T>(), rows, total);
  if (t.how == Reduction::none) return;
  T* loss = c.out[0].data<T>();
  row_sum(losses.template data<T>(), rows, loss);
  if (t.how == Reduction::mean) *loss = *loss / *total;
}

template <class T>
void class_total(const Call& c) {
  const Tensor target = contiguous(c.in[0]), weight = c.in[1].defined() ? contiguous(c.in[1]) : Tensor{};
  const int64_t rows = target.shape[0], ignore = c.attrs.integer(1);
  const int64_t* index = target.data<int64_t>();
  check_targets(c.op, index, rows, c.attrs.integer(0), ignore);
  const Tensor counted = aside({rows}, c.out[0].dtype);
  const T* of_class = data_or_null<T>(weight);
  T* count = counted.data<T>();
  for (int64_t r = 0; r < rows; r++) count[r] = index[r] == ignore ? T(0) : of_class ? of_class[index[r]] : T(1);
  row_sum(count, rows, c.out[0].data<T>());
}

// The factor of every row's gradient: grad itself, or for a mean grad / count.
template <class T>
struct Scale {
  Tensor rows;
  T one;
  const T* data;
  int64_t step;
  Scale(const Tensor& grad, Reduction how, T count)
      : rows(contiguous(grad)), one(*rows.data<T>()), data(&one), step(how == Reduction::none) {
    if (how == Reduction::none) data = rows.data<T>();
    else if (how == Reduction::mean) one = one / count;
  }
};

template <class T>
void cross_entropy_backward(const Call& c) {
  const Tensor x = rows_of(c.in[1]), lse = contiguous(c.in[3]);
  const int64_t rows = x.shape[0], classes = x.shape[1];
  const ClassTargets<T> t(c, c.in[2], c.in[5], rows, classes);
  if (rows == 0) return;
  const Scale<T> scale(c.in[0], t.how, *c.in[4].data<T>());
  T weights = 0;
  if (t.q.smoothing) row_sum(t.q.weight, classes, &weights);
  split(rows, 0.15 * sizeof(T) * static_cast<double>(classes) + 2, [&](int64_t first, int64_t last) {
    isa().rows<T>().cross_entropy_backward({classes, first, last, x.data<T>(), x.strides[0], t.q, t.q.share * weights,
                                            lse.data<T>(), scale.data, scale.step, c.out[0].data<T>()});
  });
}

// ---- binary cross-entropy ----------------------------------------------------------------------------------------------
// Input i, of the shape of x, or undefined.
Tensor spread(const Call& c, int i, const Tensor& x) {
  return c.in[i].defined() ? contiguous(expand(c.op.name.c_str(), c.in[i], x.shape)) : Tensor{};
}

template <class T>
const T* at(const T* p, int64_t i) {
  return p ? p + i : nullptr;
}

template <class T>
void bce(const Call& c) {
  const Tensor x = contiguous(c.in[0]), target = contiguous(c.in[1]), weight = spread(c, 2, x), pos = spread(c, 3, x);
  const Reduction how = reduction(c.attrs.text(0));
  const int64_t n = x.numel();
  const Tensor losses = how == Reduction::none ? c.out[0] : aside({n}, x.dtype);
  split(n, 0.25 * sizeof(T), [&](int64_t first, int64_t last) {
    isa().rows<T>().bce_with_logits({last - first, x.data<T>() + first, target.data<T>() + first,
                                     at(data_or_null<T>(weight), first), at(data_or_null<T>(pos), first),
                                     losses.template data<T>() + first});
  });
  if (how == Reduction::none) return;
  T* loss = c.out[0].data<T>();
  row_sum(losses.template data<T>(), n, loss);
  if (how == Reduction::mean) *loss = *loss / static_cast<T>(n);
}

template <class T>
void bce_backward(const Call& c) {
  const Tensor x = contiguous(c.in[1]), target = contiguous(c.in[2]), weight = spread(c, 3, x), pos = spread(c, 4, x);
  const int64_t n = x.numel();
  if (n == 0) return;
  const int64_t count = c.batch ? n / x.shape[0] * c.batch : n;  // of all elements
  const Scale<T> scale(c.in[0], reduction(c.attrs.text(0)), static_cast<T>(count));
  split(n, 0.2 * sizeof(T), [&](int64_t first, int64_t last) {
    isa().rows<T>().bce_with_logits_backward({last - first, x.data<T>() + first, target.data<T>() + first,
                                              at(data_or_null<T>(weight), first), at(data_or_null<T>(pos), first),
                                              scale.data + scale.step * first, scale.step, c.out[0].data<T>() + first});
  });
}

}  // namespace

void k_cross_entropy(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { cross_entropy<decltype(t)>(c); });
}
void k_class_total(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { class_total<decltype(t)>(c); });
}
void k_cross_entropy_backward(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { cross_entropy_backward<decltype(t)>(c); });
}
void k_bce_with_logits(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { bce<decltype(t)>(c); });
}
void k_bce_with_logits_backward(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { bce_backward<decltype(t)>(c); });
}

}  // namespace tg
