// The parameters p and q of pointwise calls and of fused activations, as every backend reads them.
#pragma once
#include "ops/op.h"

namespace tg {

// Parameter k (0: p, 1: q) of a call of a pointwise row; None is the bound that binds nothing. For an integer dtype these are
// the bits of an int64.
double pointwise_parameter(const Call& c, int k);

// The activation that a dense call ends with.
struct Activation {
  const Op* op;  // null: none
  double p, q;
};
Activation activation_of(const Call& c);

}  // namespace tg
