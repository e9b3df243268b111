// The pointwise rows in float64.
#include "cuda/pointwise.h"

namespace tg::cuda {

const PointwiseLaunch pointwise_float64[kPointwiseOps] = {
#define TG_FORM(...) pointwise_kernel<__VA_ARGS__, double>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::cuda
