// The pointwise ops as numbers and plain data, made from pointwise.def: each row, and for differentiable rows
// its first and second derivatives, every one an op of its own. Freestanding.
//
//   row          op                                        inputs                        value
//   y = f(x)     f                                         x                             y
//                f_backward                                grad, x, y                    grad df
//                f_double_backward                         grad_grad, grad, x, y         grad_grad grad ddf
//   y = f(a, b)  f                                         a, b                          y
//                f_backward_a, _b                          grad, a, b, y                 grad da, grad db
//                f_double_backward_aa, _ab, _bb            grad_grad, grad, a, b, y      grad_grad grad daa
#pragma once
#include <stdint.h>

namespace tg {

enum PointwiseId : uint16_t {
#define TG_UNARY(name, ...) id_##name, id_##name##_backward, id_##name##_double_backward,
#define TG_BINARY(name, ...)                                                                 \
  id_##name, id_##name##_backward_a, id_##name##_backward_b, id_##name##_double_backward_aa, \
      id_##name##_double_backward_ab, id_##name##_double_backward_bb,
#define TG_UNARY_BITS(name, ...) id_##name,
#define TG_BINARY_BITS(name, ...) id_##name,
#define TG_UNARY_TEST(name, ...) id_##name,
#define TG_BINARY_TEST(name, ...) id_##name,
#include "pointwise.def"
  kPointwiseOps
};

// Which dtypes an op computes in. Floating: float32 and float64, others are cast to float32. Arithmetic:
// integers too. Any: also bool. Integral: integers alone. Bits: integers and bool. The capitals are how pointwise.def
// writes them.
enum class PointwiseClass : uint8_t {
  Floating,
  Arithmetic,
  Any,
  Integral,
  Bits,
  FLOATS = Floating,
  NUMBERS = Arithmetic,
  ANY = Any,
  INTEGERS = Integral,
  BITS = Bits
};

// Is a derivative written as V{}, which is 0 everywhere?
constexpr bool is_zero(const char* expression) {
  return expression[0] == 'V' && expression[1] == '{' && expression[2] == '}' && !expression[3];
}

struct PointwiseInfo {
  const char* name;
  int arity;  // number of tensors
  PointwiseClass cls;
  bool to_bool;           // the result is bool, whatever the inputs are
  const char* inputs[5];  // their names in the signature
  const char* params;     // p and q in the signature: "Float beta=1.0, Float threshold=20.0", or ""
  bool differentiable;    // <name>_backward... exist
  const char* onnx;       // "" if none
};

inline constexpr PointwiseInfo kPointwiseInfo[kPointwiseOps] = {
// clang-format off
#define TG_DERIVATIVE(name, arity, params, ...) \
  {name, arity, PointwiseClass::Floating, false, {__VA_ARGS__}, params, false, ""},
#define TG_UNARY(name, dtypes, params, onnx, ...)                                      \
  {#name, 1, PointwiseClass::dtypes, false, {"input"}, params, true, onnx},            \
  TG_DERIVATIVE(#name "_backward", 3, params, "grad", "input", "output")               \
  TG_DERIVATIVE(#name "_double_backward", 4, params, "grad_grad", "grad", "input", "output")
#define TG_BINARY(name, dtypes, params, onnx, ...)                                                       \
  {#name, 2, PointwiseClass::dtypes, false, {"input", "other"}, params, true, onnx},                     \
  TG_DERIVATIVE(#name "_backward_a", 4, params, "grad", "input", "other", "output")                      \
  TG_DERIVATIVE(#name "_backward_b", 4, params, "grad", "input", "other", "output")                      \
  TG_DERIVATIVE(#name "_double_backward_aa", 5, params, "grad_grad", "grad", "input", "other", "output") \
  TG_DERIVATIVE(#name "_double_backward_ab", 5, params, "grad_grad", "grad", "input", "other", "output") \
  TG_DERIVATIVE(#name "_double_backward_bb", 5, params, "grad_grad", "grad", "input", "other", "output")
#define TG_UNARY_BITS(name, dtypes, onnx, ...) \
  {#name, 1, PointwiseClass::dtypes, false, {"input"}, "", false, onnx},
#define TG_BINARY_BITS(name, dtypes, onnx, ...) \
  {#name, 2, PointwiseClass::dtypes, false, {"input", "other"}, "", false, onnx},
#define TG_UNARY_TEST(name, dtypes, onnx, ...) \
  {#name, 1, PointwiseClass::dtypes, true, {"input"}, "", false, onnx},
#define TG_BINARY_TEST(name, dtypes, onnx, ...) \
  {#name, 2, PointwiseClass::dtypes, true, {"input", "other"}, "", false, onnx},
// clang-format on
#include "pointwise.def"
#undef TG_DERIVATIVE
};

}  // namespace tg
