#include "cpu/pointwise.inl"

namespace tg::TG_ISA_NS {

extern const PointwiseFn pointwise_float64[kPointwiseOps];
const PointwiseFn pointwise_float64[kPointwiseOps] = {
#define TG_LANES vd
#include "cpu/pointwise_column.inl"
};

}  // namespace tg::TG_ISA_NS
