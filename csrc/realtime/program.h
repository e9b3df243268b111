// What a predictor computes, as plain data: a short list of layer instructions over rows of float32. A model is lowered to
// it, plan files hold it, `pack` (predictor.h) makes it runnable on one instruction set.
//
// Values are rows of fixed width; value 0 is the event. An instruction writes one value, once; `copy` writes a part of one,
// the parts from left to right.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "math/pointwise_ids.h"

namespace tg::realtime {

enum class Code : uint8_t {
  dense,        // out(N) = w(N,K) a(K) + bias(N) in the dense order; relu: held to >= 0
  unary,        // out = function(a; p, q), a row of pointwise.def
  binary,       // out = function(a, b): add, sub, mul or maximum
  affine,       // out = fma(a, scale, shift), per feature
  prelu,        // out = a where a > 0, else slope a, per feature
  standardize,  // out = (clamp(a or, where NaN, fill; low, high) - offset) scale, per feature
  softmax,      // of the whole row
  log_softmax,
  largest,  // out(N)[n] = the greatest of a[n P], ..., a[n P + P - 1]
  step,     // out = 1 where a >= 0, else 0
  copy,     // out[out_offset + i] = a[a_offset + i], i < count
  // Rows of integers, 0 .. 255 or int16, which dense8 and dense16 alone read.
  quantize8,  // out = round(fma(a, scale, zero)) to nearest even, held to p .. q, per feature
  quantize16,
  dense8,  // out(N) = fma(float(w(N,K) (a(K) - zero(K))), scale(N), bias(N)), the products' sum exact in int32
  dense16,
};
inline constexpr int kCodes = 15;
inline constexpr int kMostConstants = 5;
inline constexpr int32_t kNone = -1;

// What all numbers of a constant are, and how the weights of a dense layer are packed.
enum class Storage : uint8_t { float32, bfloat16, int8, int16 };
inline constexpr int kStorages = 4;

// (rows, columns), row-major; a vector has one row.
struct Constant {
  int32_t rows = 0, columns = 0;
  std::vector<float> data;
  Storage storage = Storage::float32;
};

struct Instruction {
  Code code{};
  bool relu = false;
  int32_t function = kNone;  // PointwiseId
  int32_t a = 0, b = kNone, out = 0;
  int32_t a_offset = 0, out_offset = 0, count = 0;
  // dense: w, bias (or none); affine: scale, shift; prelu: slope; standardize: fill, low, high, offset, scale;
  // quantize8, 16: scale, zero; dense8, 16: w, bias (or none), scale
  int32_t constant[kMostConstants] = {kNone, kNone, kNone, kNone, kNone};
  float p = 0, q = 0;
};

struct Program {
  std::vector<int32_t> width;  // of each value; width[0] features go in
  std::vector<Instruction> instructions;
  std::vector<Constant> constants;
  bool refuse_nan = false;  // an event with a NaN has no answer
  int32_t inputs() const { return width.front(); }
  int32_t outputs() const { return width[static_cast<size_t>(instructions.back().out)]; }  // the last instruction's
};

const char* name(Code code);
const char* name(Storage storage);
int constants_of(Code code);        // how many it has
Storage storage_of(Code code);      // int8 and int16 for the codes of integers
Storage precision(const Program&);  // that of its dense layers: of the first one
bool is_dense(Code code);
bool is_quantize(Code code);

// Throws Error(Value) with `who` in front unless every index, width and shape fits, and unless no sum of integers can leave
// int32, in whatever order it is taken: what passes can be packed and run.
void validate(const Program& program, const char* who);

// A relu that alone reads a dense layer becomes part of it. Bits stay as they are.
void fuse(Program& program);

}  // namespace tg::realtime
