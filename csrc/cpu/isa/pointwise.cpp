// The table of pointwise kernels. Its columns come from the other pointwise_*.cpp; `where` is here.
#include "cpu/pointwise.inl"

namespace tg::TG_ISA_NS {
namespace {

// `where`: the condition's bytes choose between elements of 4, 8 or 1 bytes.
template <class V>
void where_vector(const void* const* in, void* out, int64_t n, double, double) {
  using S = typename lane<V>::S;
  constexpr int w = lane<V>::n;
  const uint8_t* condition = static_cast<const uint8_t*>(in[0]);
  const S *a = static_cast<const S*>(in[1]), *b = static_cast<const S*>(in[2]);
  S* to = static_cast<S*>(out);
  int64_t i = 0;
  for (; i + w <= n; i += w) store(to + i, select(load_mask<V>(condition + i), load<V>(a + i), load<V>(b + i)));
  if (i < n) {
    const int rest = int(n - i);
    store_n(to + i, select(load_mask_n<V>(condition + i, rest), load_n<V>(a + i, rest), load_n<V>(b + i, rest)), rest);
  }
}
void where_byte(const void* const* in, void* out, int64_t n, double, double) {
  const uint8_t *condition = static_cast<const uint8_t*>(in[0]), *a = static_cast<const uint8_t*>(in[1]),
                *b = static_cast<const uint8_t*>(in[2]);
  uint8_t* to = static_cast<uint8_t*>(out);
  TG_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    const uint8_t take_a = uint8_t(-(condition[i] != 0));
    to[i] = uint8_t((a[i] & take_a) | (b[i] & ~take_a));
  }
}

}  // namespace

extern const PointwiseFn pointwise_float32[kPointwiseOps], pointwise_float64[kPointwiseOps],
    pointwise_int64[kPointwiseOps], pointwise_int32[kPointwiseOps], pointwise_uint8[kPointwiseOps],
    pointwise_bool[kPointwiseOps];

extern const PointwiseTable pointwise_table;
const PointwiseTable pointwise_table = {
    {pointwise_float32, pointwise_float64, pointwise_int64, pointwise_int32, pointwise_uint8, pointwise_bool},
    {where_vector<vf>, where_vector<vd>, where_vector<vd>, where_vector<vf>, where_byte, where_byte},
};

}  // namespace tg::TG_ISA_NS
