// Largest error of the float32 functions over all 2^32 arguments, or a seeded sample of them; those of two arguments
// over sampled pairs. The reference is the library's own double functions, which ulp_double holds against
// quadruple precision.
//   ulp_float [threads] [blocks] [seed] [only]      a block is 4096 arguments; 1048576 blocks (0) are all of them
// Returns 1 if a bound is exceeded or a scalar result differs from the vector's.
#include "ulp.h"

namespace tg::TG_ISA_NS {
constexpr int block_size = 4096;

// ulp_distance(y, exact), faster where nothing is inf, NaN or zero.
static inline double distance(float y, double exact) {
  if (!(std::fabs(exact) <= 0x1.fffffep127) || !(std::fabs(y) <= 0x1.fffffep127f) || y == 0)
    return ulp_distance(y, exact);
  int64_t e = bits(exact) >> 52 & 0x7ff;
  if (e < 1023 - 126) e = 1023 - 126;
  return std::fabs(y - exact) * from_bits<double>((2046 - e + 23) << 52);
}

template <class Op>
static void unary_block(uint32_t first, float p, float q, ulp_result& out) {
  static thread_local float x[block_size], y[block_size];
  static thread_local double exact[block_size];
  for (int i = 0; i < block_size; i++) x[i] = from_bits<float>(int32_t(first + i));
  for (int i = 0; i < block_size; i += lane<vf>::n)
    store(y + i, Op::f(load<vf>(x + i), broadcast<vf>(p), broadcast<vf>(q)));
  for (int i = 0; i < block_size; i++) exact[i] = x[i];
  for (int i = 0; i < block_size; i += lane<vd>::n)
    store(exact + i, Op::f(load<vd>(exact + i), broadcast<vd>(p), broadcast<vd>(q)));
  bool scalars = first / block_size % 64 == 0;
  for (int i = 0; i < block_size; i++) {
    out.take(distance(y[i], exact[i]), x[i]);
    uint32_t b = y[i] != y[i] ? 0x7fc00000u : uint32_t(bits(y[i]));
    out.hash += mixed(first + i, b);
    if (scalars) {
      float s = Op::f(x[i], p, q);
      out.scalar_differs += bits(s) != bits(y[i]) && !(s != s && y[i] != y[i]);
    }
  }
  out.count += block_size;
}

template <class Op>
static void pair_block(uint64_t seed, ulp_result& out) {
  static thread_local float a[block_size], b[block_size], y[block_size];
  static thread_local double exact[block_size], second[block_size];
  for (int i = 0; i < block_size; i++) {
    uint64_t r = next_random(seed);
    a[i] = from_bits<float>(int32_t(r));
    b[i] = from_bits<float>(int32_t(r >> 32));
    if (i % 4 == 0) b[i] = float(int32_t(r >> 32) % 64) * 0.5f;  // integers and halves
    if (i % 4 == 1)
      a[i] = from_bits<float>((int32_t(r) & 0xffffff) | 0x3f000000),  // a near 1, |result| within range
          b[i] = float(int32_t(r >> 32)) * 0x1p-24f;
    if (i % 4 == 2) a[i] = abs(a[i]), b[i] = float(int32_t(r >> 32)) * 0x1p-30f;
  }
  for (int i = 0; i < block_size; i += lane<vf>::n) store(y + i, Op::f(load<vf>(a + i), load<vf>(b + i), vf{}, vf{}));
  for (int i = 0; i < block_size; i++) exact[i] = a[i], second[i] = b[i];
  for (int i = 0; i < block_size; i += lane<vd>::n)
    store(exact + i, Op::f(load<vd>(exact + i), load<vd>(second + i), vd{}, vd{}));
  for (int i = 0; i < block_size; i++) {
    out.take(distance(y[i], exact[i]), a[i], b[i]);
    out.hash += mixed(seed + i, y[i] != y[i] ? 0x7fc00000u : uint32_t(bits(y[i])));
    float s = Op::f(a[i], b[i], 0.f, 0.f);
    out.scalar_differs += bits(s) != bits(y[i]) && !(s != s && y[i] != y[i]);
  }
  out.count += block_size;
}

static int run(int threads, int64_t blocks, uint64_t seed, const char* only) {
  constexpr int64_t all = int64_t(1) << 20;
  bool whole = blocks <= 0 || blocks >= all;
  if (whole) blocks = all;
  bool good = true;
  auto block_of = [&](int64_t b) {
    if (whole) return uint32_t(b);
    uint64_t s = seed + uint64_t(b) * 0x632be59bd9b4e019;
    return uint32_t(next_random(s) >> 44);
  };
#define ULP_MEASURE(name, p, q, bound, bound_double)                                                  \
  if (!only || !std::strcmp(only, #name))                                                             \
    good &= report(#name,                                                                             \
                   over_blocks(blocks, threads,                                                       \
                               [&](int64_t b, ulp_result& r) {                                        \
                                 unary_block<op_##name>(block_of(b) * uint32_t(block_size), p, q, r); \
                               }),                                                                    \
                   bound);
  ULP_FUNCTIONS(ULP_MEASURE)
#define ULP_MEASURE_PAIR(name, bound, bound_double)                                                 \
  if (!only || !std::strcmp(only, #name))                                                           \
    good &= report(#name,                                                                           \
                   over_blocks(whole ? all / 16 : blocks, threads,                                  \
                               [&](int64_t b, ulp_result& r) {                                      \
                                 pair_block<op_##name>(seed + uint64_t(b) * 0x632be59bd9b4e019, r); \
                               }),                                                                  \
                   bound);
  ULP_PAIRS(ULP_MEASURE_PAIR)
  return good ? 0 : 1;
}
}  // namespace tg::TG_ISA_NS

int main(int argc, char** argv) {
  if (!runs_here()) return exit_skipped;
  int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  int64_t blocks = argc > 2 ? std::atoll(argv[2]) : 256;
  uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  return tg::TG_ISA_NS::run(threads < 1 ? 1 : threads, blocks, seed, argc > 4 ? argv[4] : nullptr);
}
