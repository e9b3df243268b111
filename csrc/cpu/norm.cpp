// Batch normalisation over (rows, channels, ...).
//
// The sequence of a channel is (row, position) with the position running fastest; its statistics are sums over it in batch
// order: the mean, then the squares of x - mean. Both modes then apply y = fma(x, s, t), s = weight * invstd,
// t = fma(-mean, s, bias), so that an evaluated layer is one fma per element wherever it runs.
#include <cmath>

#include "cpu/aside.h"
#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"
#include "math/norm.h"

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

// mean = total / count
template <class T>
void means(int64_t C, T count, const T* total, T* mean) {
  for (int64_t i = 0; i < C; i++) mean[i] = total[i] / count;
}

// From sum (x - mean)^2 in `invstd` to 1 / sqrt(var + eps), and the running statistics, if there are any:
// running = momentum * batch + (1 - momentum) * running, with the unbiased variance.
template <class T>
void statistics(int64_t C, T count, T momentum, T eps, const T* mean, T* invstd, const Tensor& running_mean,
                const Tensor& running_var) {
  for (int64_t i = 0; i < C; i++) {
    const T squares = invstd[i];
    invstd[i] = inverse_deviation(squares / count, eps);
    if (!running_mean.defined()) continue;
    T& m = running_mean.data<T>()[i * running_mean.strides[0]];
    T& v = running_var.data<T>()[i * running_var.strides[0]];
    m = running_statistic(m, mean[i], momentum);
    v = running_statistic(v, squares / (count - T(1)), momentum);
  }
}

template <class T>
void factors(int64_t C, const T* mean, const T* invstd, const Tensor& weight, const Tensor& bias, T* s, T* t) {
  for (int64_t i = 0; i < C; i++) {
    const AffineFactors<T> f = affine_factors(mean[i], invstd[i], element<T>(weight, i, 1), element<T>(bias, i, 0));
    s[i] = f.s;
    t[i] = f.t;
  }
}

template <class T>
void affine(const Channels& l, const T* x, const T* s, const T* t, T* y) {
  const int64_t plane = l.channels * l.inner;
  split(l.outer, 0.05 * sizeof(T) * static_cast<double>(plane), [&](int64_t first, int64_t last) {
    isa().rows<T>().channel_affine({last - first, l.channels, l.inner, x + first * plane, s, t, y + first * plane});
  });
}

template <class T>
void batch_norm(const Call& c) {
  const Tensor x = contiguous(c.in[0]);
  const Channels l(x.shape);
  const int64_t C = l.channels;
  const T eps = static_cast<T>(c.attrs.real(2));
  T *mean = c.out[1].data<T>(), *invstd = c.out[2].data<T>();
  if (c.attrs.boolean(0)) {
    const Tensor rows = columns(c, x);
    const T count = static_cast<T>(l.count());
    column_reduce<T>(Reduce::sum, l.count(), C, rows.data<T>(), nullptr, nullptr, mean);
    means(C, count, mean, mean);
    column_reduce<T>(Reduce::squares, l.count(), C, rows.data<T>(), nullptr, mean, invstd);
    const bool running = c.in[1].defined();
    statistics(C, count, static_cast<T>(c.attrs.real(1)), eps, mean, invstd, running ? c.out[3] : Tensor{},
               running ? c.out[4] : Tensor{});
  } else {
    for (int64_t i = 0; i < C; i++) {
      mean[i] = element<T>(c.in[1], i, 0);
      invstd[i] = inverse_deviation(element<T>(c.in[2], i, 0), eps);
    }
  }
  const Tensor both = aside({2, C}, x.dtype);
  T *s = both.data<T>(), *t = s + C;
  factors(C, mean, invstd, c.in[3], c.in[4], s, t);
  affine(l, x.data<T>(), s, t, c.out[0].data<T>());
}

// From the sum fma(g, d, .) in `dweight` to itself and, in `factors` (3, C), the factors k, g_mean and s of the gradient.
template <class T>
void backward_factors(int64_t C, T count, const T* dbias, T* dweight, const Tensor& invstd, const Tensor& weight,
                      T* factors) {
  T *k = factors, *g_mean = k + C, *s = g_mean + C;
  for (int64_t i = 0; i < C; i++) {
    const GradientFactors<T> f =
        gradient_factors(dbias[i], dweight[i], element<T>(invstd, i, 1), element<T>(weight, i, 1), count);
    dweight[i] = f.dweight;
    k[i] = f.k;
    g_mean[i] = f.g_mean;
    s[i] = f.s;
  }
}

template <class T>
void input_gradient(const Channels& l, const T* g, const T* x, const T* mean, const T* factors, T* dx) {
  const int64_t C = l.channels, plane = C * l.inner;
  split(l.outer, 0.07 * sizeof(T) * static_cast<double>(plane), [&](int64_t first, int64_t last) {
    const int64_t at = first * plane;
    isa().rows<T>().channel_norm_backward(
        {last - first, C, l.inner, g + at, x + at, mean, factors, factors + C, factors + 2 * C, dx + at});
  });
}

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
  const Tensor factors = aside({3, C}, x.dtype);
  backward_factors(C, static_cast<T>(l.count()), dbias, dweight, c.in[3], c.in[4], factors.data<T>());
  input_gradient(l, g.data<T>(), x.data<T>(), mean.data<T>(), factors.data<T>(), c.out[0].data<T>());
}

// ---- parts, for plans: matrices (rows, channels), of which a call has some rows. Sums and factors are contiguous.
template <class T>
void channel_squares(const Call& c) {
  const Tensor x = contiguous(c.in[0]);
  const Channels l(x.shape);
  const Tensor mean = aside({l.channels}, x.dtype);
  means(l.channels, static_cast<T>(c.attrs.integer(0)), c.in[1].data<T>(), mean.data<T>());
  column_reduce<T>(Reduce::squares, l.outer, l.channels, x.data<T>(), nullptr, mean.data<T>(), c.out[0].data<T>(),
                   c.batch);
}

template <class T>
void channel_dot(const Call& c) {
  const Tensor g = contiguous(c.in[0]), x = contiguous(c.in[1]), mean = contiguous(c.in[2]);
  const Channels l(x.shape);
  column_reduce<T>(Reduce::dot, l.outer, l.channels, x.data<T>(), g.data<T>(), mean.data<T>(), c.out[0].data<T>(),
                   c.batch);
}

template <class T>
void channel_factors(const Call& c) {
  const int64_t C = c.in[0].shape[0];
  const T count = static_cast<T>(c.attrs.integer(0));
  T *mean = c.out[0].data<T>(), *invstd = c.out[1].data<T>();
  const T* squares = c.in[1].data<T>();
  means(C, count, c.in[0].data<T>(), mean);
  for (int64_t i = 0; i < C; i++) invstd[i] = squares[i];
  statistics(C, count, static_cast<T>(c.attrs.real(1)), static_cast<T>(c.attrs.real(2)), mean, invstd, c.out[2],
             c.out[3]);
  factors(C, mean, invstd, c.in[4], c.in[5], c.out[4].data<T>(), c.out[4].data<T>() + C);
}

template <class T>
void channel_gradients(const Call& c) {
  const int64_t C = c.in[0].shape[0];
  T* dweight = c.out[0].data<T>();
  const T* dot = c.in[1].data<T>();
  for (int64_t i = 0; i < C; i++) dweight[i] = dot[i];
  backward_factors(C, static_cast<T>(c.attrs.integer(0)), c.in[0].data<T>(), dweight, c.in[2], c.in[3],
                   c.out[1].data<T>());
}

template <class T>
void channel_affine(const Call& c) {
  const Tensor x = contiguous(c.in[0]);
  const T* s = c.in[1].data<T>();
  affine<T>(Channels(x.shape), x.data<T>(), s, s + x.shape[1], c.out[0].data<T>());
}

template <class T>
void channel_backward(const Call& c) {
  const Tensor g = contiguous(c.in[0]), x = contiguous(c.in[1]), mean = contiguous(c.in[2]);
  input_gradient<T>(Channels(x.shape), g.data<T>(), x.data<T>(), mean.data<T>(), c.in[3].data<T>(), c.out[0].data<T>());
}

}  // namespace

void k_batch_norm(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { batch_norm<decltype(t)>(c); });
}
void k_batch_norm_backward(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { batch_norm_backward<decltype(t)>(c); });
}

void k_channel_squares(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { channel_squares<decltype(t)>(c); });
}
void k_channel_dot(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { channel_dot<decltype(t)>(c); });
}
void k_channel_factors(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { channel_factors<decltype(t)>(c); });
}
void k_channel_gradients(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { channel_gradients<decltype(t)>(c); });
}
void k_channel_affine(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { channel_affine<decltype(t)>(c); });
}
void k_channel_backward(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { channel_backward<decltype(t)>(c); });
}

}  // namespace tg
