// Memory that a kernel works in aside.
#pragma once
#include "core/tensor.h"

namespace tg {

// A tensor of undefined contents for the time of a kernel's call, on memory that the thread keeps for the next one: no
// allocation once it is there. Not to be handed out; what lies in it must not be kept beside it (Storage::set_derived).
Tensor aside(const Dims& shape, Dtype dtype);

}  // namespace tg
