// Elements of products as they lie in memory, float16 and bfloat16 among them, and as they are computed with.
#pragma once
#include "core/dtype.h"
#include "cuda/launch.h"
#include "math/convert.h"

namespace tg::cuda {

template <class T>
struct alignas(16) Four {
  T at[4];
};

struct alignas(8) FourHalves {
  uint16_t at[4];
};

template <class T>
constexpr Dtype dtype_like = sizeof(T) == 4 ? Dtype::Float32 : Dtype::Float64;

TG_BODY float widened(Half h) {
#if defined(__CUDA_ARCH__)
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
  return f;
#else
  return half_to_float(h.bits);
#endif
}
TG_BODY float widened(BFloat b) { return bfloat_to_float(b.bits); }

// To nearest even.
TG_BODY Half to_half(float f) {
#if defined(__CUDA_ARCH__)
  Half h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
  return h;
#else
  return {float_to_half(f)};
#endif
}
TG_BODY BFloat to_bfloat(float f) {
  const uint32_t b = uint32_t(bits(f));
  if ((b & 0x7fffffffu) > 0x7f800000u) return {uint16_t(0x7fc0)};
  return {uint16_t((b + 0x7fffu + (b >> 16 & 1)) >> 16)};
}

// Element i of memory that holds T, or (for float) elements of 16 bits.
template <class T>
TG_BODY T element(const void* data, Dtype type, int64_t i) {
  if constexpr (sizeof(T) == 4) {
    if (type == Dtype::Float16) return widened(static_cast<const Half*>(data)[i]);
    if (type == Dtype::BFloat16) return widened(static_cast<const BFloat*>(data)[i]);
  }
  return static_cast<const T*>(data)[i];
}
template <class T>
TG_BODY void set_element(void* data, Dtype type, int64_t i, T value) {
  if constexpr (sizeof(T) == 4) {
    if (type == Dtype::Float16) {
      static_cast<Half*>(data)[i] = to_half(value);
      return;
    }
    if (type == Dtype::BFloat16) {
      static_cast<BFloat*>(data)[i] = to_bfloat(value);
      return;
    }
  }
  static_cast<T*>(data)[i] = value;
}

}  // namespace tg::cuda
