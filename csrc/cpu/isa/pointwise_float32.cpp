#include "cpu/pointwise.inl"

namespace tg::TG_ISA_NS {

extern const PointwiseFn pointwise_float32[kPointwiseOps];
const PointwiseFn pointwise_float32[kPointwiseOps] = {
#define TG_LANES vf
#include "cpu/pointwise_column.inl"
};

}  // namespace tg::TG_ISA_NS
