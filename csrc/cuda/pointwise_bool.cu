// The pointwise rows in bool.
#include "cuda/pointwise.h"

namespace tg::cuda {

const PointwiseLaunch pointwise_bool[kPointwiseOps] = {
#define TG_FORM(...) pointwise_kernel<__VA_ARGS__, bool>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::cuda
