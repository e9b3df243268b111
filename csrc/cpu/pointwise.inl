// Contiguous loops over the rows of math/pointwise.def, for the ISA that the including file is compiled for.
#pragma once
#include "cpu/simd.h"
// simd.h comes first: it chooses the namespace of math/.
#include "cpu/pointwise.h"
#include "math/pointwise_forms.h"

namespace tg::TG_ISA_NS {
namespace {

// ---- loops ----------------------------------------------------------------------------------------------
// Floating point: whole vectors, then the rest under a mask.
template <class F, class V>
void vector_loop(const void* const* in, void* out, int64_t n, double p, double q) {
  using S = typename lane<V>::S;
  constexpr int w = lane<V>::n;
  const S* from[F::inputs];
  for (int k = 0; k < F::inputs; k++) from[k] = static_cast<const S*>(in[k]);
  const V vp = broadcast<V>(S(p)), vq = broadcast<V>(S(q));
  V x[F::inputs];
  int64_t i = 0;
  for (; i + w <= n; i += w) {
    for (int k = 0; k < F::inputs; k++) x[k] = load<V>(from[k] + i);
    if constexpr (F::test) store_mask(static_cast<uint8_t*>(out) + i, F::at(x, vp, vq));
    else store(static_cast<S*>(out) + i, F::at(x, vp, vq));
  }
  if (i < n) {
    const int rest = int(n - i);
    for (int k = 0; k < F::inputs; k++) x[k] = load_n<V>(from[k] + i, rest);
    if constexpr (F::test) store_mask_n(static_cast<uint8_t*>(out) + i, F::at(x, vp, vq), rest);
    else store_n(static_cast<S*>(out) + i, F::at(x, vp, vq), rest);
  }
}

// The iterations of the next loop are independent, even where the output is one of the inputs. (Clang looks
// at the addresses when the loop runs.)
#if defined(__clang__)
#define TG_INDEPENDENT
#else
#define TG_INDEPENDENT _Pragma("GCC ivdep")
#endif

// Integers and bools: plain loops, which the compiler vectorises.
template <class F, class T>
void integer_loop(const void* const* in, void* out, int64_t n, double p, double q) {
  using S = typename stored<T>::type;
  using R = typename stored<decltype(F::at((const T*)nullptr, T{}, T{}))>::type;
  const S* from[F::inputs];
  for (int k = 0; k < F::inputs; k++) from[k] = static_cast<const S*>(in[k]);
  R* to = static_cast<R*>(out);
  const T tp = held<T>(bits(p)), tq = held<T>(bits(q));
  TG_INDEPENDENT
  for (int64_t i = 0; i < n; i++) {
    T x[F::inputs];
    for (int k = 0; k < F::inputs; k++) x[k] = T(from[k][i]);
    to[i] = R(F::at(x, tp, tq));
  }
}

// The kernel for lanes V (vectors, int64_t, int32_t, uint8_t or bool), null where the op does not take them.
template <class F, class V>
constexpr PointwiseFn kernel() {
  if constexpr (!takes<V>(F::dtypes)) return nullptr;
  else if constexpr (lane<V>::floating) return vector_loop<F, V>;
  else return integer_loop<F, V>;
}

}  // namespace
}  // namespace tg::TG_ISA_NS
