// Nets in bfloat16, one kernel each.
#include "cuda/fused_kernels.h"

namespace tg::cuda {

NetKernels net_bfloat16() { return net_kernels<BFloat, false>(); }

}  // namespace tg::cuda
