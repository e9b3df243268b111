#include "cpu/pointwise.inl"

namespace tg::TG_ISA_NS {

extern const PointwiseFn pointwise_int64[kPointwiseOps], pointwise_int32[kPointwiseOps], pointwise_uint8[kPointwiseOps],
    pointwise_bool[kPointwiseOps];

const PointwiseFn pointwise_int64[kPointwiseOps] = {
#define TG_FORM(...) kernel<__VA_ARGS__, int64_t>(),
#include "math/pointwise_forms.def"
};

const PointwiseFn pointwise_int32[kPointwiseOps] = {
#define TG_FORM(...) kernel<__VA_ARGS__, int32_t>(),
#include "math/pointwise_forms.def"
};

const PointwiseFn pointwise_uint8[kPointwiseOps] = {
#define TG_FORM(...) kernel<__VA_ARGS__, uint8_t>(),
#include "math/pointwise_forms.def"
};

const PointwiseFn pointwise_bool[kPointwiseOps] = {
#define TG_FORM(...) kernel<__VA_ARGS__, bool>(),
#include "math/pointwise_forms.def"
};

}  // namespace tg::TG_ISA_NS
