// Layer normalisation over the last axes: every row has its own statistics, in row order. The gradients of weight and bias
// are sums over the rows, in batch order.
#include <algorithm>
#include <limits>

#include "cpu/aside.h"
#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"

namespace tg {
namespace {

// The elements of a row, or as many copies of `otherwise`.
template <class T>
Tensor per_element(const Tensor& t, int64_t n, Dtype dtype, T otherwise) {
  if (t.defined()) return contiguous(t);
  const Tensor filled = aside({n}, dtype);
  std::fill_n(filled.data<T>(), n, otherwise);
  return filled;
}

template <class T>
void layer_norm(const Call& c) {
  const Tensor x = contiguous(c.in[0]);
  const int64_t n = count(c.attrs.list), rows = c.out[1].numel();
  T *mean = c.out[1].data<T>(), *rstd = c.out[2].data<T>();
  if (n == 0) {
    std::fill_n(mean, rows, std::numeric_limits<T>::quiet_NaN());
    std::fill_n(rstd, rows, std::numeric_limits<T>::quiet_NaN());
    return;
  }
  const Tensor weight = per_element<T>(c.in[1], n, x.dtype, 1), bias = per_element<T>(c.in[2], n, x.dtype, 0);
  split(rows, 0.06 * sizeof(T) * static_cast<double>(n) + 2, [&](int64_t first, int64_t last) {
    isa().rows<T>().layer_norm({n, first, last, x.data<T>(), weight.data<T>(), bias.data<T>(),
                                static_cast<T>(c.attrs.real(1)), c.out[0].data<T>(), mean, rstd});
  });
}

// dweight = sum fma(g, (x - mean) rstd, .), dbias = sum g
template <class T>
void layer_norm_backward(const Call& c) {
  const Tensor g = contiguous(c.in[0]), x = contiguous(c.in[1]), mean = contiguous(c.in[2]), rstd = contiguous(c.in[3]);
  const int64_t n = count(c.attrs.list), rows = mean.numel();
  if (n == 0) return;
  const Tensor weight = per_element<T>(c.in[4], n, x.dtype, 1), scaled = aside(x.shape, x.dtype);
  split(rows, 0.1 * sizeof(T) * static_cast<double>(n) + 2, [&](int64_t first, int64_t last) {
    isa().rows<T>().layer_norm_backward({n, first, last, g.data<T>(), x.data<T>(), mean.data<T>(), rstd.data<T>(),
                                         weight.data<T>(), c.out[0].data<T>(), scaled.data<T>()});
  });
  const Tensor zero = per_element<T>(Tensor{}, n, x.dtype, 0);
  column_reduce<T>(Reduce::dot, rows, n, scaled.data<T>(), g.data<T>(), zero.data<T>(), c.out[1].data<T>(), c.batch);
  column_reduce<T>(Reduce::sum, rows, n, g.data<T>(), nullptr, nullptr, c.out[2].data<T>(), c.batch);
}

}  // namespace

void k_layer_norm(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { layer_norm<decltype(t)>(c); });
}
void k_layer_norm_backward(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { layer_norm_backward<decltype(t)>(c); });
}

}  // namespace tg
