// Elementwise work over tensors of any strides: the loops that several operands share, a strided copy of
// plain elements, and the driver that brings contiguous kernels to strided, broadcast and large operands.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/tensor.h"
#include "cpu/pointwise.h"
#include "ops/op.h"

namespace tg {

// An index space and each operand's strides in it. Axes of length 1 are gone, axes that every operand walks
// as one are joined, and the last operand's smallest stride is innermost. rank >= 1.
struct Loops {
  static constexpr int kOperands = kMaxInputs + 1;
  int rank = 0;
  int64_t length[kMaxRank];
  int64_t stride[kOperands][kMaxRank];  // in elements; 0 where an operand is broadcast
};
Loops shared_loops(std::span<const Tensor> in, const Tensor& out);

// to[index] = from[index] for elements of `size` bytes (1, 2, 4 or 8), in any order; `from` may be broadcast.
void copy_elements(int size, int rank, const int64_t* length, std::byte* to, const int64_t* to_stride,
                   const std::byte* from, const int64_t* from_stride);

// out = fn(in...), the inputs broadcast to the shape of `out`. Every input either is the very view `out` or
// shares no byte with it. `nanoseconds` is a guess of the time per element, from which the number of tasks
// follows.
void elementwise(PointwiseFn fn, std::span<const Tensor> in, const Tensor& out, double p, double q, double nanoseconds);

// Cuts 0..n-1, each step of about so many nanoseconds, into tasks of at least some 10 microseconds and runs
// body(ctx, first, last) on each.
void parallel_range(int64_t n, double nanoseconds, void (*body)(void* ctx, int64_t first, int64_t last), void* ctx);

}  // namespace tg
