// What ulp_float.cpp and ulp_double.cpp share: the functions and their bounds, the distance in units in the
// last place, and a loop over blocks on several threads.
//
// CMake builds one program per ISA, each with its ISA's flags; one that this machine cannot run is skipped (exit 77). The
// hashes printed must be equal for every ISA and compiler.
#pragma once
#include "cpu/simd.h"
#include "math/pointwise.h"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

static inline bool runs_here() {
#if defined(TG_ISA_AVX512)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#elif defined(TG_ISA_AVX2)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}
constexpr int exit_skipped = 77;

// op, p, q, bound in ulp for float, bound for double (0.5 is correctly rounded)
#define ULP_FUNCTIONS(F)        \
  F(exp, 0, 0, 1, 1)            \
  F(expm1, 0, 0, 2, 2)          \
  F(log, 0, 0, 2, 2)            \
  F(log1p, 0, 0, 2, 2)          \
  F(tanh, 0, 0, 2, 2)           \
  F(sigmoid, 0, 0, 2, 2)        \
  F(erf, 0, 0, 2, 2)            \
  F(sin, 0, 0, 2, 2)            \
  F(cos, 0, 0, 2, 2)            \
  F(tan, 0, 0, 2, 2)            \
  F(exp2, 0, 0, 2, 2)           \
  F(log2, 0, 0, 2, 2)           \
  F(log10, 0, 0, 2, 2)          \
  F(asin, 0, 0, 2, 2)           \
  F(acos, 0, 0, 2, 2)           \
  F(atan, 0, 0, 2, 2)           \
  F(sinh, 0, 0, 2, 2)           \
  F(cosh, 0, 0, 2, 2)           \
  F(asinh, 0, 0, 2, 2)          \
  F(acosh, 0, 0, 2, 2)          \
  F(atanh, 0, 0, 2, 2)          \
  F(sqrt, 0, 0, 0.5, 0.5)       \
  F(rsqrt, 0, 0, 1.5, 1.5)      \
  F(reciprocal, 0, 0, 0.5, 0.5) \
  F(silu, 0, 0, 3.5, 3.5)       \
  F(gelu, 0, 0, 5, 6)           \
  F(gelu_tanh, 0, 0, 5, 5)      \
  F(mish, 0, 0, 5, 5)           \
  F(softplus, 1, 20, 2, 2)      \
  F(logsigmoid, 0, 0, 2, 2)     \
  F(celu, 1, 0, 2, 2)           \
  F(elu, 1, 0, 2, 2)            \
  F(selu, 0, 0, 2, 2)

// of two arguments
#define ULP_PAIRS(F) \
  F(pow, 2, 2)       \
  F(atan2, 2, 2)     \
  F(hypot, 1.5, 1.5)

// Distance of y from the exact value, which R holds to more digits, in units of S's last place there. Where y
// is right to be inf or NaN the distance is 0; a zero must have the right sign.
template <class S, class R>
inline double ulp_distance(S y, R exact) {
  constexpr int digits = std::numeric_limits<S>::digits, lowest = std::numeric_limits<S>::min_exponent;
  const double wrong = 1e30;
  if (exact != exact || y != y) return exact != exact && y != y ? 0 : wrong;
  if (y == 0 && std::signbit(y) != (exact < 0 || (exact == 0 && std::signbit(double(exact))))) return wrong;
  const R most = std::numeric_limits<S>::max();
  R size = exact < 0 ? -exact : exact;
  if (std::isinf(y)) {
    if ((y > 0) != (exact > 0)) return wrong;
    if (size > most) return 0;
  } else if (size > most + most) {
    return wrong;
  }
  int e = std::ilogb(S(size > most ? most : size));
  if (size == 0 || e < lowest - 1) e = lowest - 1;
  R unit = R(std::ldexp(S(1), e - digits + 1));
  R d = (std::isinf(y) ? (y > 0 ? most : -most) + (y > 0 ? unit : -unit) : R(y)) - exact;
  return double((d < 0 ? -d : d) / unit);
}

// The bits of a result for a hash that does not depend on the order of summation; all NaN are one.
inline uint64_t mixed(uint64_t position, uint64_t result_bits) {
  uint64_t h = (position + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9 ^ result_bits;
  h = (h ^ h >> 31) * 0x94d049bb133111eb;
  return h ^ h >> 29;
}

struct ulp_result {
  double worst = 0;
  double at = 0, at_second = 0;  // the argument(s)
  uint64_t hash = 0, count = 0, scalar_differs = 0;
  void take(double distance, double x, double second = 0) {
    if (distance > worst) worst = distance, at = x, at_second = second;
  }
  void join(const ulp_result& o) {
    take(o.worst, o.at, o.at_second);
    hash += o.hash, count += o.count, scalar_differs += o.scalar_differs;
  }
};

template <class Block>  // Block(int64_t block, ulp_result&)
ulp_result over_blocks(int64_t blocks, int threads, Block block) {
  std::atomic<int64_t> next{0};
  std::vector<ulp_result> results(threads);
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; t++)
    pool.emplace_back([&, t] {
      for (int64_t b; (b = next++) < blocks;) block(b, results[t]);
    });
  for (auto& t : pool) t.join();
  ulp_result all;
  for (auto& r : results) all.join(r);
  return all;
}

// One line per function; true if it holds its bound.
inline bool report(const char* name, const ulp_result& r, double bound) {
  bool good = r.worst <= bound && r.scalar_differs == 0 && r.count > 0;
  std::printf("%-12s %8.3f ulp at %-22.17g %-22.17g bound %-4g %12llu values  hash %016llx %s\n", name, r.worst, r.at,
              r.at_second, bound, (unsigned long long)r.count, (unsigned long long)r.hash,
              good               ? ""
              : r.scalar_differs ? "SCALAR DIFFERS"
                                 : "ABOVE BOUND");
  std::fflush(stdout);
  return good;
}

inline uint64_t next_random(uint64_t& state) {  // SplitMix64
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}
