// sum and mean.
#include "cuda/reduce.h"

#include "cuda/kernels.h"

namespace tg::cuda {
namespace {

template <class T>
void summed(const Call& c, uint32_t axes, bool divide, Stream stream) {
  const Operand& x = c.in[0];
  const uint32_t all = (1u << x.rank) - 1;
  Reduction r;
  r.kept = walk_axes(x, all & ~axes);
  r.along = walk_axes(x, axes);
  r.outputs = r.kept.n;
  r.n = r.along.n;
  r.by_rows = x.rank == 0 || (axes >> (x.rank - 1) & 1);
  r.shard = r.by_rows ? row_shard : shard_rows(c.batch ? c.batch : r.n);
  reduce_sum(r, static_cast<const T*>(x.data), static_cast<T*>(c.out[0].data), divide, stream,
             [&](int64_t n) { return scratch<T>(c, n); });
}

}  // namespace

void sum(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) { summed<decltype(t)>(c, c.axes, false, stream); });
}
void mean(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) { summed<decltype(t)>(c, c.axes, true, stream); });
}
// All axes but the last, always in batch order.
void dense_grad_bias(const Call& c, Stream stream) {
  with_floating(dtype_of(c.in[0]),
                [&](auto t) { summed<decltype(t)>(c, (1u << (c.in[0].rank - 1)) - 1, false, stream); });
}

}  // namespace tg::cuda
