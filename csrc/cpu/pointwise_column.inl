// One column of the pointwise table: the kernels for lanes TG_LANES, in the order of PointwiseId.
#define TG_OR_FLAT(name, derivative) or_flat<op_##name, is_zero(#derivative)>
#define TG_UNARY(name, dtypes, params, onnx, f, df, ddf)                                   \
  kernel<forward<op_##name>, TG_LANES>(), kernel<slope<TG_OR_FLAT(name, df)>, TG_LANES>(), \
      kernel<curvature<TG_OR_FLAT(name, ddf)>, TG_LANES>(),
#define TG_BINARY(name, dtypes, params, onnx, f, da, db, daa, dab, dbb)                                           \
  kernel<forward<op_##name>, TG_LANES>(), kernel<slope_a<TG_OR_FLAT(name, da)>, TG_LANES>(),                      \
      kernel<slope_b<TG_OR_FLAT(name, db)>, TG_LANES>(), kernel<curvature_aa<TG_OR_FLAT(name, daa)>, TG_LANES>(), \
      kernel<curvature_ab<TG_OR_FLAT(name, dab)>, TG_LANES>(),                                                    \
      kernel<curvature_bb<TG_OR_FLAT(name, dbb)>, TG_LANES>(),
#define TG_UNARY_BITS(name, ...) kernel<forward<op_##name>, TG_LANES>(),
#define TG_BINARY_BITS(name, ...) kernel<forward<op_##name>, TG_LANES>(),
#define TG_UNARY_TEST(name, ...) kernel<forward<op_##name>, TG_LANES>(),
#define TG_BINARY_TEST(name, ...) kernel<forward<op_##name>, TG_LANES>(),
#include "math/pointwise.def"
#undef TG_OR_FLAT
#undef TG_LANES
