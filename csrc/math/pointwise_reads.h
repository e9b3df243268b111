// Which of a row's variables each derivative of pointwise.def mentions: what a backward pass has to keep. Freestanding.
#pragma once
#include "pointwise_ids.h"

namespace tg {

// Does the variable, a letter, stand in the expression as a word of its own?
constexpr bool mentions(const char* expression, char variable) {
  auto in_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (bool before = false; *expression; expression++) {
    if (*expression == variable && !before && !in_word(expression[1])) return true;
    before = in_word(*expression);
  }
  return false;
}

struct PointwiseReads {
  bool input, other, output;
  bool zero;  // the derivative is 0 everywhere
};

constexpr PointwiseReads reads_of_x(const char* e) { return {mentions(e, 'x'), false, mentions(e, 'y'), is_zero(e)}; }
constexpr PointwiseReads reads_of_ab(const char* e) {
  return {mentions(e, 'a'), mentions(e, 'b'), mentions(e, 'y'), is_zero(e)};
}

// Per row; for a row that is no derivative nothing.
inline constexpr PointwiseReads kPointwiseReads[kPointwiseOps] = {
#define TG_UNARY(name, dtypes, params, onnx, f, df, ddf) {}, reads_of_x(#df), reads_of_x(#ddf),
#define TG_BINARY(name, dtypes, params, onnx, f, da, db, daa, dab, dbb) \
  {}, reads_of_ab(#da), reads_of_ab(#db), reads_of_ab(#daa), reads_of_ab(#dab), reads_of_ab(#dbb),
#define TG_UNARY_TEST(name, ...) {},
#define TG_BINARY_TEST(name, ...) {},
#define TG_UNARY_BITS(name, ...) {},
#define TG_BINARY_BITS(name, ...) {},
#include "pointwise.def"
#undef TG_UNARY_BITS
#undef TG_BINARY_BITS
};

}  // namespace tg
