// Sums and products.
#include "cuda/reduce_kinds.h"

namespace tg::cuda {
namespace {

template <Reduce K>
void sums(const Call& c, uint32_t axes, bool divide, Stream stream) {
  with_floating(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    auto kind = floats<K>(c, result<T>(c));
    if (divide) kind.end = End::divided, kind.by = static_cast<T>(elements_over(c, axes));
    reduce(c, axes, kind, stream);
  });
}
template <bool product>
void wholes(const Call& c, Stream stream) {
  reduce(c, c.axes, Wholes<product>{static_cast<const uint64_t*>(c.in[0].data), result<uint64_t>(c)}, stream);
}

}  // namespace

void sum(const Call& c, Stream stream) {
  if (dtype_of(c.in[0]) == Dtype::Int64) return wholes<false>(c, stream);
  sums<Reduce::sum>(c, c.axes, false, stream);
}
void mean(const Call& c, Stream stream) { sums<Reduce::sum>(c, c.axes, true, stream); }
void nansum(const Call& c, Stream stream) {
  if (dtype_of(c.in[0]) == Dtype::Int64) return wholes<false>(c, stream);
  sums<Reduce::present>(c, c.axes, false, stream);
}
void prod(const Call& c, Stream stream) {
  if (dtype_of(c.in[0]) == Dtype::Int64) return wholes<true>(c, stream);
  sums<Reduce::prod>(c, c.axes, false, stream);
}
// All axes but the last, always in batch order.
void column_sums(const Call& c, Stream stream) { sums<Reduce::sum>(c, (1u << (c.in[0].rank - 1)) - 1, false, stream); }

}  // namespace tg::cuda
