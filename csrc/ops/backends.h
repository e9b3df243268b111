// The explicit list of backends.
#pragma once
#include "ops/op.h"

namespace tg {

// Defined by the backend's own room (cpu/backend.cpp); null where this build or machine has none.
const Backend* built_in_backend(Device d);

}  // namespace tg
