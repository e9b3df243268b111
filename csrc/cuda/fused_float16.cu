// Nets in float16, one kernel each.
#include "cuda/fused_kernels.h"

namespace tg::cuda {

const NetKernels net_float16 = net_kernels<Half, false>;

}  // namespace tg::cuda
