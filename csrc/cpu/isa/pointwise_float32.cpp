#include "cpu/pointwise.inl"

namespace tg::TG_ISA_NS {

extern const PointwiseFn pointwise_float32[kPointwiseOps];
const PointwiseFn pointwise_float32[kPointwiseOps] = {
#define TG_FORM(...) kernel<__VA_ARGS__, vf>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::TG_ISA_NS
