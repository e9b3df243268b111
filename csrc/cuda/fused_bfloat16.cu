// Nets in bfloat16, one kernel each.
#include "cuda/fused_kernels.h"

namespace tg::cuda {

const NetKernels net_bfloat16 = net_kernels<BFloat, false>;

}  // namespace tg::cuda
