// Operands of a call as the matrices of products (product.h).
#pragma once
#include <algorithm>

#include "cuda/device.h"
#include "cuda/finish.h"
#include "cuda/kernels.h"
#include "cuda/product.h"
#include "cuda/walk.h"

namespace tg::cuda {

// float32 for those that are stored in 16 bits.
template <class F>
void with_products(Dtype t, F f) {
  if (t == Dtype::Float64) return f(double{});
  if (is_floating(t)) return f(float{});
  throw Refusal{ErrorKind::NotImplemented, std::string("has no cuda kernel for ") + name(t)};
}

inline bool aligned(const void* data, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(data) % uintptr_t(bytes) == 0;
}

// Strides of its lines and terms. Is it contiguous along `along`, in fours or (of 16 bits) in eights?
inline Matrix matrix(const Operand& o, int64_t line, int64_t term, Along along) {
  Matrix m{o.data, dtype_of(o), line, term, 1};
  const int64_t unit = along == Along::terms ? term : line, other = along == Along::terms ? line : term;
  const int64_t size = size_of(m.type);
  if (unit == 1 && size == 2 && other % 8 == 0 && aligned(o.data, 16)) m.wide = 8;
  else if (unit == 1 && other % 4 == 0 && aligned(o.data, std::min<int64_t>(16, 4 * size))) m.wide = 4;
  return m;
}

// x (..., C) as rows (M, C): where its leading axes are not one, a copy in scratch memory.
struct Table {
  Operand x;
  int64_t rows = 0, columns = 0, row = 0, column = 0;  // lengths, and strides
};
inline Table table_of(const Call& c, const Operand& x, Stream stream) {
  const int last = x.rank - 1;
  const Walk<1> leading = walk_axes(x, (1u << last) - 1);
  Table t{x, leading.n, x.shape[last], leading.stride[0][0], x.strides[last]};
  if (leading.rank <= 1 || t.rows * t.columns == 0) return t;
  Operand to = x;
  int64_t n = 1;
  for (int d = last; d >= 0; d--) to.strides[d] = n, n *= x.shape[d];
  to.data = scratch<unsigned char>(c, n * size_of(dtype_of(x)));
  const Operand in[2] = {to, x};
  Call copy = c;
  copy.in = in;
  copy.out = &to;
  copy_(copy, stream);
  t.x = to;
  t.row = t.columns;
  t.column = 1;
  return t;
}

// Rows of N outputs, one after the other.
inline Rows rows_of(const Operand& y, int64_t N) {
  return {y.data, dtype_of(y), N, N % 4 == 0 && aligned(y.data, std::min<int64_t>(16, 4 * size_of(dtype_of(y))))};
}

}  // namespace tg::cuda
