// Nets in float32, one kernel each.
#include "cuda/fused_kernels.h"

namespace tg::cuda {

NetKernels net_float32() { return net_kernels<float, false>(); }

}  // namespace tg::cuda
