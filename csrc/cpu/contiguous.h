// Copies between layouts.
#pragma once
#include "core/tensor.h"

namespace tg {

// `t` itself where it is contiguous, else a contiguous copy.
Tensor contiguous(const Tensor& t);

// to = from, which broadcasts to the shape of `to` and has its dtype. The two are one view or share no byte.
void copy(const Tensor& to, const Tensor& from);

}  // namespace tg
