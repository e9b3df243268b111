// The CUDA module, for what of the extension asks it for more than ops.
#pragma once
#include "cuda/abi.h"

namespace tg::cuda {

const Module& loaded_module();  // after require(): it is there

}  // namespace tg::cuda
