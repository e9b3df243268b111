// Batch normalisation, its gradient, and the parts that plans take them apart into.
#include "cuda/norm.h"

namespace tg::cuda {
namespace {

// The sequences of the channels, side by side; of copies where no single step leads along them.
struct Columns {
  const void* data;
  int64_t count, channels;
  int64_t step, across;  // along a sequence, from one to the next
  Columns(const Call& c, const Operand& x, Stream stream) : data(x.data), channels(x.shape[1]), across(x.strides[1]) {
    const Walk<1> along = walk_axes(x, ((1u << x.rank) - 1) & ~2u);
    count = along.n;
    step = along.stride[0][0];
    if (along.rank <= 1 || channels == 0) return;
    Operand last = x;  // the channels
    for (int d = 1; d < x.rank; d++) {
      last.shape[d] = x.shape[d + 1 < x.rank ? d + 1 : 1];
      last.strides[d] = x.strides[d + 1 < x.rank ? d + 1 : 1];
    }
    data = contiguous(c, last, stream).data;
    step = channels;
    across = 1;
  }
};
template <int N>
Reduction<N> reduction_of(const Call& c, const Columns (&columns)[N]) {
  Reduction<N> r;
  r.by_rows = false;
  r.outputs = columns[0].channels;
  r.n = columns[0].count;
  r.shard = shard_rows(c.batch ? c.batch : r.n);
  int64_t across[N];
  for (int k = 0; k < N; k++) across[k] = columns[k].across, r.step[k] = columns[k].step;
  r.kept.add(r.outputs, across);
  return r;
}
template <class Kind>
void reduce_columns(const Call& c, const Columns (&columns)[Kind::inputs], const Kind& kind, Stream stream) {
  reduce_in_blocks(reduction_of(c, columns), kind, stream,
                   [&](int64_t bytes) { return scratch<unsigned char>(c, bytes); });
}

// Of x, as an operand that is the number of an element's channel.
Operand channel_of(const Operand& x) {
  Operand o = x;
  for (int d = 0; d < o.rank; d++) o.strides[d] = d == 1;
  return o;
}
template <class T>
const T* values(const Operand& o) {
  return static_cast<const T*>(o.data);
}
template <class T>
T* result(const Call& c, int k) {
  return static_cast<T*>(c.out[k].data);
}
template <class T>
T number(const Call& c, int k) {
  return static_cast<T>(c.attribute[k].value());
}

template <class T>
void apply_affine(const Operand& x, const T* factors, const Operand& y, Stream stream) {
  const Operand channel = channel_of(x);
  const Operand* all[3] = {&x, &y, &channel};
  const Walk<3> walk = walk_over<3>(y.rank, y.shape, all);
  each(stream, walk.n, ApplyAffine<T>{walk, values<T>(x), static_cast<T*>(y.data), factors, factors + x.shape[1]});
}
template <class T>
void apply_gradient(const Operand& g, const Operand& x, const T* mean, const T* factors, const Operand& dx,
                    Stream stream) {
  const Operand channel = channel_of(x);
  const Operand* all[4] = {&g, &x, &dx, &channel};
  const Walk<4> walk = walk_over<4>(dx.rank, dx.shape, all);
  const int64_t C = x.shape[1];
  each(stream, walk.n,
       ApplyGradient<T>{walk, values<T>(g), values<T>(x), static_cast<T*>(dx.data), mean, factors, factors + C,
                        factors + 2 * C});
}

// weight and bias: inputs `first` and the one behind it
template <class T>
Normalizer<T> normalizer(const Call& c, int64_t channels, T count, T momentum, T eps, int first, T* invstd,
                         T* factors) {
  return {channels,
          count,
          momentum,
          eps,
          PerChannel<T>(c.in[first], 1),
          PerChannel<T>(c.in[first + 1], 0),
          nullptr,
          nullptr,
          0,
          0,
          invstd,
          factors};
}
template <class T>
void keep_running(Normalizer<T>& n, const Operand& mean, const Operand& var) {
  if (mean.kind != Operand::device) return;
  n.running_mean = static_cast<T*>(mean.data);
  n.running_var = static_cast<T*>(var.data);
  n.mean_step = mean.strides[0];
  n.var_step = var.strides[0];
}

template <class T>
void forward(const Call& c, Stream stream) {
  const Operand& x = c.in[0];
  const int64_t C = x.shape[1];
  T *mean = result<T>(c, 1), *factors = scratch<T>(c, 2 * C);
  const T count = static_cast<T>(C ? numel(x) / C : 0);
  Normalizer<T> n = normalizer(c, C, count, number<T>(c, 1), number<T>(c, 2), 3, result<T>(c, 2), factors);
  if (c.attribute[0].i) {
    if (c.in[1].kind == Operand::device) keep_running(n, c.out[3], c.out[4]);
    const Columns columns[1] = {Columns(c, x, stream)};
    const T* rows = static_cast<const T*>(columns[0].data);
    Floats<Reduce::sum, T> total;
    total.x = rows;
    total.out = mean;
    total.end = End::divided;
    total.by = count;
    reduce_columns(c, columns, total, stream);
    reduce_columns(c, columns, ChannelStatistics<T>(rows, mean, n), stream);
  } else {
    each(stream, C, RunningFactors<T>{n, PerChannel<T>(c.in[1], 0), PerChannel<T>(c.in[2], 0), mean});
  }
  apply_affine(x, factors, c.out[0], stream);
}

template <class T>
void backward(const Call& c, Stream stream) {
  const Operand &g = c.in[0], &x = c.in[1];
  const int64_t C = x.shape[1];
  const T* mean = values<T>(contiguous(c, c.in[2], stream));
  T* factors = scratch<T>(c, 3 * C);
  const Columns columns[2] = {Columns(c, g, stream), Columns(c, x, stream)};
  const GradientFinish<T> then{C,
                               static_cast<T>(columns[0].count),
                               PerChannel<T>(c.in[3], 1),
                               PerChannel<T>(c.in[4], 1),
                               result<T>(c, 1),
                               result<T>(c, 2),
                               factors};
  reduce_columns(c, columns,
                 ChannelGradientSums<T>{static_cast<const T*>(columns[0].data), static_cast<const T*>(columns[1].data),
                                        mean, then},
                 stream);
  apply_gradient(g, x, mean, factors, c.out[0], stream);
}

template <class F>
void floating(const Call& c, F f) {
  with_floating(dtype_of(c.in[0]), f);
}

}  // namespace

void batch_norm(const Call& c, Stream stream) {
  floating(c, [&](auto t) { forward<decltype(t)>(c, stream); });
}
void batch_norm_backward(const Call& c, Stream stream) {
  floating(c, [&](auto t) { backward<decltype(t)>(c, stream); });
}

// ---- parts, of matrices (rows, channels); sums and factors are contiguous

void channel_squares(const Call& c, Stream stream) {
  floating(c, [&](auto t) {
    using T = decltype(t);
    SquaresAboutTotal<T> squares;
    squares.x = values<T>(c.in[0]);
    squares.centers = values<T>(c.in[1]);
    squares.by = number<T>(c, 0);
    squares.out = result<T>(c, 0);
    reduce_columns(c, {Columns(c, c.in[0], stream)}, squares, stream);
  });
}
void channel_dot(const Call& c, Stream stream) {
  floating(c, [&](auto t) {
    using T = decltype(t);
    Floats<Reduce::dot, T> dot;
    dot.x = values<T>(c.in[1]);
    dot.y = values<T>(c.in[0]);
    dot.centers = values<T>(contiguous(c, c.in[2], stream));
    dot.out = result<T>(c, 0);
    reduce_columns(c, {Columns(c, c.in[1], stream), Columns(c, c.in[0], stream)}, dot, stream);
  });
}
void channel_factors(const Call& c, Stream stream) {
  floating(c, [&](auto t) {
    using T = decltype(t);
    const int64_t C = c.in[0].shape[0];
    Normalizer<T> n =
        normalizer(c, C, number<T>(c, 0), number<T>(c, 1), number<T>(c, 2), 4, result<T>(c, 1), result<T>(c, 4));
    keep_running(n, c.out[2], c.out[3]);
    each(stream, C, ChannelFactors<T>{n, values<T>(c.in[0]), values<T>(c.in[1]), result<T>(c, 0)});
  });
}
void channel_gradients(const Call& c, Stream stream) {
  floating(c, [&](auto t) {
    using T = decltype(t);
    const int64_t C = c.in[0].shape[0];
    const GradientFinish<T> then{
        C,       number<T>(c, 0), PerChannel<T>(c.in[2], 1), PerChannel<T>(c.in[3], 1), result<T>(c, 0),
        nullptr, result<T>(c, 1)};
    each(stream, C, ChannelGradients<T>{values<T>(c.in[0]), values<T>(c.in[1]), then});
  });
}
void channel_affine(const Call& c, Stream stream) {
  floating(c, [&](auto t) { apply_affine(c.in[0], values<decltype(t)>(c.in[1]), c.out[0], stream); });
}
void channel_backward(const Call& c, Stream stream) {
  floating(c, [&](auto t) {
    using T = decltype(t);
    apply_gradient(c.in[0], c.in[1], values<T>(contiguous(c, c.in[2], stream)), values<T>(c.in[3]), c.out[0], stream);
  });
}

}  // namespace tg::cuda
