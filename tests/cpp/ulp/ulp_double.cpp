// Largest error of the float64 functions over sampled arguments, against quadruple precision (GCC's
// libquadmath; other compilers skip). Arguments: every exponent, the range where the function bends, and its
// hard places.
//   ulp_double [threads] [blocks] [seed] [only]      a block is 1024 arguments
// Returns 1 if a bound is exceeded or a scalar result differs from the vector's.
#include "ulp.h"

#if defined(__SIZEOF_FLOAT128__) && !defined(__clang__) && __has_include(<quadmath.h>)
#include <quadmath.h>

namespace tg::TG_ISA_NS {
using quad = __float128;
constexpr int block_size = 1024;

static quad exact_exp(quad x, quad, quad) { return expq(x); }
static quad exact_expm1(quad x, quad, quad) { return expm1q(x); }
static quad exact_log(quad x, quad, quad) { return logq(x); }
static quad exact_log1p(quad x, quad, quad) { return log1pq(x); }
static quad exact_tanh(quad x, quad, quad) { return tanhq(x); }
static quad exact_sigmoid(quad x, quad, quad) { return 1 / (1 + expq(-x)); }
static quad exact_erf(quad x, quad, quad) { return erfq(x); }
static quad exact_sin(quad x, quad, quad) { return sinq(x); }
static quad exact_cos(quad x, quad, quad) { return cosq(x); }
static quad exact_tan(quad x, quad, quad) { return tanq(x); }
static quad exact_exp2(quad x, quad, quad) { return exp2q(x); }
static quad exact_log2(quad x, quad, quad) { return log2q(x); }
static quad exact_log10(quad x, quad, quad) { return log10q(x); }
static quad exact_asin(quad x, quad, quad) { return asinq(x); }
static quad exact_acos(quad x, quad, quad) { return acosq(x); }
static quad exact_atan(quad x, quad, quad) { return atanq(x); }
static quad exact_sinh(quad x, quad, quad) { return sinhq(x); }
static quad exact_cosh(quad x, quad, quad) { return coshq(x); }
static quad exact_asinh(quad x, quad, quad) { return asinhq(x); }
static quad exact_acosh(quad x, quad, quad) { return acoshq(x); }
static quad exact_atanh(quad x, quad, quad) { return atanhq(x); }
static quad exact_sqrt(quad x, quad, quad) { return sqrtq(x); }
static quad exact_rsqrt(quad x, quad, quad) { return 1 / sqrtq(x); }
static quad exact_reciprocal(quad x, quad, quad) { return 1 / x; }
static quad exact_silu(quad x, quad, quad) { return isinfq(x) ? (x > 0 ? x : quad(-0.0)) : x / (1 + expq(-x)); }
static quad exact_gelu(quad x, quad, quad) {
  return isinfq(x) ? (x > 0 ? x : quad(-0.0)) : x * erfcq(-x / sqrtq(2)) / 2;
}
static quad exact_gelu_tanh(quad x, quad, quad) {
  static const quad c = 2 * sqrtq(2 / M_PIq), k = strtoflt128("0.044715", nullptr);
  return isinfq(x) ? (x > 0 ? x : quad(-0.0)) : x / (1 + expq(-c * x * (1 + k * x * x)));
}
static quad exact_mish(quad x, quad, quad) {
  return isinfq(x) ? (x > 0 ? x : quad(-0.0)) : x > 100 ? x : x * tanhq(log1pq(expq(x)));
}
static quad exact_logsigmoid(quad x, quad, quad) { return x < 0 ? x - log1pq(expq(x)) : -log1pq(expq(-x)); }
static quad exact_celu(quad x, quad alpha, quad) { return x > 0 ? x : alpha * expm1q(x / alpha); }
static quad exact_softplus(quad x, quad beta, quad threshold) {
  return x * beta > threshold ? x : log1pq(expq(x * beta)) / beta;
}
static quad exact_elu(quad x, quad alpha, quad) { return x > 0 ? x : alpha * expm1q(x); }
static quad exact_selu(quad x, quad, quad) {
  static const quad scale = strtoflt128("1.0507009873554804934193349852946", nullptr);
  static const quad alpha = strtoflt128("1.6732632423543772848170429916717", nullptr);
  return x > 0 ? scale * x : scale * alpha * expm1q(x);
}

static quad exact_pow(quad a, quad b) { return powq(a, b); }
static quad exact_atan2(quad a, quad b) { return atan2q(a, b); }
static quad exact_hypot(quad a, quad b) { return hypotq(a, b); }

static double argument(uint64_t& seed, int i) {
  uint64_t r = next_random(seed);
  static const quad half_pi = acosq(0);
  double u = double(int64_t(next_random(seed))) * 0x1p-63;  // -1 .. 1
  switch (i % 8) {
    case 0: return from_bits<double>(int64_t(r));  // anything
    case 1: return u;
    case 2: return u * 40;
    case 3: return u * 760;                                         // exp from end to end
    case 4: return 1 + u * std::ldexp(1.0, -int(r % 50));           // near 1: log
    case 5: return std::ldexp(u, int(r % 80) - 60);                 // tiny to large
    case 6: return double(quad(int64_t(r >> (r % 63))) * half_pi);  // next to multiples of pi/2
    default: return u * 8;
  }
}

template <class Op>
static void unary_block(uint64_t seed, quad (*exact)(quad, quad, quad), double p, double q, ulp_result& out) {
  static thread_local double x[block_size], y[block_size];
  for (int i = 0; i < block_size; i++) x[i] = argument(seed, i);
  for (int i = 0; i < block_size; i += lane<vd>::n)
    store(y + i, Op::f(load<vd>(x + i), broadcast<vd>(p), broadcast<vd>(q)));
  for (int i = 0; i < block_size; i++) {
    out.take(ulp_distance<double, quad>(y[i], exact(x[i], p, q)), x[i]);
    out.hash += mixed(seed + i, y[i] != y[i] ? 0x7ff8000000000000 : uint64_t(bits(y[i])));
    double s = Op::f(x[i], p, q);
    out.scalar_differs += bits(s) != bits(y[i]) && !(s != s && y[i] != y[i]);
  }
  out.count += block_size;
}

template <class Op>
static void pair_block(uint64_t seed, quad (*exact)(quad, quad), ulp_result& out) {
  static thread_local double a[block_size], b[block_size], y[block_size];
  for (int i = 0; i < block_size; i++) {
    a[i] = argument(seed, i);
    b[i] = argument(seed, i / 8);
    int64_t r = int64_t(next_random(seed));
    if (i % 3 == 0) {  // results spread over the whole range
      a[i] = abs(a[i]);
      double l = log(a[i]);
      b[i] = double(r) * 0x1p-63 * 745 / l;
    }
    if (i % 16 == 1) b[i] = double(r % 64) * 0.5;
  }
  for (int i = 0; i < block_size; i += lane<vd>::n) store(y + i, Op::f(load<vd>(a + i), load<vd>(b + i), vd{}, vd{}));
  for (int i = 0; i < block_size; i++) {
    out.take(ulp_distance<double, quad>(y[i], exact(a[i], b[i])), a[i], b[i]);
    out.hash += mixed(seed + i, y[i] != y[i] ? 0x7ff8000000000000 : uint64_t(bits(y[i])));
    double s = Op::f(a[i], b[i], 0.0, 0.0);
    out.scalar_differs += bits(s) != bits(y[i]) && !(s != s && y[i] != y[i]);
  }
  out.count += block_size;
}

static int run(int threads, int64_t blocks, uint64_t seed, const char* only) {
  bool good = true;
  auto block_seed = [seed](int64_t b) { return seed + uint64_t(b) * 0x632be59bd9b4e019; };
#define ULP_MEASURE(name, p, q, bound_float, bound)                                                                   \
  if (!only || !std::strcmp(only, #name))                                                                             \
    good &= report(                                                                                                   \
        #name,                                                                                                        \
        over_blocks(blocks, threads,                                                                                  \
                    [&](int64_t b, ulp_result& r) { unary_block<op_##name>(block_seed(b), exact_##name, p, q, r); }), \
        bound);
  ULP_FUNCTIONS(ULP_MEASURE)
#define ULP_MEASURE_PAIR(name, bound_float, bound)                                                                    \
  if (!only || !std::strcmp(only, #name))                                                                             \
    good &=                                                                                                           \
        report(#name,                                                                                                 \
               over_blocks(blocks, threads,                                                                           \
                           [&](int64_t b, ulp_result& r) { pair_block<op_##name>(block_seed(b), exact_##name, r); }), \
               bound);
  ULP_PAIRS(ULP_MEASURE_PAIR)
  return good ? 0 : 1;
}
}  // namespace tg::TG_ISA_NS

int main(int argc, char** argv) {
  if (!runs_here()) return exit_skipped;
  int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  int64_t blocks = argc > 2 ? std::atoll(argv[2]) : 64;
  uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  return tg::TG_ISA_NS::run(threads < 1 ? 1 : threads, blocks, seed, argc > 4 ? argv[4] : nullptr);
}
#else
int main() {
  std::printf("skipped: no quadruple precision with this compiler\n");
  return exit_skipped;
}
#endif
