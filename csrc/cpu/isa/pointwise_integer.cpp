#include "cpu/pointwise.inl"

namespace tg::TG_ISA_NS {

extern const PointwiseFn pointwise_int64[kPointwiseOps], pointwise_int32[kPointwiseOps], pointwise_uint8[kPointwiseOps],
    pointwise_bool[kPointwiseOps];

const PointwiseFn pointwise_int64[kPointwiseOps] = {
#define TG_LANES int64_t
#include "cpu/pointwise_column.inl"
};

const PointwiseFn pointwise_int32[kPointwiseOps] = {
#define TG_LANES int32_t
#include "cpu/pointwise_column.inl"
};

const PointwiseFn pointwise_uint8[kPointwiseOps] = {
#define TG_LANES uint8_t
#include "cpu/pointwise_column.inl"
};

const PointwiseFn pointwise_bool[kPointwiseOps] = {
#define TG_LANES bool
#include "cpu/pointwise_column.inl"
};

}  // namespace tg::TG_ISA_NS
