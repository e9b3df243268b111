// One column of the pointwise table: the kernels for lanes TG_LANES, in the order of PointwiseId.
#define TG_UNARY(name, ...)                                                     \
  kernel<forward<op_##name>, TG_LANES>(), kernel<slope<op_##name>, TG_LANES>(), \
      kernel<curvature<op_##name>, TG_LANES>(),
#define TG_BINARY(name, ...)                                                               \
  kernel<forward<op_##name>, TG_LANES>(), kernel<slope_a<op_##name>, TG_LANES>(),          \
      kernel<slope_b<op_##name>, TG_LANES>(), kernel<curvature_aa<op_##name>, TG_LANES>(), \
      kernel<curvature_ab<op_##name>, TG_LANES>(), kernel<curvature_bb<op_##name>, TG_LANES>(),
#define TG_UNARY_TEST(name, ...) kernel<forward<op_##name>, TG_LANES>(),
#define TG_BINARY_TEST(name, ...) kernel<forward<op_##name>, TG_LANES>(),
#include "math/pointwise.def"
#undef TG_LANES
