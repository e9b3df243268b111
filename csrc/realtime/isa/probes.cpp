// What limits the kernels of one instruction set: multiply-adds, their latency, loads.
#include "cpu/simd.h"

#include "realtime/probes.h"

namespace tg::TG_ISA_NS {
namespace {

constexpr int L = lane<vf>::n;

// The compiler knows nothing of the value any more: a loop stays one.
TG_FN void unknown(vf& v) {
#if defined(__x86_64__)
  __asm__ volatile("" : "+x"(v));
#else
  __asm__ volatile("" : "+w"(v));
#endif
}

void fmas(int64_t turns, float* out) noexcept {
  vf sums[realtime::kProbeChains], factor = vf{} + 0.5f, rest = vf{} + 1.0f;
  for (vf& s : sums) s = rest;
  unknown(factor), unknown(rest);
  for (int64_t t = 0; t < turns; t++) TG_UNROLL for (vf& s : sums) {
      s = fma(s, factor, rest);
      unknown(s);
    }
  for (vf& s : sums) rest = rest + s;
  store(out, rest);
}

void chain(int64_t turns, float* out) noexcept {
  vf sum = vf{} + 1.0f, factor = vf{} + 0.5f, rest = vf{} + 1.0f;
  unknown(factor), unknown(rest);
  for (int64_t t = 0; t < turns; t++) {
    sum = fma(sum, factor, rest);
    unknown(sum);
  }
  store(out, sum);
}

void loads(const float* x, int64_t n, int64_t turns, float* out) noexcept {
  constexpr int vectors = realtime::kProbeFloats / L;
  vf last{};
  for (int64_t t = 0; t < turns; t++)
    for (int64_t i = 0; i < n; i += realtime::kProbeFloats) TG_UNROLL for (int k = 0; k < vectors; k++) {
        last = load<vf>(x + i + k * L);
        unknown(last);
      }
  store(out, last);
}

}  // namespace

extern const realtime::Probes probes;
const realtime::Probes probes = {fmas, chain, loads, L};

}  // namespace tg::TG_ISA_NS
