// Products of matrices in shared memory by tensor cores: c(M,N) = a(M,K) b(N,K)^T, sums in float32.
#pragma once
#include "cuda/tensor_cores.h"

namespace tg::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
inline constexpr bool kTensorCores = false;  // of both formats: such GPUs are asked for none (fast.cu)
#else
inline constexpr bool kTensorCores = true;
#endif

// Lines of terms in 16 bits, or the transpose of that. Beyond the last term are zeros, up to a multiple of 16; what lies beyond
// the last line is read and not used.
template <bool terms_side_by_side>
struct Lines {
  static constexpr bool by_terms = terms_side_by_side;
  struct {
    const uint16_t* from;
    int pitch;
    TG_BODY const uint16_t* operator[](int i) const { return from + i * pitch; }
  } at;
};

// A warp takes 16 by 8 `across` sums at a time. begin(m, n, sums) gives them what they start with, end(m, n, sums) takes them, 16 by 8
// from (m, n) on, also of lines beyond the last.
template <Format format, int threads, int across, class A, class B, class Begin, class End>
TG_BODY void products(const A& a, int M, const B& b, int N, int K, int thread, Begin begin, End end) {
  const int tasks_m = (M + 15) / 16, tasks = tasks_m * ((N + 8 * across - 1) / (8 * across)), lane = thread % kLanes;
  TG_ROLLED
  for (int task = thread / kLanes; task < tasks; task += threads / kLanes) {
    const int m = task % tasks_m * 16, n = task / tasks_m * 8 * across;
    Sums16x8 sums[across];
    TG_UNROLLED
    for (int j = 0; j < across; j++) begin(m, n + j * 8, sums[j]);
    TG_ROLLED
    for (int k = 0; k < K; k += Fragments<format>::depth) {
      A16<format> lines;
      lines.load(a, m, k, lane);
      TG_UNROLLED
      for (int j = 0; j < across; j++) {
        if (n + j * 8 >= N) continue;
        B8<format> columns;
        columns.load(b, n + j * 8, k, lane);
        multiply_add(sums[j], lines, columns);
      }
    }
    TG_UNROLLED
    for (int j = 0; j < across; j++) end(m, n + j * 8, sums[j]);
  }
}

}  // namespace tg::cuda
