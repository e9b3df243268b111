// Sixteen lanes of a row, in as many vectors as they take, and how they fold into one number: the same order of a sum on every
// instruction set. Pasted into exported headers beside simd.h.
#pragma once
#include "simd.h"

namespace tg::TG_ISA_NS {

// ---- folding lanes by halves: lane i takes op(lane i, lane i + h), h = n/2 .. 1; lane 0 is the result -----
template <int H, class V>
TG_FN V lanes_from(V v) {  // lane i is lane i + H of v; the last H lanes are not specified
#if defined(__clang__)
  if constexpr (lane<V>::n == 16)
    return __builtin_shufflevector(v, v, H % 16, (H + 1) % 16, (H + 2) % 16, (H + 3) % 16, (H + 4) % 16, (H + 5) % 16,
                                   (H + 6) % 16, (H + 7) % 16, -1, -1, -1, -1, -1, -1, -1, -1);
  else if constexpr (lane<V>::n == 8) return __builtin_shufflevector(v, v, H, H + 1, H + 2, H + 3, -1, -1, -1, -1);
  else if constexpr (lane<V>::n == 4) return __builtin_shufflevector(v, v, H, H + 1, -1, -1);
  else return __builtin_shufflevector(v, v, H, -1);
#else
  typename lane<V>::I index;
  for (int i = 0; i < lane<V>::n; i++) index[i] = (i + H) % lane<V>::n;
  return __builtin_shuffle(v, index);
#endif
}
template <class V, class F>
TG_FN typename lane<V>::S fold_lanes(V v, F op) {
  if constexpr (lane<V>::n == 16) v = op(v, lanes_from<8>(v));
  if constexpr (lane<V>::n >= 8) v = op(v, lanes_from<4>(v));
  if constexpr (lane<V>::n >= 4) v = op(v, lanes_from<2>(v));
  v = op(v, lanes_from<1>(v));
  return v[0];
}

// A logical row of 16 lanes, the unit of every reduction along a row: 16 / lanes vectors. Element i is lane i.
template <class V>
struct row16 {
  static constexpr int n = 16 / lane<V>::n;
  V v[n];
};
template <class V>
TG_FN row16<V> row16_broadcast(typename lane<V>::S s) {
  row16<V> r;
  for (int i = 0; i < row16<V>::n; i++) r.v[i] = broadcast<V>(s);
  return r;
}
// The first n of 16 elements; the missing lanes hold `identity`.
template <class V>
TG_FN row16<V> row16_load_n(const typename lane<V>::S* p, int n, typename lane<V>::S identity) {
  constexpr int w = lane<V>::n;
  row16<V> r;
  for (int i = 0; i < row16<V>::n; i++) {
    int k = n - i * w;
    k = k < 0 ? 0 : k > w ? w : k;
    r.v[i] = select(first_lanes<V>(k), load_n<V>(p + (k ? i * w : 0), k), broadcast<V>(identity));
  }
  return r;
}
template <class V, class F>
TG_FN row16<V> row16_join(row16<V> a, row16<V> b, F op) {
  for (int i = 0; i < row16<V>::n; i++) a.v[i] = op(a.v[i], b.v[i]);
  return a;
}
// Fold by halves: 8, 4, 2, 1, the larger steps across vectors, the smaller ones within one.
template <class V, class F>
TG_FN typename lane<V>::S row16_fold(row16<V> r, F op) {
  for (int h = row16<V>::n / 2; h >= 1; h /= 2)
    for (int i = 0; i < h; i++) r.v[i] = op(r.v[i], r.v[i + h]);
  return fold_lanes(r.v[0], op);
}

}  // namespace tg::TG_ISA_NS
