// The rows of pointwise.def as types, for whoever loops over them:
//
//   struct op_tanh {                       // one per row, in the namespace of the ISA where csrc/cpu/simd.h came first
//     static constexpr int arity = 1;      // 1: x, 2: a and b
//     static constexpr int params = 0;     // how many of p, q mean something
//     static constexpr bool test = false;  // true: f returns a mask (lane<V>::M) and there are no derivatives, as
//                                          // there are none of INTEGERS and BITS
//     static constexpr dtype_class dtypes = dtype_class::FLOATS;
//     V f(V x, V p, V q);                  // binary rows: f(V a, V b, V p, V q)
//     V df(V x, V y, V p, V q);            // dy/dx, y = f(x); binary rows: da, db (V a, V b, V y, V p, V q)
//     V ddf(V x, V y, V p, V q);           // d2y/dx2;         binary rows: daa, dab, dbb of the same arguments
//   };
//
// All are static and work for V = float, double and the vectors of simd.h; f also for int64_t, int32_t,
// uint8_t (rows of NUMBERS) and bool (rows of ANY); rows of INTEGERS and BITS for integers alone. df may be a
// gate<V> instead of a V. p and q arrive as lanes: broadcast<V>(p), 0 where the row
// has none.
#pragma once
#include "activation.h"

namespace TG_MATH_NS {

enum class dtype_class { FLOATS, NUMBERS, ANY, INTEGERS, BITS };

TG_FN constexpr int count_params(const char* signature) {
  int n = *signature != 0;
  for (; *signature; signature++) n += *signature == ',';
  return n;
}

#define TG_ROW(arity_, dtypes_, params_, test_)                        \
  static constexpr int arity = arity_, params = count_params(params_); \
  static constexpr bool test = test_;                                  \
  static constexpr dtype_class dtypes = dtype_class::dtypes_;
#define TG_OF_X(name, result, expression)                                  \
  template <class V>                                                       \
  TG_MEMBER result name(V x, [[maybe_unused]] V p, [[maybe_unused]] V q) { \
    return expression;                                                     \
  }
#define TG_OF_AB(name, result, expression)                                      \
  template <class V>                                                            \
  TG_MEMBER result name(V a, V b, [[maybe_unused]] V p, [[maybe_unused]] V q) { \
    return expression;                                                          \
  }
#define TG_SLOPE_OF_X(name, expression)                                                                         \
  template <class V>                                                                                            \
  TG_MEMBER auto name([[maybe_unused]] V x, [[maybe_unused]] V y, [[maybe_unused]] V p, [[maybe_unused]] V q) { \
    return expression;                                                                                          \
  }
#define TG_SLOPE_OF_AB(name, expression)                                                                   \
  template <class V>                                                                                       \
  TG_MEMBER V name([[maybe_unused]] V a, [[maybe_unused]] V b, [[maybe_unused]] V y, [[maybe_unused]] V p, \
                   [[maybe_unused]] V q) {                                                                 \
    return expression;                                                                                     \
  }

#define TG_UNARY(name, dtypes, params, onnx, f_, df_, ddf_) \
  struct op_##name {                                        \
    TG_ROW(1, dtypes, params, false)                        \
    TG_OF_X(f, V, V(f_))                                    \
    TG_SLOPE_OF_X(df, df_)                                  \
    TG_SLOPE_OF_X(ddf, ddf_)                                \
  };
#define TG_BINARY(name, dtypes, params, onnx, f_, da_, db_, daa_, dab_, dbb_) \
  struct op_##name {                                                          \
    TG_ROW(2, dtypes, params, false)                                          \
    TG_OF_AB(f, V, V(f_))                                                     \
    TG_SLOPE_OF_AB(da, da_)                                                   \
    TG_SLOPE_OF_AB(db, db_)                                                   \
    TG_SLOPE_OF_AB(daa, daa_)                                                 \
    TG_SLOPE_OF_AB(dab, dab_)                                                 \
    TG_SLOPE_OF_AB(dbb, dbb_)                                                 \
  };
#define TG_UNARY_BITS(name, dtypes, onnx, f_) \
  struct op_##name {                          \
    TG_ROW(1, dtypes, "", false)              \
    TG_OF_X(f, V, V(f_))                      \
  };
#define TG_BINARY_BITS(name, dtypes, onnx, f_) \
  struct op_##name {                           \
    TG_ROW(2, dtypes, "", false)               \
    TG_OF_AB(f, V, V(f_))                      \
  };
#define TG_UNARY_TEST(name, dtypes, onnx, f_) \
  struct op_##name {                          \
    TG_ROW(1, dtypes, "", true)               \
    TG_OF_X(f, typename lane<V>::M, f_)       \
  };
#define TG_BINARY_TEST(name, dtypes, onnx, f_) \
  struct op_##name {                           \
    TG_ROW(2, dtypes, "", true)                \
    TG_OF_AB(f, typename lane<V>::M, f_)       \
  };
#include "pointwise.def"
#undef TG_ROW
#undef TG_OF_X
#undef TG_OF_AB
#undef TG_SLOPE_OF_X
#undef TG_SLOPE_OF_AB

}  // namespace TG_MATH_NS
