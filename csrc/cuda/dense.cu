// Dense layers and products of matrices.
#include "cuda/dense.h"

#include "cuda/dense_grad.h"
#include "cuda/kernels.h"

namespace tg::cuda {
namespace {

// x (..., K) as rows; K is its last axis.
template <class T>
void read_rows(DenseOperands<T>& d, const Operand& x) {
  const int last = x.rank - 1;
  d.rows = walk_axes(x, (1u << last) - 1);
  d.M = d.rows.n;
  d.K = x.shape[last];
  d.x = static_cast<const T*>(x.data);
  d.x_k = x.strides[last];
}

}  // namespace

void dense(const Call& c, Stream stream) {
  const Operand &w = c.in[1], &bias = c.in[2], &y = c.out[0];
  with_floating(dtype_of(y), [&](auto t) {
    using T = decltype(t);
    DenseOperands<T> d;
    read_rows(d, c.in[0]);
    d.N = w.shape[0];
    d.w = static_cast<const T*>(w.data);
    d.w_n = w.strides[0];
    d.w_k = w.strides[1];
    d.bias = bias.kind == Operand::device ? static_cast<const T*>(bias.data) : nullptr;
    d.bias_n = d.bias ? bias.strides[0] : 0;
    d.y = static_cast<T*>(y.data);
    dense_forward(d, c.activation == id_relu, stream);
    if (c.activation >= 0 && c.activation != id_relu)
      activate(c.activation, dtype_of(y), d.y, d.M * d.N, c.p, c.q, stream);
  });
}

// dx(M,K) = dy(M,N) w(N,K): the same product, whose sums run over N
void dense_grad_input(const Call& c, Stream stream) {
  const Operand &w = c.in[1], &dx = c.out[0];
  with_floating(dtype_of(dx), [&](auto t) {
    using T = decltype(t);
    DenseOperands<T> d;
    read_rows(d, c.in[0]);
    d.N = w.shape[1];
    d.w = static_cast<const T*>(w.data);
    d.w_n = w.strides[1];
    d.w_k = w.strides[0];
    d.y = static_cast<T*>(dx.data);
    dense_forward(d, false, stream);
  });
}

// dw(N,K) = dy(M,N)^T x(M,K)
void dense_grad_weight(const Call& c, Stream stream) {
  const Operand &dy = c.in[0], &x = c.in[1];
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    const int last = dy.rank - 1;
    DenseGradOperands<T> d;
    d.dy_rows = walk_axes(dy, (1u << last) - 1);
    d.x_rows = walk_axes(x, (1u << last) - 1);
    d.M = d.dy_rows.n;
    d.N = dy.shape[last];
    d.K = x.shape[last];
    d.shard = shard_rows(c.batch ? c.batch : d.M);
    d.dy = static_cast<const T*>(dy.data);
    d.dy_n = dy.strides[last];
    d.x = static_cast<const T*>(x.data);
    d.x_k = x.strides[last];
    dense_weight_gradient(d, static_cast<T*>(c.out[0].data), stream, [&](int64_t n) { return scratch<T>(c, n); });
  });
}

// c(..., M, N) = a(..., M, K) b(..., K, N): leading axes are broadcast, one product each
void matmul(const Call& c, Stream stream) {
  Operand a = c.in[0], b = c.in[1];
  if (a.rank == 1) a.rank = 2, a.shape[1] = a.shape[0], a.shape[0] = 1, a.strides[1] = a.strides[0], a.strides[0] = 0;
  if (b.rank == 1) b.rank = 2, b.shape[1] = 1, b.strides[1] = 0;
  const int lead_a = a.rank - 2, lead_b = b.rank - 2, lead = lead_a > lead_b ? lead_a : lead_b;
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    DenseOperands<T> d;
    d.M = a.shape[lead_a];
    d.K = a.shape[lead_a + 1];
    d.N = b.shape[lead_b + 1];
    d.rows.add(d.M, &a.strides[lead_a]);
    d.x_k = a.strides[lead_a + 1];
    d.w_k = b.strides[lead_b];
    d.w_n = b.strides[lead_b + 1];
    Operand items_a = a, items_b = b;
    items_a.rank = lead_a;
    items_b.rank = lead_b;
    const Operand* both[2] = {&items_a, &items_b};
    int64_t shape[kAbiRank];  // of the products: the inputs' leading axes, broadcast
    for (int i = 0; i < lead; i++) {
      const int in_a = i - (lead - lead_a), in_b = i - (lead - lead_b);
      shape[i] = in_a < 0 || a.shape[in_a] == 1 ? (in_b < 0 ? 1 : b.shape[in_b]) : a.shape[in_a];
    }
    const Walk<2> items = walk_over<2>(lead, shape, both);
    for (int64_t i = 0; i < items.n; i++) {
      int64_t at[2];
      items.offsets(i, at);
      d.x = static_cast<const T*>(a.data) + at[0];
      d.w = static_cast<const T*>(b.data) + at[1];
      d.y = static_cast<T*>(c.out[0].data) + i * d.M * d.N;
      dense_forward(d, false, stream);
    }
  });
}

}  // namespace tg::cuda
