// The rows of pointwise.def and their derivatives as kernels compute them: a form takes `inputs` lanes per element, in the
// order of the op's inputs (pointwise_ids.h), and gives a value. pointwise_forms.def lists them in the order of PointwiseId.
#pragma once
#include "pointwise.h"
#include "pointwise_ids.h"

namespace TG_MATH_NS {

// ---- what is computed per element: `inputs` lanes go in, a value (or, for a test, a mask) comes out -----
template <class Row>
struct forward {
  static constexpr int inputs = Row::arity;
  static constexpr bool test = Row::test;
  static constexpr dtype_class dtypes = Row::dtypes;
  template <class V>
  TG_MEMBER auto at(const V* in, V p, V q) {
    if constexpr (inputs == 1) return Row::f(in[0], p, q);
    else return Row::f(in[0], in[1], p, q);
  }
};
#define TG_DERIVATIVE(kind, inputs_, expression)               \
  template <class Row>                                         \
  struct kind {                                                \
    static constexpr int inputs = inputs_;                     \
    static constexpr bool test = false;                        \
    static constexpr dtype_class dtypes = dtype_class::FLOATS; \
    template <class V>                                         \
    TG_MEMBER V at(const V* in, V p, V q) {                    \
      return expression;                                       \
    }                                                          \
  };
TG_DERIVATIVE(slope, 3, in[0] * Row::df(in[1], in[2], p, q))
TG_DERIVATIVE(slope_a, 4, in[0] * Row::da(in[1], in[2], in[3], p, q))
TG_DERIVATIVE(slope_b, 4, in[0] * Row::db(in[1], in[2], in[3], p, q))
TG_DERIVATIVE(curvature, 4, in[0] * in[1] * Row::ddf(in[2], in[3], p, q))
TG_DERIVATIVE(curvature_aa, 5, in[0] * in[1] * Row::daa(in[2], in[3], in[4], p, q))
TG_DERIVATIVE(curvature_ab, 5, in[0] * in[1] * Row::dab(in[2], in[3], in[4], p, q))
TG_DERIVATIVE(curvature_bb, 5, in[0] * in[1] * Row::dbb(in[2], in[3], in[4], p, q))
#undef TG_DERIVATIVE

// ---- integers and bools: bools are stored as bytes, parameters come as the bits of an int64
template <class T>
struct stored {
  using type = T;
};
template <>
struct stored<bool> {
  using type = uint8_t;
};
template <class T>
TG_FN T held(int64_t x) {  // to the range of T
  if constexpr (sizeof(T) == 4) return T(x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : x);
  else if constexpr (sizeof(T) == 1) return T(x < 0 ? 0 : x > 255 ? 255 : x);
  else return x;
}

// Does a form of these dtypes take lanes V?
template <class V>
TG_FN constexpr bool takes(dtype_class c) {
  if (lane<V>::floating) return c != dtype_class::INTEGERS && c != dtype_class::BITS;
  if (__is_same(V, bool)) return c == dtype_class::ANY || c == dtype_class::BITS;
  return c != dtype_class::FLOATS;
}

// All derivatives that pointwise.def writes as V{} share the kernels of this row.
struct op_flat {
  template <class V>
  TG_MEMBER V df(V, V, V, V) {
    return V{};
  }
  template <class V>
  TG_MEMBER V ddf(V, V, V, V) {
    return V{};
  }
#define TG_ZERO(name)               \
  template <class V>                \
  TG_MEMBER V name(V, V, V, V, V) { \
    return V{};                     \
  }
  TG_ZERO(da) TG_ZERO(db) TG_ZERO(daa) TG_ZERO(dab) TG_ZERO(dbb)
#undef TG_ZERO
};
template <class Row, bool flat>
struct flat_or {
  using type = Row;
};
template <class Row>
struct flat_or<Row, true> {
  using type = op_flat;
};
template <class Row, bool flat>
using or_flat = typename flat_or<Row, flat>::type;

}  // namespace TG_MATH_NS
