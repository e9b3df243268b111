// Nets in float16, one kernel each, products by tensor cores.
#include "cuda/fused_kernels.h"

namespace tg::cuda {

NetKernels net_fast_float16() { return net_kernels<Half, true>(); }

}  // namespace tg::cuda
