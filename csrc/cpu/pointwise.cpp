// The pointwise rows and where: which contiguous kernel, with which parameters.
#include "cpu/pointwise.h"

#include <concepts>

#include "cpu/contiguous.h"
#include "core/by_dtype.h"
#include "cpu/isa.h"
#include "cpu/kernels.h"
#include "cpu/strided.h"
#include "ops/parameters.h"
#include "ops/refusals.h"

namespace tg {
namespace {

static_assert(kPointwiseDtypes == kComputeDtypes && static_cast<int>(Dtype::Bool) == 5);

// A guess of the time per element on one thread, for the choice of the number of tasks.
double nanoseconds(const PointwiseInfo& row, Dtype t) {
  const double bytes = static_cast<double>(size_of(t));
  return row.cls == PointwiseClass::Floating ? 0.07 * bytes : 0.008 * bytes * (row.arity + 1);
}

// Integers have no quotient by zero: refused before anything is written.
void require_divisors(const Call& c) {
  const Tensor divisors = contiguous(c.in[1]);
  const int64_t n = c.out[0].numel() ? divisors.numel() : 0;
  with_element(divisors.dtype, [&](auto like) {
    if constexpr (std::integral<decltype(like)>)
      for (int64_t i = 0; i < n; i++)
        if (divisors.data<decltype(like)>()[i] == 0)
          refuse(c.op, Check::of_divisor(divisors.rank(), divisors.shape.begin()), {static_cast<uint64_t>(i), {0}});
  });
}

}  // namespace

void k_pointwise(const Call& c) {
  const PointwiseInfo& row = kPointwiseInfo[c.op.id];
  const Dtype dtype = c.in[0].dtype;
  const PointwiseFn fn = isa().pointwise->ops[static_cast<int>(dtype)][c.op.id];
  if (!fn) fail(ErrorKind::NotImplemented, "[", c.op.name, "] has no cpu kernel for ", name(dtype));
  if (divides(c.op.id) && !is_floating(dtype)) require_divisors(c);
  elementwise(fn, c.in, c.out[0], pointwise_parameter(c, 0), pointwise_parameter(c, 1), nanoseconds(row, dtype));
}

void k_where(const Call& c) {
  const Dtype dtype = c.out[0].dtype;
  elementwise(isa().pointwise->where[static_cast<int>(dtype)], c.in, c.out[0], 0, 0,
              0.03 * static_cast<double>(size_of(dtype)));
}

}  // namespace tg
