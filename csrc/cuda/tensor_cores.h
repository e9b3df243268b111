// A warp's products of small matrices by the tensor cores: c(16,8) += a(16,depth) b(8,depth)^T, sums in float32. On the host one thread
// holds what a warp does, and adds up in double.
#pragma once
#include "cuda/elements.h"

namespace tg::cuda {

#if defined(__CUDACC__)
inline constexpr int kLanes = 32;
#else
inline constexpr int kLanes = 1;
#endif

// What operands are rounded to; of 16 bits they are that already.
enum class Format { tf32, bfloat16, float16 };

// To nearest, ties away from zero.
TG_BODY uint32_t to_tf32(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
#else
  const uint32_t b = uint32_t(bits(x));
  return (b & 0x7fffffffu) > 0x7f800000u ? b : (b + 0x1000u) & ~0x1fffu;
#endif
}

template <Format format>
struct Fragments {
  using Element = uint16_t;
  static constexpr int depth = 16;
};
template <>
struct Fragments<Format::tf32> {
  using Element = float;
  static constexpr int depth = 8;
};

#if defined(__CUDACC__)

struct Sums16x8 {
  float at[4];
  // f(row, column, sum) for this lane's
  template <class F>
  TG_BODY void each(int lane, F f) {
    TG_UNROLLED
    for (int i = 0; i < 4; i++) f(lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2, at[i]);
  }
};

// 8 lines of an operand: 4 terms, or 4 pairs of them, from `term` on, one for each four lanes
template <Format format, class Panel>
TG_BODY uint32_t lines_of_8(const Panel& panel, int line, int term, int lane) {
  line += lane / 4;
  if constexpr (format == Format::tf32) {
    term += lane % 4;
    return to_tf32(Panel::by_terms ? panel.at[line][term] : panel.at[term][line]);
  } else {
    term += lane % 4 * 2;
    if constexpr (Panel::by_terms) return *reinterpret_cast<const uint32_t*>(&panel.at[line][term]);
    else return uint32_t(panel.at[term][line]) | uint32_t(panel.at[term + 1][line]) << 16;
  }
}

template <Format format>
struct A16 {
  uint32_t at[4];
  template <class Panel>
  TG_BODY void load(const Panel& panel, int line, int term, int lane) {
    constexpr int half = Fragments<format>::depth / 2;
    TG_UNROLLED
    for (int i = 0; i < 4; i++) at[i] = lines_of_8<format>(panel, line + i % 2 * 8, term + i / 2 * half, lane);
  }
};
template <Format format>
struct B8 {
  uint32_t at[2];
  template <class Panel>
  TG_BODY void load(const Panel& panel, int line, int term, int lane) {
    constexpr int half = Fragments<format>::depth / 2;
    TG_UNROLLED
    for (int i = 0; i < 2; i++) at[i] = lines_of_8<format>(panel, line, term + i * half, lane);
  }
};

template <Format format>
TG_BODY void multiply_add([[maybe_unused]] Sums16x8& c, [[maybe_unused]] const A16<format>& a,
                          [[maybe_unused]] const B8<format>& b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define TG_MMA(shape, type)                                                 \
  asm volatile("mma.sync.aligned." shape ".row.col.f32." type "." type      \
               ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
               : "+f"(c.at[0]), "+f"(c.at[1]), "+f"(c.at[2]), "+f"(c.at[3]) \
               : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]), "r"(b.at[1]))
  if constexpr (format == Format::tf32) TG_MMA("m16n8k8", "tf32");
  else if constexpr (format == Format::bfloat16) TG_MMA("m16n8k16", "bf16");
  else TG_MMA("m16n8k16", "f16");
#undef TG_MMA
#endif
}

#else

struct Sums16x8 {
  float at[16 * 8];
  template <class F>
  void each(int, F f) {
    for (int i = 0; i < 16 * 8; i++) f(i / 8, i % 8, at[i]);
  }
};

template <Format format, int lines>
struct OnHost {
  float at[lines][Fragments<format>::depth];
  template <class Panel>
  void load(const Panel& panel, int line, int term, int) {
    for (int i = 0; i < lines; i++)
      for (int k = 0; k < Fragments<format>::depth; k++) {
        const auto x = Panel::by_terms ? panel.at[line + i][term + k] : panel.at[term + k][line + i];
        if constexpr (format == Format::tf32) at[i][k] = from_bits<float>(int32_t(to_tf32(x)));
        else if constexpr (format == Format::bfloat16) at[i][k] = widened(BFloat{x});
        else at[i][k] = widened(Half{x});
      }
  }
};
template <Format format>
using A16 = OnHost<format, 16>;
template <Format format>
using B8 = OnHost<format, 8>;

template <class A, class B>
void multiply_add(Sums16x8& c, const A& a, const B& b) {
  constexpr int depth = sizeof(a.at[0]) / sizeof(float);
  c.each(0, [&](int m, int n, float& sum) {
    double exact = sum;
    for (int k = 0; k < depth; k++) exact += double(a.at[m][k]) * double(b.at[n][k]);
    sum = float(exact);
  });
}

#endif

}  // namespace tg::cuda
