// What the tests of CUDA kernels share: numbers to compute with, views of them, and the comparison of two devices.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>

#include "check.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace tg::test {

inline const Op& named(const char* name) { return *find_op(name); }

inline uint64_t draw() {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33;
}

// Numbers of many sizes, both zeros, infinities and NaN among them.
inline Tensor drawn(const Dims& shape, Dtype dtype, bool wild = false) {
  Tensor t = empty(shape, dtype);
  const int64_t n = t.numel();
  for (int64_t i = 0; i < n; i++) {
    double v = (static_cast<double>(draw()) / 0x1p30 - 1) * 3;
    if (wild) {
      const uint64_t kind = draw() % 16;
      if (kind == 0) v = 0.0;
      else if (kind == 1) v = -0.0;
      else if (kind == 2) v = HUGE_VAL;
      else if (kind == 3) v = NAN;
      else if (kind < 7) v = std::ldexp(v, static_cast<int>(draw() % 280) - 140);
    }
    if (dtype == Dtype::Float32) t.data<float>()[i] = static_cast<float>(v);
    else t.data<double>()[i] = v;
  }
  return t;
}

inline Tensor on_gpu(const Tensor& t) { return dispatch::moved(t, Device::Cuda); }
inline Tensor on_cpu(const Tensor& t) { return dispatch::moved(t, {}); }

// The view of a contiguous tensor that a permutation and a step make, on whatever device it is.
inline Tensor view(const Tensor& t, int kind) {
  switch (kind) {
    case 1: return t.rank() > 1 ? transpose("view", t, 0, 1) : t;
    case 2: return slice("view", t, t.rank() - 1, 0, (t.shape.back() + 1) / 2, 2);
    case 3: return t.rank() > 1 ? expand("view", narrow("view", t, 0, 0, 1), t.shape) : t;
    default: return t;
  }
}

inline void check_same(const Tensor& gpu, const Tensor& cpu, const std::string& what) {
  const Tensor got = on_cpu(gpu);
  CHECK(got.shape == cpu.shape);
  CHECK_EQ(got.dtype, cpu.dtype);
  const Tensor want = cpu.contiguous() ? cpu : dispatch::call1(named("cast"), {cpu}, [&] {
    Attrs a;
    a.add(Attr::type(cpu.dtype));
    return a;
  }());
  int64_t wrong = 0, first = -1;
  for (int64_t i = 0; i < want.numel(); i++) {
    bool same = false;
    switch (size_of(cpu.dtype)) {
      case 1: same = got.data<uint8_t>()[i] == want.data<uint8_t>()[i]; break;
      case 2: same = got.data<uint16_t>()[i] == want.data<uint16_t>()[i]; break;
      case 4:
        same = cpu.dtype == Dtype::Float32 ? test::same_bits(got.data<float>()[i], want.data<float>()[i])
                                           : got.data<int32_t>()[i] == want.data<int32_t>()[i];
        break;
      default:
        same = cpu.dtype == Dtype::Float64 ? test::same_bits(got.data<double>()[i], want.data<double>()[i])
                                           : got.data<int64_t>()[i] == want.data<int64_t>()[i];
    }
    if (!same && wrong++ == 0) first = i;
  }
  test::record(wrong == 0, __FILE__, __LINE__,
               what + ": " + std::to_string(wrong) + " of " + std::to_string(want.numel()) + " differ, first " +
                   std::to_string(first));
}

inline std::string shown(const Dims& d) { return to_string(d); }

inline const int64_t kOdd[] = {1, 31, 32, 33, 1023, 1025};

}  // namespace tg::test
