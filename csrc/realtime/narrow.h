// A program whose dense layers hold narrower numbers: bfloat16, or integers with ranges taken from events.
#pragma once
#include "realtime/program.h"

namespace tg::realtime {

// x(rows, the program's inputs); none, where rows is 0.
struct Events {
  const float* x = nullptr;
  int64_t rows = 0;
};

// Of a valid program of float32. bfloat16 takes no events; for int8 and int16 they say which numbers every dense layer gets.
// Throws Error(Value) where they do not, or where numbers are not finite.
Program narrowed(const Program& program, Storage precision, const Events& calibration);

// How far the answers of two programs with the same inputs and outputs are from each other.
struct Difference {
  double largest = 0, rms = 0;  // NaN, where one of two answers is
};
Difference difference(const Program& a, const Program& b, const Events& events);

}  // namespace tg::realtime
