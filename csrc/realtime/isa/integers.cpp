// The predictor's kernels of integers of one instruction set; for AVX-512 compiled once more with VNNI.
#include "cpu/simd.h"

#include "realtime/kernels.h"

namespace tg::TG_ISA_NS {
namespace {

using realtime::IntegerTable, realtime::Step;
#include "realtime/lanes.inl"
#include "realtime/integers.inl"
#include "realtime/integer_kernels.inl"

template <class T, int NR>
constexpr realtime::Kernel dense_tile_if() {
  if constexpr (NR <= tile_outputs(1)) return dense_tile<T, NR>;
  else return nullptr;
}
#define TG_TWELVE(f, T) \
  {f<T, 1>, f<T, 2>, f<T, 3>, f<T, 4>, f<T, 5>, f<T, 6>, f<T, 7>, f<T, 8>, f<T, 9>, f<T, 10>, f<T, 11>, f<T, 12>}
#define TG_TWELVE_OF(f, T)                                             \
  {f<T, 1>(), f<T, 2>(), f<T, 3>(), f<T, 4>(),  f<T, 5>(),  f<T, 6>(), \
   f<T, 7>(), f<T, 8>(), f<T, 9>(), f<T, 10>(), f<T, 11>(), f<T, 12>()}

}  // namespace

#if defined(__AVX512VNNI__)
#define TG_TABLE vnni_table
#else
#define TG_TABLE integer_table
#endif
extern const IntegerTable TG_TABLE;
const IntegerTable TG_TABLE = {
    {quantize<Bytes>, quantize<Shorts>},
    {TG_TWELVE(dense, Bytes), TG_TWELVE(dense, Shorts)},
    {column<Bytes>, column<Shorts>},
    {quantize_tile<Bytes>, quantize_tile<Shorts>},
    {TG_TWELVE_OF(dense_tile_if, Bytes), TG_TWELVE_OF(dense_tile_if, Shorts)},
};

}  // namespace tg::TG_ISA_NS
