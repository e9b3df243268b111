// Loops of nothing but what limits kernels, for each instruction set.
#pragma once
#include <stdint.h>

namespace tg::realtime {

// What the kernels of an instruction set are made of, as fast as this machine does it.
struct Probes {
  // `turns` times an fma on each of `kProbeChains` vectors; on one.
  void (*fmas)(int64_t turns, float* out) noexcept;
  void (*chain)(int64_t turns, float* out) noexcept;
  // `turns` times all of x(n), n a multiple of `kProbeFloats`, is loaded.
  void (*loads)(const float* x, int64_t n, int64_t turns, float* out) noexcept;
  int lanes;
};
inline constexpr int kProbeChains = 12, kProbeFloats = 128;

}  // namespace tg::realtime
