// Vector lanes of the ISA that this translation unit is compiled for: vf (floats), vd (doubles), vi and vl
// (integers of the same widths). + - * / and the integer operators come from the compiler's vector
// extensions; this file adds the operations of csrc/math/lane.h that need an instruction of their own.
// Included before anything of math/.
//
//   TG_ISA_AVX512  16 floats, AVX-512 F/BW/DQ/VL     TG_ISA_AVX2  8 floats, AVX2 and FMA
//   neither        4 floats, SSE2 (fma in software) or NEON
#pragma once
#if defined(TG_MATH_NS)
#error "include csrc/cpu/simd.h before any header of csrc/math"
#endif

#if defined(TG_ISA_AVX512)
#define TG_ISA_NS isa_avx512
#define TG_VECTOR_BYTES 64
#elif defined(TG_ISA_AVX2)
#define TG_ISA_NS isa_avx2
#define TG_VECTOR_BYTES 32
#else
#define TG_ISA_NS isa_baseline
#define TG_VECTOR_BYTES 16
#endif
#define TG_MATH_NS tg::TG_ISA_NS

#if defined(TG_ISA_AVX512) || defined(TG_ISA_AVX2)
#pragma GCC diagnostic push  // GCC 12 warns of its own _mm512_undefined_ps()
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#else
#error "no vector unit known to trigrad: x86-64 with SSE2 or 64-bit ARM is needed"
#endif

#include "../math/lane.h"

// Before a loop of at most 16 iterations: unrolled whole, so that arrays of vectors stay in registers. Where a file is
// compiled to be small, that is for processors before 2013, they are in memory.
#if defined(TG_SMALL)
#define TG_UNROLL
#elif defined(__clang__)
#define TG_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TG_UNROLL _Pragma("GCC unroll 16")
#endif

namespace tg {

namespace TG_ISA_NS {
typedef float vf __attribute__((vector_size(TG_VECTOR_BYTES)));
typedef double vd __attribute__((vector_size(TG_VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(TG_VECTOR_BYTES)));
typedef int64_t vl __attribute__((vector_size(TG_VECTOR_BYTES)));
typedef uint32_t vui __attribute__((vector_size(TG_VECTOR_BYTES)));
typedef uint64_t vul __attribute__((vector_size(TG_VECTOR_BYTES)));
#if defined(TG_ISA_AVX512)
typedef __mmask16 mask_f;  // one bit per lane
typedef __mmask8 mask_d;
#else
typedef vi mask_f;  // all bits of a lane, or none
typedef vl mask_d;
#endif
// A lane of a mask as a byte, for bool tensors.
typedef uint8_t bytes_f __attribute__((vector_size(TG_VECTOR_BYTES / 4)));
typedef uint8_t bytes_d __attribute__((vector_size(TG_VECTOR_BYTES / 8)));
}  // namespace TG_ISA_NS

template <class Scalar, class Int, class Mask, int Mantissa>
struct vector_lane {
  using S = Scalar;
  using I = Int;
  using M = Mask;
  static constexpr int n = TG_VECTOR_BYTES / int(sizeof(S));
  static constexpr bool floating = Mantissa > 0;
  static constexpr bool wide = sizeof(S) == 8;
  static constexpr int mantissa = Mantissa;
};
template <>
struct lane<TG_ISA_NS::vf> : vector_lane<float, TG_ISA_NS::vi, TG_ISA_NS::mask_f, 23> {};
template <>
struct lane<TG_ISA_NS::vd> : vector_lane<double, TG_ISA_NS::vl, TG_ISA_NS::mask_d, 52> {};
template <>
struct lane<TG_ISA_NS::vi> : vector_lane<int32_t, TG_ISA_NS::vi, TG_ISA_NS::mask_f, 0> {};
template <>
struct lane<TG_ISA_NS::vl> : vector_lane<int64_t, TG_ISA_NS::vl, TG_ISA_NS::mask_d, 0> {};

namespace TG_ISA_NS {
// The scalar lanes stay visible beside the vector ones.
using tg::abs, tg::bits, tg::from_bits, tg::broadcast, tg::copysign, tg::load, tg::store, tg::by_lane;
using tg::at_least, tg::at_most, tg::clip, tg::maximum, tg::minimum, tg::pow2, tg::scale, tg::shift_right_logical,
    tg::add_wrapping, tg::to_int;
using tg::both, tg::either, tg::invert, tg::any, tg::select, tg::is_nan;
using tg::fma, tg::fmod, tg::sqrt, tg::floor, tg::ceil, tg::trunc, tg::rint;
using tg::lt, tg::le, tg::gt, tg::ge, tg::eq, tg::ne;

// ---- tails: the first n lanes of V (0 <= n <= lanes), nothing beyond is touched; missing lanes are zero ---
#if defined(TG_ISA_AVX512)
template <class V>
TG_FN typename lane<V>::M first_lanes(int n) {
  return typename lane<V>::M((1u << n) - 1);
}
template <class V>
TG_FN V load_n(const typename lane<V>::S* p, int n) {
  if constexpr (lane<V>::n == 16) return V(_mm512_maskz_loadu_epi32(first_lanes<V>(n), p));
  else return V(_mm512_maskz_loadu_epi64(first_lanes<V>(n), p));
}
template <class V>
TG_FN void store_n(typename lane<V>::S* p, V v, int n) {
  if constexpr (lane<V>::n == 16) _mm512_mask_storeu_epi32(p, first_lanes<V>(n), __m512i(v));
  else _mm512_mask_storeu_epi64(p, first_lanes<V>(n), __m512i(v));
}
#else
template <class V>
TG_FN typename lane<V>::M first_lanes(int n) {
  using I = typename lane<V>::I;
  using K = typename lane<I>::S;
  I index;
  for (int i = 0; i < lane<V>::n; i++) index[i] = K(i);
  return (typename lane<V>::M)(index < broadcast<I>(K(n)));
}
#if defined(TG_ISA_AVX2)
template <class V>
TG_FN V load_n(const typename lane<V>::S* p, int n) {
  if constexpr (lane<V>::n == 8) return V(_mm256_maskload_ps((const float*)p, __m256i(first_lanes<V>(n))));
  else return V(_mm256_maskload_pd((const double*)p, __m256i(first_lanes<V>(n))));
}
template <class V>
TG_FN void store_n(typename lane<V>::S* p, V v, int n) {
  if constexpr (lane<V>::n == 8) _mm256_maskstore_ps((float*)p, __m256i(first_lanes<V>(n)), __m256(v));
  else _mm256_maskstore_pd((double*)p, __m256i(first_lanes<V>(n)), __m256d(v));
}
#else
template <class V>
TG_FN V load_n(const typename lane<V>::S* p, int n) {
  if (n == lane<V>::n) return load<V>(p);
  V v = {};
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
}
template <class V>
TG_FN void store_n(typename lane<V>::S* p, V v, int n) {
  if (n == lane<V>::n) return store<V>(p, v);
  for (int i = 0; i < n; i++) p[i] = v[i];
}
#endif
#endif

// ---- masks and comparisons --------------------------------------------------------------------------------
#if defined(TG_ISA_AVX512)
TG_FN mask_f both(mask_f a, mask_f b) { return mask_f(a & b); }
TG_FN mask_d both(mask_d a, mask_d b) { return mask_d(a & b); }
TG_FN mask_f either(mask_f a, mask_f b) { return mask_f(a | b); }
TG_FN mask_d either(mask_d a, mask_d b) { return mask_d(a | b); }
TG_FN mask_f invert(mask_f a) { return mask_f(~a); }
TG_FN mask_d invert(mask_d a) { return mask_d(~a); }
TG_FN bool any(mask_f a) { return a != 0; }
TG_FN bool any(mask_d a) { return a != 0; }
#define TG_COMPARE(name, float_predicate, int_predicate)                                                 \
  TG_FN mask_f name(vf a, vf b) { return _mm512_cmp_ps_mask(__m512(a), __m512(b), float_predicate); }    \
  TG_FN mask_d name(vd a, vd b) { return _mm512_cmp_pd_mask(__m512d(a), __m512d(b), float_predicate); }  \
  TG_FN mask_f name(vi a, vi b) { return _mm512_cmp_epi32_mask(__m512i(a), __m512i(b), int_predicate); } \
  TG_FN mask_d name(vl a, vl b) { return _mm512_cmp_epi64_mask(__m512i(a), __m512i(b), int_predicate); }
TG_COMPARE(lt, _CMP_LT_OQ, _MM_CMPINT_LT)
TG_COMPARE(le, _CMP_LE_OQ, _MM_CMPINT_LE)
TG_COMPARE(gt, _CMP_GT_OQ, _MM_CMPINT_NLE)
TG_COMPARE(ge, _CMP_GE_OQ, _MM_CMPINT_NLT)
TG_COMPARE(eq, _CMP_EQ_OQ, _MM_CMPINT_EQ)
TG_COMPARE(ne, _CMP_NEQ_UQ, _MM_CMPINT_NE)
#undef TG_COMPARE
TG_FN mask_f is_nan(vf a) { return _mm512_cmp_ps_mask(__m512(a), __m512(a), _CMP_UNORD_Q); }
TG_FN mask_d is_nan(vd a) { return _mm512_cmp_pd_mask(__m512d(a), __m512d(a), _CMP_UNORD_Q); }
TG_FN vf select(mask_f m, vf yes, vf no) { return vf(_mm512_mask_blend_ps(m, __m512(no), __m512(yes))); }
TG_FN vd select(mask_d m, vd yes, vd no) { return vd(_mm512_mask_blend_pd(m, __m512d(no), __m512d(yes))); }
TG_FN vi select(mask_f m, vi yes, vi no) { return vi(_mm512_mask_blend_epi32(m, __m512i(no), __m512i(yes))); }
TG_FN vl select(mask_d m, vl yes, vl no) { return vl(_mm512_mask_blend_epi64(m, __m512i(no), __m512i(yes))); }
#else
TG_FN mask_f both(mask_f a, mask_f b) { return a & b; }
TG_FN mask_d both(mask_d a, mask_d b) { return a & b; }
TG_FN mask_f either(mask_f a, mask_f b) { return a | b; }
TG_FN mask_d either(mask_d a, mask_d b) { return a | b; }
TG_FN mask_f invert(mask_f a) { return ~a; }
TG_FN mask_d invert(mask_d a) { return ~a; }
#define TG_COMPARE(name, op)                                 \
  TG_FN mask_f name(vf a, vf b) { return (mask_f)(a op b); } \
  TG_FN mask_d name(vd a, vd b) { return (mask_d)(a op b); } \
  TG_FN mask_f name(vi a, vi b) { return (mask_f)(a op b); } \
  TG_FN mask_d name(vl a, vl b) { return (mask_d)(a op b); }
TG_COMPARE(lt, <)
TG_COMPARE(le, <=)
TG_COMPARE(gt, >)
TG_COMPARE(ge, >=)
TG_COMPARE(eq, ==)
TG_COMPARE(ne, !=)
#undef TG_COMPARE
TG_FN mask_f is_nan(vf a) { return ne(a, a); }
TG_FN mask_d is_nan(vd a) { return ne(a, a); }
#if defined(TG_ISA_AVX2)
TG_FN bool any(mask_f a) { return _mm256_movemask_ps(__m256(a)) != 0; }
TG_FN bool any(mask_d a) { return _mm256_movemask_pd(__m256d(a)) != 0; }
TG_FN vf select(mask_f m, vf yes, vf no) { return vf(_mm256_blendv_ps(__m256(no), __m256(yes), __m256(m))); }
TG_FN vd select(mask_d m, vd yes, vd no) { return vd(_mm256_blendv_pd(__m256d(no), __m256d(yes), __m256d(m))); }
#else
#if defined(__SSE2__)
TG_FN bool any(mask_f a) { return _mm_movemask_ps(__m128(a)) != 0; }
TG_FN bool any(mask_d a) { return _mm_movemask_pd(__m128d(a)) != 0; }
#else
TG_FN bool any(mask_f a) { return vmaxvq_u32(uint32x4_t(a)) != 0; }
TG_FN bool any(mask_d a) { return vmaxvq_u32(uint32x4_t(a)) != 0; }
#endif
TG_FN vf select(mask_f m, vf yes, vf no) { return vf((m & vi(yes)) | (~m & vi(no))); }
TG_FN vd select(mask_d m, vd yes, vd no) { return vd((m & vl(yes)) | (~m & vl(no))); }
#endif
TG_FN vi select(mask_f m, vi yes, vi no) { return (m & yes) | (~m & no); }
TG_FN vl select(mask_d m, vl yes, vl no) { return (m & yes) | (~m & no); }
#endif

// Masks to and from bool tensors: one byte per lane, written as 0 or 1, read as false where zero.
#if defined(TG_ISA_AVX512)
TG_FN void store_mask(uint8_t* p, mask_f m) { _mm_storeu_si128((__m128i*)p, _mm_maskz_set1_epi8(m, 1)); }
TG_FN void store_mask(uint8_t* p, mask_d m) { _mm_storel_epi64((__m128i*)p, _mm_maskz_set1_epi8(m, 1)); }
TG_FN void store_mask_n(uint8_t* p, mask_f m, int n) {
  _mm_mask_storeu_epi8(p, __mmask16((1u << n) - 1), _mm_maskz_set1_epi8(m, 1));
}
TG_FN void store_mask_n(uint8_t* p, mask_d m, int n) { store_mask_n(p, mask_f(m), n); }
template <class V>
TG_FN typename lane<V>::M load_mask_n(const uint8_t* p, int n) {
  __m128i x = _mm_maskz_loadu_epi8(__mmask16((1u << n) - 1), p);
  return typename lane<V>::M(_mm_test_epi8_mask(x, x));
}
template <class V>
TG_FN typename lane<V>::M load_mask(const uint8_t* p) {
  return load_mask_n<V>(p, lane<V>::n);
}
#else
TG_FN bytes_f mask_bytes(mask_f m) { return __builtin_convertvector(m, bytes_f) & 1; }
TG_FN bytes_d mask_bytes(mask_d m) { return __builtin_convertvector(m, bytes_d) & 1; }
template <class M>
TG_FN void store_mask(uint8_t* p, M m) {
  auto b = mask_bytes(m);
  __builtin_memcpy(p, &b, sizeof b);
}
template <class M>
TG_FN void store_mask_n(uint8_t* p, M m, int n) {
  for (int i = 0; i < n; i++) p[i] = uint8_t(m[i] & 1);
}
template <class V>
TG_FN typename lane<V>::M load_mask_n(const uint8_t* p, int n) {
  typename lane<V>::M m = {};
  for (int i = 0; i < n; i++) m[i] = p[i] ? -1 : 0;
  return m;
}
template <class V>
TG_FN typename lane<V>::M load_mask(const uint8_t* p) {
  using I = typename lane<V>::I;
  uint8_t b __attribute__((vector_size(lane<V>::n)));
  __builtin_memcpy(&b, p, sizeof b);
  return ne(__builtin_convertvector(b, I), I{});
}
#endif

// ---- conversions ------------------------------------------------------------------------------------------
TG_FN vi shift_right_logical(vi x, int k) { return vi(vui(x) >> k); }
TG_FN vi add_wrapping(vi a, vi b) { return vi(vui(a) + vui(b)); }
TG_FN vl add_wrapping(vl a, vl b) { return vl(vul(a) + vul(b)); }
TG_FN vl shift_right_logical(vl x, int k) { return vl(vul(x) >> k); }

struct vd2 {  // the lanes of one vf as doubles, in order
  vd low, high;
};
#if defined(TG_ISA_AVX512)
TG_FN vd2 widen(vf x) {
  __m512 y = __m512(x);
  return {vd(_mm512_cvtps_pd(_mm512_castps512_ps256(y))), vd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(y, 1)))};
}
TG_FN vf narrow(vd2 x) {
  __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps(__m512d(x.low)));
  return vf(_mm512_insertf32x8(low, _mm512_cvtpd_ps(__m512d(x.high)), 1));
}
#elif defined(TG_ISA_AVX2)
TG_FN vd2 widen(vf x) {
  __m256 y = __m256(x);
  return {vd(_mm256_cvtps_pd(_mm256_castps256_ps128(y))), vd(_mm256_cvtps_pd(_mm256_extractf128_ps(y, 1)))};
}
TG_FN vf narrow(vd2 x) {
  return vf(_mm256_set_m128(_mm256_cvtpd_ps(__m256d(x.high)), _mm256_cvtpd_ps(__m256d(x.low))));
}
#elif defined(__SSE2__)
TG_FN vd2 widen(vf x) {
  __m128 y = __m128(x);
  return {vd(_mm_cvtps_pd(y)), vd(_mm_cvtps_pd(_mm_movehl_ps(y, y)))};
}
TG_FN vf narrow(vd2 x) { return vf(_mm_movelh_ps(_mm_cvtpd_ps(__m128d(x.low)), _mm_cvtpd_ps(__m128d(x.high)))); }
#else
TG_FN vd2 widen(vf x) {
  float32x4_t y = float32x4_t(x);
  return {vd(vcvt_f64_f32(vget_low_f32(y))), vd(vcvt_high_f64_f32(y))};
}
TG_FN vf narrow(vd2 x) { return vf(vcvt_high_f32_f64(vcvt_f32_f64(float64x2_t(x.low)), float64x2_t(x.high))); }
#endif

// Nearest integer, ties to even: |x| < 2^31 for floats, |x| < 2^51 for doubles (whose integers then fit the
// fraction).
#if defined(TG_ISA_AVX512)
TG_FN vi to_int(vf x) { return vi(_mm512_cvtps_epi32(__m512(x))); }
#elif defined(TG_ISA_AVX2)
TG_FN vi to_int(vf x) { return vi(_mm256_cvtps_epi32(__m256(x))); }
#elif defined(__SSE2__)
TG_FN vi to_int(vf x) { return vi(_mm_cvtps_epi32(__m128(x))); }
#else
TG_FN vi to_int(vf x) { return vi(vcvtnq_s32_f32(float32x4_t(x))); }
#endif
TG_FN vl to_int(vd x) {
  vd magic = broadcast<vd>(0x1.8p52);
  return vl(x + magic) - vl(magic);
}
template <class V>
TG_FN V to_float(typename lane<V>::I i) {
  if constexpr (lane<V>::n == 1) {
    return V(i);
  } else if constexpr (lane<V>::wide) {
    V magic = broadcast<V>(0x1.8p52);
    return V(i + bits(magic)) - magic;
  } else {
    return __builtin_convertvector(i, V);
  }
}

// ---- fma, sqrt, clip --------------------------------------------------------------------------------------
#if defined(TG_ISA_AVX512)
TG_FN vf fma(vf a, vf b, vf c) { return vf(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c))); }
TG_FN vd fma(vd a, vd b, vd c) { return vd(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c))); }
TG_FN vf sqrt(vf x) { return vf(_mm512_sqrt_ps(__m512(x))); }
TG_FN vd sqrt(vd x) { return vd(_mm512_sqrt_pd(__m512d(x))); }
#elif defined(TG_ISA_AVX2)
TG_FN vf fma(vf a, vf b, vf c) { return vf(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c))); }
TG_FN vd fma(vd a, vd b, vd c) { return vd(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c))); }
TG_FN vf sqrt(vf x) { return vf(_mm256_sqrt_ps(__m256(x))); }
TG_FN vd sqrt(vd x) { return vd(_mm256_sqrt_pd(__m256d(x))); }
#elif defined(__SSE2__)
TG_FN vf sqrt(vf x) { return vf(_mm_sqrt_ps(__m128(x))); }
TG_FN vd sqrt(vd x) { return vd(_mm_sqrt_pd(__m128d(x))); }
// The scalar algorithms of lane.h, lane for lane.
TG_FN vd add_round_to_odd(vd a, vd b) {
  vd s = a + b;
  vd t = s - a;
  vd error = (a - (s - t)) + (b - t);
  vl toward = vl((error > 0) == (s > 0)) | 1;  // -1 where the magnitude must grow, +1 where it must shrink
  vl step = vl(error < 0 || error > 0) & ((vl(s) & 1) - 1);  // where inexact and even
  return vd(vl(s) - (toward & step));
}
// The two are calls: their dozens of instructions at every use made the baseline's code six times as large.
// Rounding the double sum once more does no harm unless it lies halfway between two floats (its 29 surplus
// bits are 100..0) or the result is a denormal, where more bits are surplus.
TG_SLOW vf fma(vf a, vf b, vf c) {
  vd2 x = widen(a), y = widen(b), z = widen(c);
  vd2 product = {x.low * y.low, x.high * y.high};  // exact
  vd2 s = {product.low + z.low, product.high + z.high};
  vf r = narrow(s);
  vi surplus = vi(_mm_shuffle_ps(__m128(s.low), __m128(s.high), _MM_SHUFFLE(2, 0, 2, 0))) & 0x1fffffff;
  vi halfway = vi(surplus == 0x10000000);
  vi denormal = vi(vui((vi(r) & 0x7fffffff) - 1) < 0x00800000u);
  if (__builtin_expect(any(mask_f(halfway | denormal)), 0))
    r = narrow({add_round_to_odd(product.low, z.low), add_round_to_odd(product.high, z.high)});
  return r;
}
TG_SLOW vd fma_any_lane(vd a, vd b, vd c) {
  for (int i = 0; i < lane<vd>::n; i++) a[i] = tg::fma(a[i], b[i], c[i]);
  return a;
}
TG_FN vd high_half(vd x) {
  vd t = x * 134217729.0;
  return t - (t - x);
}
TG_SLOW vd fma(vd a, vd b, vd c) {
  vd ma = abs(a), mb = abs(b);
  vl safe_a = vl(ma == 0) | (vl(ma > 0x1p-480) & vl(ma < 0x1p480));
  vl safe_b = vl(mb == 0) | (vl(mb > 0x1p-480) & vl(mb < 0x1p480));
  vl unsafe = ~(safe_a & safe_b & vl(abs(c) < 0x1p960));
  if (__builtin_expect(any(mask_d(unsafe)), 0)) return fma_any_lane(a, b, c);
  vd p = a * b;
  vd ah = high_half(a), al = a - ah, bh = high_half(b), bl = b - bh;
  vd hh = ah * bh, hl = ah * bl, lh = al * bh, ll = al * bl;
  vd q = (((hh - p) + hl) + lh) + ll;
  vd t = c + q, tv = t - c, te = (c - (t - tv)) + (q - tv);
  vd s = p + t, sv = s - p, se = (p - (s - sv)) + (t - sv);
  vd r = s + add_round_to_odd(te, se);
  return select(mask_d(r == 0), p + c, r);
}
#else
TG_FN vf fma(vf a, vf b, vf c) { return vf(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b))); }
TG_FN vd fma(vd a, vd b, vd c) { return vd(vfmaq_f64(float64x2_t(c), float64x2_t(a), float64x2_t(b))); }
TG_FN vf sqrt(vf x) { return vf(vsqrtq_f32(float32x4_t(x))); }
TG_FN vd sqrt(vd x) { return vd(vsqrtq_f64(float64x2_t(x))); }
#endif

// x held to x <= hi, x >= lo, or both; NaN stays NaN (the x86 instructions return their second operand then).
#if defined(TG_ISA_AVX512)
TG_FN vf at_most(vf x, vf hi) { return vf(_mm512_min_ps(__m512(hi), __m512(x))); }
TG_FN vd at_most(vd x, vd hi) { return vd(_mm512_min_pd(__m512d(hi), __m512d(x))); }
TG_FN vf at_least(vf x, vf lo) { return vf(_mm512_max_ps(__m512(lo), __m512(x))); }
TG_FN vd at_least(vd x, vd lo) { return vd(_mm512_max_pd(__m512d(lo), __m512d(x))); }
#elif defined(TG_ISA_AVX2)
TG_FN vf at_most(vf x, vf hi) { return vf(_mm256_min_ps(__m256(hi), __m256(x))); }
TG_FN vd at_most(vd x, vd hi) { return vd(_mm256_min_pd(__m256d(hi), __m256d(x))); }
TG_FN vf at_least(vf x, vf lo) { return vf(_mm256_max_ps(__m256(lo), __m256(x))); }
TG_FN vd at_least(vd x, vd lo) { return vd(_mm256_max_pd(__m256d(lo), __m256d(x))); }
#elif defined(__SSE2__)
TG_FN vf at_most(vf x, vf hi) { return vf(_mm_min_ps(__m128(hi), __m128(x))); }
TG_FN vd at_most(vd x, vd hi) { return vd(_mm_min_pd(__m128d(hi), __m128d(x))); }
TG_FN vf at_least(vf x, vf lo) { return vf(_mm_max_ps(__m128(lo), __m128(x))); }
TG_FN vd at_least(vd x, vd lo) { return vd(_mm_max_pd(__m128d(lo), __m128d(x))); }
#else
TG_FN vf at_most(vf x, vf hi) { return vf(vminq_f32(float32x4_t(x), float32x4_t(hi))); }
TG_FN vd at_most(vd x, vd hi) { return vd(vminq_f64(float64x2_t(x), float64x2_t(hi))); }
TG_FN vf at_least(vf x, vf lo) { return vf(vmaxq_f32(float32x4_t(x), float32x4_t(lo))); }
TG_FN vd at_least(vd x, vd lo) { return vd(vmaxq_f64(float64x2_t(x), float64x2_t(lo))); }
#endif
TG_FN vf clip(vf x, vf lo, vf hi) { return at_most(at_least(x, lo), hi); }
TG_FN vd clip(vd x, vd lo, vd hi) { return at_most(at_least(x, lo), hi); }

// max(v, +0): NaN stays, -0 becomes +0.
template <class V>
TG_FN V relu_lanes(V v) {
#if defined(TG_ISA_AVX512)  // the instruction returns its second operand for NaN and for two zeros
  if constexpr (lane<V>::n == 16) return V(_mm512_max_ps(__m512{}, __m512(v))) + V{};
  else return V(_mm512_max_pd(__m512d{}, __m512d(v))) + V{};
#elif defined(TG_ISA_AVX2)
  if constexpr (lane<V>::n == 8) return V(_mm256_max_ps(__m256{}, __m256(v))) + V{};
  else return V(_mm256_max_pd(__m256d{}, __m256d(v))) + V{};
#else
  return select(le(v, V{}), V{}, v);
#endif
}

// ---- rounding to integral values --------------------------------------------------------------------------
#if defined(TG_ISA_AVX512)
#define TG_ROUND(name, mode)                                                                    \
  TG_FN vf name(vf x) { return vf(_mm512_roundscale_ps(__m512(x), mode | _MM_FROUND_NO_EXC)); } \
  TG_FN vd name(vd x) { return vd(_mm512_roundscale_pd(__m512d(x), mode | _MM_FROUND_NO_EXC)); }
#elif defined(TG_ISA_AVX2)
#define TG_ROUND(name, mode)                                                               \
  TG_FN vf name(vf x) { return vf(_mm256_round_ps(__m256(x), mode | _MM_FROUND_NO_EXC)); } \
  TG_FN vd name(vd x) { return vd(_mm256_round_pd(__m256d(x), mode | _MM_FROUND_NO_EXC)); }
#endif
#if defined(TG_ROUND)
TG_ROUND(rint, _MM_FROUND_TO_NEAREST_INT)
TG_ROUND(floor, _MM_FROUND_TO_NEG_INF)
TG_ROUND(ceil, _MM_FROUND_TO_POS_INF)
TG_ROUND(trunc, _MM_FROUND_TO_ZERO)
#undef TG_ROUND
#elif defined(__SSE2__)
// The scalar algorithms of lane.h, lane for lane.
template <class V>
TG_FN V rint_lanes(V x) {
  using S = typename lane<V>::S;
  V big = broadcast<V>(S(uint64_t(1) << lane<V>::mantissa));
  V a = abs(x);
  return select(lt(a, big), copysign((a + big) - big, x), x);
}
template <class V>
TG_FN V trunc_lanes(V x) {
  V a = abs(x), r = rint_lanes(a);
  return copysign(select(gt(r, a), r - broadcast<V>(1), r), x);
}
template <class V>
TG_FN V floor_lanes(V x) {
  V r = rint_lanes(x);
  return select(gt(r, x), r - broadcast<V>(1), r);
}
template <class V>
TG_FN V ceil_lanes(V x) {
  V r = rint_lanes(x);
  return select(lt(r, x), copysign(r + broadcast<V>(1), x), r);
}
TG_FN vf rint(vf x) { return rint_lanes(x); }
TG_FN vd rint(vd x) { return rint_lanes(x); }
TG_FN vf trunc(vf x) { return trunc_lanes(x); }
TG_FN vd trunc(vd x) { return trunc_lanes(x); }
TG_FN vf floor(vf x) { return floor_lanes(x); }
TG_FN vd floor(vd x) { return floor_lanes(x); }
TG_FN vf ceil(vf x) { return ceil_lanes(x); }
TG_FN vd ceil(vd x) { return ceil_lanes(x); }
#else
TG_FN vf rint(vf x) { return vf(vrndnq_f32(float32x4_t(x))); }
TG_FN vd rint(vd x) { return vd(vrndnq_f64(float64x2_t(x))); }
TG_FN vf trunc(vf x) { return vf(vrndq_f32(float32x4_t(x))); }
TG_FN vd trunc(vd x) { return vd(vrndq_f64(float64x2_t(x))); }
TG_FN vf floor(vf x) { return vf(vrndmq_f32(float32x4_t(x))); }
TG_FN vd floor(vd x) { return vd(vrndmq_f64(float64x2_t(x))); }
TG_FN vf ceil(vf x) { return vf(vrndpq_f32(float32x4_t(x))); }
TG_FN vd ceil(vd x) { return vd(vrndpq_f64(float64x2_t(x))); }
#endif

// The remainder of a short quotient is one fma, without rounding; a quotient that rounded up leaves it negative. Longer
// quotients, and the special cases, go lane by lane.
template <class V>
TG_FN V fmod_lanes(V a, V b) {
  using S = typename lane<V>::S;
  const S longest = S(uint64_t(1) << (lane<V>::mantissa - 1)), most = S(__builtin_inf());
  V x = abs(a), y = abs(b);
  V q = trunc(x / y);
  V r = fma(-q, y, x);
  r = copysign(select(lt(r, V{}), r + y, r), a);
  if (any(invert(both(lt(q, broadcast<V>(longest)), lt(y, broadcast<V>(most))))))
    for (int i = 0; i < lane<V>::n; i++)
      if (!(q[i] < longest && y[i] < most)) r[i] = tg::fmod(a[i], b[i]);
  return r;
}
TG_FN vf fmod(vf a, vf b) { return fmod_lanes(a, b); }
TG_FN vd fmod(vd a, vd b) { return fmod_lanes(a, b); }

// ---- powers of two ----------------------------------------------------------------------------------------
TG_FN vf pow2(vf n) { return vf((to_int(n) + 127) << 23); }
TG_FN vd pow2(vd n) { return vd((to_int(n) + 1023) << 52); }
#if defined(TG_ISA_AVX512)
TG_FN vf scale(vf x, vf n) { return vf(_mm512_scalef_ps(__m512(x), __m512(n))); }
TG_FN vd scale(vd x, vd n) { return vd(_mm512_scalef_pd(__m512d(x), __m512d(n))); }
#else
template <class V>
TG_FN V scale_lanes(V x, V n) {
  V half = rint(n * broadcast<V>(typename lane<V>::S(0.5)));
  return x * pow2(half) * pow2(n - half);
}
TG_FN vf scale(vf x, vf n) { return scale_lanes(x, n); }
TG_FN vd scale(vd x, vd n) { return scale_lanes(x, n); }
#endif

// ---- maximum, minimum: NaN if either is NaN, -0 < +0 ------------------------------------------------------
#if defined(__SSE2__)
// max(a, b) and max(b, a) differ only for zeros of unlike sign (joined by & or |) and for NaN (a + b is NaN
// then).
#if defined(TG_ISA_AVX512)
#define TG_X86_EXTREME(name, op, join)                                                                                \
  TG_FN vf name(vf a, vf b) {                                                                                         \
    vi r = vi(_mm512_##op##_ps(__m512(a), __m512(b))) join vi(_mm512_##op##_ps(__m512(b), __m512(a)));                \
    return vf(                                                                                                        \
        _mm512_mask_add_ps(__m512(r), _mm512_cmp_ps_mask(__m512(a), __m512(b), _CMP_UNORD_Q), __m512(a), __m512(b))); \
  }                                                                                                                   \
  TG_FN vd name(vd a, vd b) {                                                                                         \
    vl r = vl(_mm512_##op##_pd(__m512d(a), __m512d(b))) join vl(_mm512_##op##_pd(__m512d(b), __m512d(a)));            \
    return vd(_mm512_mask_add_pd(__m512d(r), _mm512_cmp_pd_mask(__m512d(a), __m512d(b), _CMP_UNORD_Q), __m512d(a),    \
                                 __m512d(b)));                                                                        \
  }
#elif defined(TG_ISA_AVX2)
#define TG_X86_EXTREME(name, op, join)                                                                     \
  TG_FN vf name(vf a, vf b) {                                                                              \
    vi r = vi(_mm256_##op##_ps(__m256(a), __m256(b))) join vi(_mm256_##op##_ps(__m256(b), __m256(a)));     \
    return select(mask_f(_mm256_cmp_ps(__m256(a), __m256(b), _CMP_UNORD_Q)), a + b, vf(r));                \
  }                                                                                                        \
  TG_FN vd name(vd a, vd b) {                                                                              \
    vl r = vl(_mm256_##op##_pd(__m256d(a), __m256d(b))) join vl(_mm256_##op##_pd(__m256d(b), __m256d(a))); \
    return select(mask_d(_mm256_cmp_pd(__m256d(a), __m256d(b), _CMP_UNORD_Q)), a + b, vd(r));              \
  }
#else
#define TG_X86_EXTREME(name, op, join)                                                               \
  TG_FN vf name(vf a, vf b) {                                                                        \
    vi r = vi(_mm_##op##_ps(__m128(a), __m128(b))) join vi(_mm_##op##_ps(__m128(b), __m128(a)));     \
    return select(mask_f(_mm_cmpunord_ps(__m128(a), __m128(b))), a + b, vf(r));                      \
  }                                                                                                  \
  TG_FN vd name(vd a, vd b) {                                                                        \
    vl r = vl(_mm_##op##_pd(__m128d(a), __m128d(b))) join vl(_mm_##op##_pd(__m128d(b), __m128d(a))); \
    return select(mask_d(_mm_cmpunord_pd(__m128d(a), __m128d(b))), a + b, vd(r));                    \
  }
#endif
TG_X86_EXTREME(maximum, max, &)
TG_X86_EXTREME(minimum, min, |)
#undef TG_X86_EXTREME
#else
TG_FN vf maximum(vf a, vf b) { return vf(vmaxq_f32(float32x4_t(a), float32x4_t(b))); }
TG_FN vd maximum(vd a, vd b) { return vd(vmaxq_f64(float64x2_t(a), float64x2_t(b))); }
TG_FN vf minimum(vf a, vf b) { return vf(vminq_f32(float32x4_t(a), float32x4_t(b))); }
TG_FN vd minimum(vd a, vd b) { return vd(vminq_f64(float64x2_t(a), float64x2_t(b))); }
#endif

}  // namespace TG_ISA_NS
}  // namespace tg
