// The gradient of a dense layer's input: dx(M,K) = dy(M,N) w(N,K), a product whose sums run over N, and the derivative of the
// activation that it goes through.
#include "cuda/dense.h"
#include "cuda/fast.h"
#include "cuda/matrices.h"

namespace tg::cuda {
namespace {

template <class T>
void input_gradient(const Call& c, const Operand& dx, Sloped<T> finish, Stream stream) {
  const Operand& w = c.in[1];
  const Table dy = table_of(c, c.in[0], stream);
  ProductOperands o;
  o.d = {dy.rows, w.shape[1], w.shape[0]};
  o.a = matrix(dy.x, dy.row, dy.column, Along::terms);
  o.b = matrix(w, w.strides[1], w.strides[0], Along::lines);
  finish.rows = rows_of(dx, o.d.N);
  if (finish.op < 0 && fast_product(c, o, Along::terms, Along::lines, Activated<T>{finish.rows}, stream)) return;
  product<T, Along::terms, Along::lines>(o, finish, device::traits(c.index).multiprocessors, stream);
}

}  // namespace

void dense_grad_input(const Call& c, Stream stream) {
  with_products(dtype_of(c.out[0]), [&](auto t) { input_gradient(c, c.out[0], Sloped<decltype(t)>{}, stream); });
}

// The calls: the gradient, and the derivative that alone reads it. What does not end a product follows in place.
void input_gradient(const Call* calls, Stream stream) {
  const Call& slope = calls[1];
  const int activation = slope.op - 1;
  const Operand &gradient = calls[0].out[0], &dx = slope.out[0];
  if (!ends_product(activation) || size_of(dtype_of(dx)) == 2 || is_fast(calls[0])) {
    dense_grad_input(calls[0], stream);
    return pointwise(slope, stream);
  }
  with_products(dtype_of(dx), [&](auto t) {
    using T = decltype(t);
    Sloped<T> finish;
    finish.op = activation;
    finish.p = T(slope.p);
    finish.q = T(slope.q);
    auto read = [&](const Operand& o) { return o.data == gradient.data ? nullptr : static_cast<const T*>(o.data); };
    finish.input = read(slope.in[1]);
    finish.output = read(slope.in[2]);
    input_gradient(calls[0], dx, finish, stream);
  });
}

}  // namespace tg::cuda
