// What an element makes of its random bits (philox.h says which those are), for any lane type V with integers I of its width.
#pragma once
#include "elementary.h"
#include "philox.h"

namespace tg {

// 64 random bits to 0..range-1 (range 0 stands for 2^64). The bias is below range / 2^64.
TG_FN uint64_t random_below(uint64_t bits, uint64_t range) {
#if defined(__CUDA_ARCH__)
  return range ? __umul64hi(bits, range) : bits;
#else
  return range ? uint64_t((unsigned __int128)bits * range >> 64) : bits;
#endif
}
// Dropped are the words below this; p < 1.
TG_FN uint32_t drop_threshold(double p) { return uint32_t(p * 0x1p32); }

}  // namespace tg

namespace TG_MATH_NS {

// k 2^-24 (or k 2^-53), k the upper 24 (53) bits: 0 <= u < 1, exact
template <class V>
TG_FN V unit_interval(typename lane<V>::I bits) {
  if constexpr (lane<V>::wide) {
    const V high = to_float<V>(shift_right_logical(bits, 37)),
            low = to_float<V>(shift_right_logical(bits, 11) & 0x3ffffff);
    return fma(high, broadcast<V>(0x1p-27), low * broadcast<V>(0x1p-53));
  } else {
    return to_float<V>(shift_right_logical(bits, 8)) * broadcast<V>(0x1p-24f);
  }
}

// fma(u, width, low); what rounds up to high becomes `below`
template <class V>
TG_FN V uniform_number(typename lane<V>::I bits, V low, V width, V high, V below) {
  const V v = fma(unit_interval<V>(bits), width, low);
  return select(lt(v, high), v, below);
}

// Box-Muller: fma(r cos w, std, mean) and fma(r sin w, std, mean) of r = sqrt(-2 log u(a)), u in (0, 1], and w = 2 pi u(b).
template <class V>
struct NormalPair {
  V first, second;
};
template <class V>
TG_FN NormalPair<V> normal_pair(typename lane<V>::I a, typename lane<V>::I b, V mean, V std) {
  using S = typename lane<V>::S;
  const V u = unit_interval<V>(a) + broadcast<V>(lane<V>::wide ? S(0x1p-53) : S(0x1p-24));
  const V r = sqrt(log(u) * broadcast<V>(-2)), w = unit_interval<V>(b) * broadcast<V>(S(6.283185307179586476925));
  return {fma(r * cos(w), std, mean), fma(r * sin(w), std, mean)};
}

}  // namespace TG_MATH_NS
