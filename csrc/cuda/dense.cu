// Dense layers.
#include "cuda/dense.h"

#include "cuda/kernels.h"

namespace tg::cuda {

void dense(const Call& c, Stream stream) {
  const Operand &x = c.in[0], &w = c.in[1], &bias = c.in[2], &y = c.out[0];
  with_floating(dtype_of(y), [&](auto t) {
    using T = decltype(t);
    const int last = x.rank - 1;
    DenseOperands<T> d;
    d.N = w.shape[0];
    d.K = w.shape[1];
    d.rows = walk_axes(x, (1u << last) - 1);
    d.M = d.rows.n;
    d.x = static_cast<const T*>(x.data);
    d.x_k = x.strides[last];
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

}  // namespace tg::cuda
