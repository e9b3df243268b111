#include "cpu/pointwise.inl"

namespace tg::TG_ISA_NS {

extern const PointwiseFn pointwise_float64[kPointwiseOps];
const PointwiseFn pointwise_float64[kPointwiseOps] = {
#define TG_FORM(...) kernel<__VA_ARGS__, vd>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::TG_ISA_NS
