// The predictor's kernels of integers of one instruction set; for AVX-512 compiled once more with VNNI.
#include "cpu/simd.h"

#include "realtime/kernels.h"

namespace tg::TG_ISA_NS {
namespace {

using realtime::IntegerTable, realtime::Step;
#include "realtime/lanes.inl"
#include "realtime/integers.inl"
#include "realtime/integer_kernels.inl"

// Vectors of outputs at once, and outputs of a tile's block: what the registers hold beside weights and events. Sums have no
// order, so few suffice to hide what they wait for.
#if defined(TG_ISA_AVX512)
constexpr int most = 6;
#elif defined(TG_ISA_AVX2)
constexpr int most = 4;
#else
constexpr int most = 3;
#endif
template <class T, int R>
constexpr realtime::Kernel dense_if() {
  if constexpr (R <= most) return dense<T, R>;
  else return nullptr;
}
template <class T, int NR>
constexpr realtime::Kernel dense_tile_if() {
  if constexpr (NR <= most) return dense_tile<T, NR>;
  else return nullptr;
}
#define TG_SIX(f, T) {f<T, 1>(), f<T, 2>(), f<T, 3>(), f<T, 4>(), f<T, 5>(), f<T, 6>()}

}  // namespace

#if defined(__AVX512VNNI__)
#define TG_TABLE vnni_table
#else
#define TG_TABLE integer_table
#endif
extern const IntegerTable TG_TABLE;
const IntegerTable TG_TABLE = {
    most,
    {quantize<Bytes>, quantize<Shorts>},
    {TG_SIX(dense_if, Bytes), TG_SIX(dense_if, Shorts)},
    {column<Bytes>, column<Shorts>},
    {quantize_tile<Bytes>, quantize_tile<Shorts>},
    {TG_SIX(dense_tile_if, Bytes), TG_SIX(dense_tile_if, Shorts)},
};

}  // namespace tg::TG_ISA_NS
