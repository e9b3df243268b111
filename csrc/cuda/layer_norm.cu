// Layer normalisation over the last axes (math/norm.h): a team of threads for each row. The gradients of weight and bias are sums over
// the rows, in batch order.
#include "cuda/norm.h"
#include "cuda/rows.h"

namespace tg::cuda {
namespace {

template <class T>
struct OrElse {  // the elements of a row, or as many copies of a number
  const T* data;
  T otherwise;
  OrElse(const Call& c, const Operand& o, double otherwise, Stream stream)
      : data(o.kind == Operand::device ? static_cast<const T*>(contiguous(c, o, stream).data) : nullptr),
        otherwise(T(otherwise)) {}
  TG_BODY T operator[](int64_t i) const { return data ? data[i] : otherwise; }
};

template <class T>
struct LayerNorm {
  static constexpr int room = sizeof(T);
  int64_t n;
  const T* x;  // (rows, n)
  OrElse<T> weight, bias;
  T eps;
  T *y, *mean, *rstd;
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t r) const {
    T m, s;
    layer_norm_row(TeamRow<Team, T>{team, n}, x + r * n, weight, bias, eps, y + r * n, &m, &s);
    team.once([&] {
      mean[r] = m;
      rstd[r] = s;
    });
  }
};
template <class T>
struct LayerNormBackward {
  static constexpr int room = sizeof(T);
  int64_t n;
  const T *g, *x;  // (rows, n)
  const T *mean, *rstd;
  OrElse<T> weight;
  T* dx;
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t r) const {
    layer_norm_backward_row(TeamRow<Team, T>{team, n}, g + r * n, x + r * n, weight, mean[r], rstd[r], dx + r * n,
                            [](int64_t, auto, T) {});
  }
};
// dweight = sum fma(g, (x - mean) rstd, .), dbias = sum g
template <class T>
struct ParameterGradients {
  static constexpr int inputs = 4;
  using Acc = TwoSums<T>;
  const T *g, *x, *mean, *rstd;
  T *dweight, *dbias;
  TG_BODY Acc start() const { return {T(0), T(0)}; }
  TG_BODY Acc join(Acc a, Acc b) const { return a + b; }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY Acc step(Acc acc, const int64_t* at, int64_t, NoCenter) const {
    const T gradient = g[at[0]];
    return {acc.sum + gradient, fma(gradient, standardized(x[at[1]], mean[at[2]], rstd[at[3]]), acc.dot)};
  }
  TG_BODY void finish(int64_t o, Acc acc) const {
    dweight[o] = acc.dot;
    dbias[o] = acc.sum;
  }
};
template <class T>
struct NoStatistics {  // of rows without elements
  T *mean, *rstd;
  TG_BODY void operator()(int64_t r) const { mean[r] = rstd[r] = T(__builtin_nan("")); }
};

template <class T>
const T* row_values(const Call& c, int k, Stream stream) {
  return static_cast<const T*>(contiguous(c, c.in[k], stream).data);
}

template <class T>
void forward(const Call& c, Stream stream) {
  const int64_t rows = numel(c.out[1]), n = rows ? numel(c.in[0]) / rows : 0;
  T *mean = static_cast<T*>(c.out[1].data), *rstd = static_cast<T*>(c.out[2].data);
  if (n == 0) return each(stream, rows, NoStatistics<T>{mean, rstd});
  lines(stream, rows, n, false,
        LayerNorm<T>{n, row_values<T>(c, 0, stream), OrElse<T>(c, c.in[1], 1, stream), OrElse<T>(c, c.in[2], 0, stream),
                     static_cast<T>(c.attribute[1].value()), static_cast<T*>(c.out[0].data), mean, rstd});
}

template <class T>
void backward(const Call& c, Stream stream) {
  const int64_t rows = numel(c.in[2]), n = numel(c.out[1]);
  if (n == 0) return;
  const T *g = row_values<T>(c, 0, stream), *x = row_values<T>(c, 1, stream), *mean = row_values<T>(c, 2, stream),
          *rstd = row_values<T>(c, 3, stream);
  lines(stream, rows, n, false,
        LayerNormBackward<T>{n, g, x, mean, rstd, OrElse<T>(c, c.in[4], 1, stream), static_cast<T*>(c.out[0].data)});
  Reduction<4> r;
  r.by_rows = false;
  r.outputs = n;
  r.n = rows;
  r.shard = shard_rows(c.batch ? c.batch : rows);
  const int64_t next[4] = {1, 1, 0, 0}, step[4] = {n, n, 1, 1};
  r.kept.add(n, next);
  for (int k = 0; k < 4; k++) r.step[k] = step[k];
  reduce_in_blocks(
      r, ParameterGradients<T>{g, x, mean, rstd, static_cast<T*>(c.out[1].data), static_cast<T*>(c.out[2].data)},
      stream, [&](int64_t bytes) { return scratch<unsigned char>(c, bytes); });
}

}  // namespace

void layer_norm(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) { forward<decltype(t)>(c, stream); });
}
void layer_norm_backward(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) { backward<decltype(t)>(c, stream); });
}

}  // namespace tg::cuda
