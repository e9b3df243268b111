// Softmax and log-softmax along any dimension, and their gradients.
#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"

namespace tg {
namespace {

Lines lines(const Call& c) {
  const Dims& shape = c.out[0].shape;
  return Lines(shape, normalize_axis(c.op.name.c_str(), c.attrs.integer(0), shape.size()));
}

// f(first, last) over the rows.
template <class T, class F>
void over_rows(const Lines& l, F f) {
  if (l.n > 0) split(l.count(), 0.15 * sizeof(T) * static_cast<double>(l.n), f);
}

void softmax(const Call& c, bool log) {
  const Tensor x = contiguous(c.in[0]);
  const Lines l = lines(c);
  with_floating(x.dtype, [&](auto t) {
    using T = decltype(t);
    over_rows<T>(l, [&](int64_t first, int64_t last) {
      isa().rows<T>().softmax({log, l.n, l.inner, first, last, x.data<T>(), c.out[0].data<T>()});
    });
  });
}

void softmax_backward(const Call& c, bool log) {
  const Tensor g = contiguous(c.in[0]), y = contiguous(c.in[1]);
  const Lines l = lines(c);
  with_floating(y.dtype, [&](auto t) {
    using T = decltype(t);
    over_rows<T>(l, [&](int64_t first, int64_t last) {
      isa().rows<T>().softmax_backward({log, l.n, l.inner, first, last, g.data<T>(), y.data<T>(), c.out[0].data<T>()});
    });
  });
}

}  // namespace

void k_softmax(const Call& c) { softmax(c, false); }
void k_log_softmax(const Call& c) { softmax(c, true); }
void k_softmax_backward(const Call& c) { softmax_backward(c, false); }
void k_log_softmax_backward(const Call& c) { softmax_backward(c, true); }

}  // namespace tg
