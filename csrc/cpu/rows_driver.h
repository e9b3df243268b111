// Helpers of the drivers of the row kernels.
#pragma once
#include <cstdint>

#include "core/tensor.h"
#include "cpu/isa.h"
#include "cpu/strided.h"

namespace tg {

// f(first, last) over 0..n-1, on several threads where n steps of `nanoseconds` are worth it.
template <class F>
void split(int64_t n, double nanoseconds, F f) {
  parallel_range(
      n, nanoseconds, [](void* ctx, int64_t first, int64_t last) { (*static_cast<F*>(ctx))(first, last); }, &f);
}

// f(T{}) with T = float or double
template <class F>
void with_floating(Dtype t, F f) {
  if (t == Dtype::Float32) f(float{});
  else f(double{});
}

// A contiguous tensor as (outer, n, inner) around one axis; a 0-d tensor is one line of one element.
struct Lines {
  int64_t outer = 1, n = 1, inner = 1;
  Lines(const Dims& shape, int axis) {
    if (shape.empty()) return;
    for (int i = 0; i < axis; i++) outer *= shape[i];
    for (int i = axis + 1; i < shape.size(); i++) inner *= shape[i];
    n = shape[axis];
  }
  int64_t count() const { return outer * inner; }
};

// The data of an optional input.
template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

// out = the sum of x[0..n) in row order
template <class T>
void row_sum(const T* x, int64_t n, T* out);
// out(N) = column reductions of x(M,N) in batch order; `y` for Reduce::dot, `center` (N) for the kinds that need one;
// `batch` > 0: the rows are a subtree of so many
template <class T>
void column_reduce(Reduce kind, int64_t M, int64_t N, const T* x, const T* y, const T* center, T* out,
                   int64_t batch = 0);

}  // namespace tg
