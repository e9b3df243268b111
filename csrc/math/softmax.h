// Softmax of a row, its logarithm and their gradients, for rows however they are laid out. A Row gives
//
//   V, S                        what a thread of work holds, and its scalar
//   get(p, i, k), put(p, i, k, v)   element i of the row at p; k says how many of V's lanes count
//   shared(p, i, k)             an element that all rows share, such as a class weight
//   is_at(i, place)             is this element the one at `place`?
//   each(f)                     f(i, k) for all elements
//   sum(step)                   step(acc, i, k), in the row order of order.h
//   largest(value)              of value(i, k); which of equals, and what beside NaN, is not specified
//
// csrc/cpu/rows.inl lays rows over vectors, csrc/cuda/rows.h over threads.
#pragma once
#include "elementary.h"

namespace TG_MATH_NS {

template <class Row, class X, class Y, class V = typename Row::V>
TG_FN void softmax_row(const Row& row, X x, Y y, bool logarithm) {
  const V m = row.largest([&](int64_t i, auto k) __attribute__((always_inline)) { return row.get(x, i, k); });
  if (logarithm) {
    const V s = row.sum([&](V acc, int64_t i, auto k)
                            __attribute__((always_inline)) { return acc + exp(row.get(x, i, k) - m); });
    const V l = log(s);
    row.each([&](int64_t i, auto k) __attribute__((always_inline)) { row.put(y, i, k, (row.get(x, i, k) - m) - l); });
  } else {
    const V s = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
      const V e = exp(row.get(x, i, k) - m);
      row.put(y, i, k, e);
      return acc + e;
    });
    const V inverse = broadcast<V>(1) / s;
    row.each([&](int64_t i, auto k) __attribute__((always_inline)) { row.put(y, i, k, row.get(y, i, k) * inverse); });
  }
}

template <class Row, class G, class Y, class D, class V = typename Row::V>
TG_FN void softmax_backward_row(const Row& row, G g, Y y, D dx, bool logarithm) {
  if (logarithm) {
    const V s =
        row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) { return acc + row.get(g, i, k); });
    row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
      row.put(dx, i, k, fma(-exp(row.get(y, i, k)), s, row.get(g, i, k)));
    });
  } else {
    const V s = row.sum([&](V acc, int64_t i, auto k)
                            __attribute__((always_inline)) { return fma(row.get(g, i, k), row.get(y, i, k), acc); });
    row.each([&](int64_t i, auto k)
                 __attribute__((always_inline)) { row.put(dx, i, k, row.get(y, i, k) * (row.get(g, i, k) - s)); });
  }
}

}  // namespace TG_MATH_NS
