// The pointwise rows in uint8.
#if defined(__CUDACC__)
#pragma nv_diag_suppress 186  // math/ asks whether x < 0
#endif
#include "cuda/pointwise.h"

namespace tg::cuda {

const PointwiseLaunch pointwise_uint8[kPointwiseOps] = {
#define TG_FORM(...) pointwise_kernel<__VA_ARGS__, uint8_t>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::cuda
