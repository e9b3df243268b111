// The pointwise rows in float32.
#include "cuda/pointwise.h"

namespace tg::cuda {

const PointwiseLaunch pointwise_float32[kPointwiseOps] = {
#define TG_FORM(...) pointwise_kernel<__VA_ARGS__, float>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::cuda
