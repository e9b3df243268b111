// Nets in float32, one kernel each.
#include "cuda/fused_kernels.h"

namespace tg::cuda {

const NetKernels net_float32 = net_kernels<float, false>;

}  // namespace tg::cuda
