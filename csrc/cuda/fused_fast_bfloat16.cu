// Nets in bfloat16, one kernel each, products by tensor cores.
#include "cuda/fused_kernels.h"

namespace tg::cuda {

NetKernels net_fast_bfloat16() { return net_kernels<BFloat, true>(); }

}  // namespace tg::cuda
