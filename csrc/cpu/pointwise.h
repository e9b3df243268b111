// Pointwise kernels of one ISA: contiguous loops over the rows of math/pointwise.def and their derivatives.
#pragma once
#include <stdint.h>

#include "math/pointwise_ids.h"

namespace tg {

// out[i] = f(in[0][i], in[1][i], ..., p, q), i < n; `out` may be one of the inputs. A kernel for an integer
// dtype reads the bits of p and q as int64 values.
using PointwiseFn = void (*)(const void* const* in, void* out, int64_t n, double p, double q);

// Indexed by Dtype: float32, float64, int64, int32, uint8, bool.
inline constexpr int kPointwiseDtypes = 6;

struct PointwiseTable {
  const PointwiseFn* ops[kPointwiseDtypes];  // [dtype][op]; null where an op does not take the dtype
  PointwiseFn where[kPointwiseDtypes];       // in: condition (bool), a, b
};

// Casts that gain from an ISA's vectors, indexed by Dtype, all twelve; null where there is none.
struct ConvertTable {
  PointwiseFn from_float32[12], to_float32[12];
  // out[i] = start + (first + i) * step, i < n; for float32 and float64.
  void (*progression[2])(void* out, int64_t first, int64_t n, double start, double step);
};

// Elements of 1, 2, 4 and 8 bytes that are moved, not computed.
struct MoveTable {
  void (*fill[4])(void* to, const void* value, int64_t n);    // to[i] = *value
  void (*reverse[4])(void* to, const void* from, int64_t n);  // to[i] = from[-i]
};

}  // namespace tg
