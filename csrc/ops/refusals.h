// Values that kernels refuse, and the words for it: one text for all backends, whether a kernel finds them while it is called or a
// device leaves a note that is read later.
#pragma once
#include <cstdint>

#include "ops/ids.h"

namespace tg {

struct Op;

// Rows that refuse a divisor of 0 among integers.
constexpr bool divides(int op) {
  return op == id_floor_divide || op == id_remainder || op == id_fmod || op == id_native_div_trunc;
}

// What a kernel asks of values. Plain data: backends that are built apart share it.
struct Check {
  enum What : int32_t { index, target, divisor, probability, count };
  What what = index;
  int32_t axis = 0;             // index: of the indexed tensor
  int64_t low = 0, length = 0;  // index, target: expected from low to length - 1
  int64_t given = 0;            // target: the ignore_index; count: what was said
  int32_t rank = 0;             // divisor: the shape of the divisors
  int64_t shape[8] = {};

  static Check of_index(int axis, int64_t length, bool wraps) {
    Check c;
    c.axis = axis;
    c.low = wraps ? -length : 0;
    c.length = length;
    return c;
  }
  static Check of_target(int64_t classes, int64_t ignored) {
    Check c;
    c.what = target;
    c.length = classes;
    c.given = ignored;
    return c;
  }
  static Check of_divisor(int rank, const int64_t* shape) {
    Check c;
    c.what = divisor;
    c.rank = rank;
    for (int i = 0; i < rank; i++) c.shape[i] = shape[i];
    return c;
  }
  static Check of_probability() {
    Check c;
    c.what = probability;
    return c;
  }
  static Check of_count(int64_t said) {
    Check c;
    c.what = count;
    c.given = said;
    return c;
  }
};

// Where the first bad value is, by its logical index, and what it is.
struct Note {
  static constexpr uint64_t none = ~uint64_t{0};
  uint64_t place = none;
  union {
    int64_t value = 0;
    double probability;
  };
};

[[noreturn]] void refuse(const Op& op, const Check& check, const Note& note);

}  // namespace tg
