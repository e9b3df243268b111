// c(..., M, N) = a(..., M, K) b(..., K, N): leading axes are broadcast; all products in one launch.
#include "cuda/dense.h"
#include "cuda/fast.h"
#include "cuda/matrices.h"

namespace tg::cuda {

void matmul(const Call& c, Stream stream) {
  Operand a = c.in[0], b = c.in[1];
  if (a.rank == 1) a.rank = 2, a.shape[1] = a.shape[0], a.shape[0] = 1, a.strides[1] = a.strides[0], a.strides[0] = 0;
  if (b.rank == 1) b.rank = 2, b.shape[1] = 1, b.strides[1] = 0;
  const int lead_a = a.rank - 2, lead_b = b.rank - 2, lead = std::max(lead_a, lead_b);
  ProductOperands o;
  o.d = {a.shape[lead_a], b.shape[lead_b + 1], a.shape[lead_a + 1]};
  const int64_t a_m = a.strides[lead_a], a_k = a.strides[lead_a + 1], b_k = b.strides[lead_b],
                b_n = b.strides[lead_b + 1];
  // a by its terms and b by either axis, or both by their lines.
  const Along along_b = b_k == 1 && b_n != 1 ? Along::terms : Along::lines;
  const Along along_a = a_m == 1 && a_k != 1 && along_b == Along::lines ? Along::lines : Along::terms;
  o.a = matrix(a, a_m, a_k, along_a);
  o.b = matrix(b, b_n, b_k, along_b);
  Operand items_a = a, items_b = b;
  items_a.rank = lead_a;
  items_b.rank = lead_b;
  const Operand* both[2] = {&items_a, &items_b};
  int64_t shape[kAbiRank];  // of the products: the inputs' leading axes, broadcast
  for (int i = 0; i < lead; i++) {
    const int in_a = i - (lead - lead_a), in_b = i - (lead - lead_b);
    shape[i] = in_a < 0 || a.shape[in_a] == 1 ? (in_b < 0 ? 1 : b.shape[in_b]) : a.shape[in_a];
  }
  o.items = walk_over<2>(lead, shape, both);
  for (int i = 0; i < o.items.rank; i++) {
    if (o.items.stride[0][i] % o.a.wide != 0) o.a.wide = 1;
    if (o.items.stride[1][i] % o.b.wide != 0) o.b.wide = 1;
  }
  const int multiprocessors = device::traits(c.index).multiprocessors;
  with_products(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    const AsIs<T> finish{rows_of(c.out[0], o.d.N)};
    if (fast_product(c, o, along_a, along_b, Activated<T>{finish.rows}, stream)) return;
    if (along_b == Along::terms) product<T, Along::terms, Along::terms>(o, finish, multiprocessors, stream);
    else if (along_a == Along::lines) product<T, Along::lines, Along::lines>(o, finish, multiprocessors, stream);
    else product<T, Along::terms, Along::lines>(o, finish, multiprocessors, stream);
  });
}

}  // namespace tg::cuda
