// The explicit list of backends.
#pragma once
#include "ops/op.h"

namespace tg {

const Backend* built_in_backend(Device d);  // null where this build or machine has none

// Each is defined by its own room.
const Backend* cpu_backend();
const Backend* cuda_backend();  // null until the first call of require_cuda, or where CUDA is absent (cuda/backend.h)

}  // namespace tg
