// What the processor can do: 0 is the baseline, the levels above are the instruction sets in the order of isa.cpp's list.
#pragma once
#include <cstddef>

namespace tg {

inline size_t machine_level() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return avx512 ? 2 : 1;
#else
  return 0;
#endif
}

}  // namespace tg
