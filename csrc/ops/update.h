// Rows that overwrite the members of their list: the steps of the optimizers. The list holds groups of equal length, one
// member per parameter in each: the parameters, their gradients, the states of the parameters' shapes, and the states that
// are single numbers (counts of steps, products that run on). All but the gradients are overwritten; there is no output.
#pragma once
#include "ops/op.h"

namespace tg {

struct UpdateLayout {
  int states = 0, scalars = 0;
  int groups() const { return 2 + states + scalars; }
};

// Of a row with the flag kUpdates.
UpdateLayout update_layout(const Op& op, const Attrs& attrs);

// Is input i of n overwritten?
inline bool overwrites(const UpdateLayout& layout, size_t i, size_t n) {
  return i / (n / static_cast<size_t>(layout.groups())) != 1;
}

}  // namespace tg
