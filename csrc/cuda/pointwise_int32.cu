// The pointwise rows in int32.
#include "cuda/pointwise.h"

namespace tg::cuda {

const PointwiseLaunch pointwise_int32[kPointwiseOps] = {
#define TG_FORM(...) pointwise_kernel<__VA_ARGS__, int32_t>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::cuda
