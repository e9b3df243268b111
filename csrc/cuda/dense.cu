// Dense layers: y(M,N) = activation(x(M,K) w(N,K)^T + bias(N)).
#include "cuda/dense.h"

#include "cuda/fast.h"
#include "cuda/matrices.h"

namespace tg::cuda {

void dense(const Call& c, Stream stream) {
  const Operand &w = c.in[1], &bias = c.in[2], &y = c.out[0];
  with_products(dtype_of(y), [&](auto t) {
    using T = decltype(t);
    const Table x = table_of(c, c.in[0], stream);
    ProductOperands o;
    o.d = {x.rows, w.shape[0], x.columns};
    o.a = matrix(x.x, x.row, x.column, Along::terms);
    o.b = matrix(w, w.strides[0], w.strides[1], Along::terms);
    if (bias.kind == Operand::device) o.bias = bias.data, o.bias_n = bias.strides[0];
    const bool ends = ends_product(c.activation), follows = c.activation >= 0 && !ends;
    Operand sums = y;  // where another kernel follows, of what is computed with
    if (follows && size_of(dtype_of(y)) == 2) {
      sums.dtype = static_cast<int32_t>(Dtype::Float32);
      sums.data = scratch<float>(c, o.d.M * o.d.N);
    }
    const Activated<T> finish{rows_of(sums, o.d.N), ends ? c.activation : -1, T(c.p), T(c.q)};
    if (!fast_product(c, o, Along::terms, Along::terms, finish, stream))
      product<T, Along::terms, Along::terms>(o, finish, device::traits(c.index).multiprocessors, stream);
    if (follows) activate(c.activation, dtype_of(sums), sums.data, o.d.M * o.d.N, c.p, c.q, stream);
    if (sums.data == y.data) return;
    Call rounding = c;
    rounding.in = &sums;
    cast(rounding, stream);
  });
}

}  // namespace tg::cuda
