// Numbers of a net: as they are held on the chip, in T, and as they are computed with.
#pragma once
#include "cuda/elements.h"

namespace tg::cuda {

template <class T>
TG_BODY T narrowed(float v) {
  if constexpr (__is_same(T, Half)) return to_half(v);
  else if constexpr (__is_same(T, BFloat)) return to_bfloat(v);
  else return v;
}
TG_BODY float widened(float v) { return v; }
template <class T>
TG_BODY float rounded(float v) {
  return widened(narrowed<T>(v));
}

template <class T>
struct alignas(4 * sizeof(T)) FourOf {
  T at[4];
};
template <class T>
TG_BODY Quad quad(const T* at) {
  const FourOf<T> four = *reinterpret_cast<const FourOf<T>*>(at);
  Quad v;
  TG_UNROLLED
  for (int i = 0; i < 4; i++) v.at[i] = widened(four.at[i]);
  return v;
}
template <class T>
TG_BODY void put(T* at, const Quad& v) {
  FourOf<T> four;
  TG_UNROLLED
  for (int i = 0; i < 4; i++) four.at[i] = narrowed<T>(v.at[i]);
  *reinterpret_cast<FourOf<T>*>(at) = four;
}

}  // namespace tg::cuda
