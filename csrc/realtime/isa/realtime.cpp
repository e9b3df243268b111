// The predictor's kernel table of one instruction set.
#include "cpu/simd.h"

#include "cpu/row16.h"
#include "math/order.h"
#include "math/pointwise.h"
#include "math/softmax.h"
#include "realtime/kernels.h"

namespace tg::TG_ISA_NS {
namespace {

using realtime::Kernel, realtime::KernelTable, realtime::Step;
#include "cpu/four_lanes.inl"
#include "cpu/rows.inl"
#include "cpu/weights.inl"
#include "realtime/lanes.inl"
#include "realtime/one.inl"
#include "realtime/tile.inl"

// What a dense layer of at most `most` outputs needs: 16 for four chains, 32 for two.
constexpr bool occurs(int chains, int vectors) { return chains == 1 || (vectors - 1) * L < (chains == 4 ? 16 : 32); }
template <int log_chains, int R, class W = float>
constexpr Kernel dense_if() {
  if constexpr (occurs(1 << log_chains, R)) return dense_either<W, 1 << log_chains, R>;
  else return nullptr;
}
template <int log_chains, int R>
constexpr Kernel dense_bf16_if() {
  return dense_if<log_chains, R, uint16_t>();
}
template <int log_chains, int NR>
constexpr Kernel dense_tile_if() {
  if constexpr (NR <= tile_outputs(1 << log_chains)) return dense_tile<1 << log_chains, NR>;
  else return nullptr;
}
#define TG_TWELVE(f, s)                                                \
  {f<s, 1>(), f<s, 2>(), f<s, 3>(), f<s, 4>(),  f<s, 5>(),  f<s, 6>(), \
   f<s, 7>(), f<s, 8>(), f<s, 9>(), f<s, 10>(), f<s, 11>(), f<s, 12>()}

struct Pointwise {
  Kernel unary[kPointwiseOps] = {}, binary[kPointwiseOps] = {};
};
constexpr Pointwise pointwise() {
  Pointwise t;
#define TG_UNARY(name, ...) t.unary[id_##name] = unary<op_##name>;
#include "math/pointwise.def"
  t.binary[id_add] = binary<op_add>;
  t.binary[id_sub] = binary<op_sub>;
  t.binary[id_mul] = binary<op_mul>;
  t.binary[id_maximum] = binary<op_maximum>;
  return t;
}

constexpr KernelTable table() {
  KernelTable t = {
#if defined(TG_ISA_AVX512)
      "avx512",
#elif defined(TG_ISA_AVX2)
      "avx2",
#else
      "baseline",
#endif
      L,
      E,
      {tile_outputs(1), tile_outputs(2), tile_outputs(4)},
      {TG_TWELVE(dense_if, 0), TG_TWELVE(dense_if, 1), TG_TWELVE(dense_if, 2)},
      {TG_TWELVE(dense_bf16_if, 0), TG_TWELVE(dense_bf16_if, 1), TG_TWELVE(dense_bf16_if, 2)},
      dense_column,
      affine,
      prelu,
      standardize,
      softmax<false>,
      softmax<true>,
      largest,
      {TG_TWELVE(dense_tile_if, 0), TG_TWELVE(dense_tile_if, 1), TG_TWELVE(dense_tile_if, 2)},
      affine_tile,
      prelu_tile,
      standardize_tile,
      softmax_tile<false>,
      softmax_tile<true>,
      largest_tile,
      {},
      {},
      step,
      copy,
      turn_in,
      turn_out,
      stream,
  };
  constexpr Pointwise p = pointwise();
  for (int i = 0; i < kPointwiseOps; i++) t.unary[i] = p.unary[i], t.binary[i] = p.binary[i];
  return t;
}

}  // namespace

extern const KernelTable realtime_table;
const KernelTable realtime_table = table();

}  // namespace tg::TG_ISA_NS
