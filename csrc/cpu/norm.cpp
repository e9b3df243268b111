// Batch normalisation over (rows, channels, ...).
//
// The sequence of a channel is (row, position) with the position running fastest; its statistics are sums over it in batch
// order: the mean, then the squares of x - mean. Both modes then apply y = fma(x, s, t), s = weight * invstd,
// t = fma(-mean, s, bias), so that an evaluated layer is one fma per element wherever it runs.
#include <cmath>

#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"

namespace tg {
namespace {

struct Channels {
  int64_t outer, channels, inner = 1;
  explicit Channels(const Dims& shape) : outer(shape[0]), channels(shape[1]) {
    for (int i = 2; i < shape.size(); i++) inner *= shape[i];
  }
  int64_t count() const { return outer * inner; }  // values per channel
};

// (count, channels): every channel's sequence as a column
Tensor columns(const Call& c, const Tensor& x) {
  Dims order{0};
  for (int i = 2; i < x.rank(); i++) order.push_back(i);
  order.push_back(1);
  return contiguous(permute(c.op.name.c_str(), x, order));
}

template <class T>
T element(const Tensor& t, int64_t i, double otherwise) {
  return t.defined() ? t.data<T>()[i * t.strides[0]] : static_cast<T>(otherwise);
}

template <class T>
void batch_norm(const Call& c) {
  const Tensor x = contiguous(c.in[0]);
  const Channels l(x.shape);
  const int64_t C = l.channels;
  const bool training = c.attrs.boolean(0);
  const T momentum = static_cast<T>(c.attrs.real(1)), eps = static_cast<T>(c.attrs.real(2));
  T *mean = c.out[1].data<T>(), *invstd = c.out[2].data<T>();
  if (training) {
    const Tensor rows = columns(c, x);
    const T count = static_cast<T>(l.count());
    column_reduce<T>(Reduce::sum, l.count(), C, rows.data<T>(), nullptr, nullptr, mean);
    for (int64_t i = 0; i < C; i++) mean[i] = mean[i] / count;
    column_reduce<T>(Reduce::squares, l.count(), C, rows.data<T>(), nullptr, mean, invstd);
    for (int64_t i = 0; i < C; i++) {
      const T squares = invstd[i];
      invstd[i] = T(1) / sqrt(squares / count + eps);
      if (!c.in[1].defined()) continue;
      // running = momentum * batch + (1 - momentum) * running, with the unbiased variance
      T& running_mean = c.out[3].data<T>()[i * c.out[3].strides[0]];
      T& running_var = c.out[4].data<T>()[i * c.out[4].strides[0]];
      running_mean = fma(momentum, mean[i], (T(1) - momentum) * running_mean);
      running_var = fma(momentum, squares / (count - T(1)), (T(1) - momentum) * running_var);
    }
  } else {
    for (int64_t i = 0; i < C; i++) {
      mean[i] = element<T>(c.in[1], i, 0);
      invstd[i] = T(1) / sqrt(element<T>(c.in[2], i, 0) + eps);
    }
  }
  const Tensor factors = empty({2, C}, x.dtype);
  T *s = factors.data<T>(), *t = s + C;
  for (int64_t i = 0; i < C; i++) {
    s[i] = element<T>(c.in[3], i, 1) * invstd[i];
    t[i] = fma(-mean[i], s[i], element<T>(c.in[4], i, 0));
  }
  const int64_t plane = C * l.inner;
  split(l.outer, 0.05 * sizeof(T) * static_cast<double>(plane), [&](int64_t first, int64_t last) {
    isa().rows<T>().channel_affine(
        {last - first, C, l.inner, x.data<T>() + first * plane, s, t, c.out[0].data<T>() + first * plane});
  });
}

// With d = x - mean: dbias = sum g, dweight = invstd sum fma(g, d, .), and
// dx = fma(-d, dweight invstd / count, g - dbias / count) weight invstd.
template <class T>
void batch_norm_backward(const Call& c) {
  const Tensor g = contiguous(c.in[0]), x = contiguous(c.in[1]), mean = contiguous(c.in[2]);
  const Channels l(x.shape);
  const int64_t C = l.channels;
  T *dweight = c.out[1].data<T>(), *dbias = c.out[2].data<T>();
  {
    const Tensor g_rows = columns(c, g), x_rows = columns(c, x);
    column_reduce<T>(Reduce::sum, l.count(), C, g_rows.data<T>(), nullptr, nullptr, dbias);
    column_reduce<T>(Reduce::dot, l.count(), C, x_rows.data<T>(), g_rows.data<T>(), mean.data<T>(), dweight);
  }
  const Tensor factors = empty({3, C}, x.dtype);
  T *k = factors.data<T>(), *g_mean = k + C, *s = g_mean + C;
  const T count = static_cast<T>(l.count());
  for (int64_t i = 0; i < C; i++) {
    const T invstd = element<T>(c.in[3], i, 1);
    dweight[i] = dweight[i] * invstd;
    k[i] = dweight[i] * invstd / count;
    g_mean[i] = dbias[i] / count;
    s[i] = element<T>(c.in[4], i, 1) * invstd;
  }
  const int64_t plane = C * l.inner;
  split(l.outer, 0.07 * sizeof(T) * static_cast<double>(plane), [&](int64_t first, int64_t last) {
    const int64_t at = first * plane;
    isa().rows<T>().channel_norm_backward({last - first, C, l.inner, g.data<T>() + at, x.data<T>() + at, mean.data<T>(),
                                           k, g_mean, s, c.out[0].data<T>() + at});
  });
}

}  // namespace

void k_batch_norm(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { batch_norm<decltype(t)>(c); });
}
void k_batch_norm_backward(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { batch_norm_backward<decltype(t)>(c); });
}

}  // namespace tg
