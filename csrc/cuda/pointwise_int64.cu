// The pointwise rows in int64.
#include "cuda/pointwise.h"

namespace tg::cuda {

const PointwiseLaunch pointwise_int64[kPointwiseOps] = {
#define TG_FORM(...) pointwise_kernel<__VA_ARGS__, int64_t>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::cuda
