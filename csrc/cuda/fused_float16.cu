// Nets in float16, one kernel each.
#include "cuda/fused_kernels.h"

namespace tg::cuda {

NetKernels net_float16() { return net_kernels<Half, false>(); }

}  // namespace tg::cuda
