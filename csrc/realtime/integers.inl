// Sums of products of integers that neither round nor saturate, and the way from floats to integers and back. Additions
// wrap, so their order is free: `validate` has proved that no sum leaves int32. Included inside tg::TG_ISA_NS.

// sum + x w of two int16 in each lane of 32 bits.
TG_FN vi add_two(vi sum, vi x, vi w) {
#if defined(TG_ISA_AVX512) && defined(__AVX512VNNI__)
  return vi(_mm512_dpwssd_epi32(__m512i(sum), __m512i(x), __m512i(w)));
#elif defined(TG_ISA_AVX512)
  return add_wrapping(sum, vi(_mm512_madd_epi16(__m512i(x), __m512i(w))));
#elif defined(TG_ISA_AVX2) && defined(__AVXVNNI__)
  return vi(_mm256_dpwssd_avx_epi32(__m256i(sum), __m256i(x), __m256i(w)));
#elif defined(TG_ISA_AVX2)
  return add_wrapping(sum, vi(_mm256_madd_epi16(__m256i(x), __m256i(w))));
#elif defined(__SSE2__)
  return add_wrapping(sum, vi(_mm_madd_epi16(__m128i(x), __m128i(w))));
#else
  const int16x8_t a = int16x8_t(x), b = int16x8_t(w);
  return add_wrapping(sum, vi(vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b))));
#endif
}
typedef int16_t shorts __attribute__((vector_size(TG_VECTOR_BYTES)));
typedef uint16_t unsigned_shorts __attribute__((vector_size(TG_VECTOR_BYTES)));
// sum + x w of four bytes, x unsigned and w signed.
TG_FN vi add_four(vi sum, vi x, vi w) {
#if defined(TG_ISA_AVX512) && defined(__AVX512VNNI__)
  return vi(_mm512_dpbusd_epi32(__m512i(sum), __m512i(x), __m512i(w)));
#elif defined(TG_ISA_AVX2) && defined(__AVXVNNI__)
  return vi(_mm256_dpbusd_avx_epi32(__m256i(sum), __m256i(x), __m256i(w)));
#elif defined(__ARM_FEATURE_MATMUL_INT8)
  return vi(vusdotq_s32(int32x4_t(sum), uint8x16_t(x), int8x16_t(w)));
#else  // bytes 0 and 2, then 1 and 3, as int16
  const vi even = vi(shorts(unsigned_shorts(w) << 8) >> 8), odd = vi(shorts(w) >> 8);
  sum = add_two(sum, x & 0x00ff00ff, even);
  return add_two(sum, shift_right_logical(x, 8) & 0x00ff00ff, odd);
#endif
}
TG_FN int32_t sum_lanes(vi v) {
  int32_t sum = 0;
#if defined(TG_ISA_AVX512)
  sum = _mm512_reduce_add_epi32(__m512i(v));
#else
  for (int i = 0; i < lane<vi>::n; i++) sum = add_wrapping(sum, v[i]);
#endif
  return sum;
}

typedef int16_t shorts_f __attribute__((vector_size(TG_VECTOR_BYTES / 2)));  // one for each lane of a vf
struct Bytes {
  using Q = uint8_t;
  static constexpr int terms = 4, bits = 8;
  TG_FN vi add(vi sum, vi x, vi w) { return add_four(sum, x, w); }
  TG_FN void put(uint8_t* p, vi v) {
    const bytes_f q = __builtin_convertvector(v, bytes_f);
    __builtin_memcpy(p, &q, sizeof q);
  }
};
struct Shorts {
  using Q = int16_t;
  static constexpr int terms = 2, bits = 16;
  TG_FN vi add(vi sum, vi x, vi w) { return add_two(sum, x, w); }
  TG_FN void put(int16_t* p, vi v) {
    const shorts_f q = __builtin_convertvector(v, shorts_f);
    __builtin_memcpy(p, &q, sizeof q);
  }
};

// The integer next to x scale + zero, ties to even, held to low .. high; low for NaN.
TG_FN vi quantized(vf x, vf scale, vf zero, vf low, vf high) {
  vf t = fma(x, scale, zero);
#if defined(TG_ISA_AVX512)  // these return their second operand where the first is NaN
  t = vf(_mm512_min_ps(_mm512_max_ps(__m512(t), __m512(low)), __m512(high)));
#elif defined(TG_ISA_AVX2)
  t = vf(_mm256_min_ps(_mm256_max_ps(__m256(t), __m256(low)), __m256(high)));
#elif defined(__SSE2__)
  t = vf(_mm_min_ps(_mm_max_ps(__m128(t), __m128(low)), __m128(high)));
#else
  t = vf(vminq_f32(vmaxnmq_f32(float32x4_t(t), float32x4_t(low)), float32x4_t(high)));
#endif
  return to_int(t);
}
// NaN where an integer stands for one.
TG_FN vf poison_of(mask_f nan) { return select(nan, broadcast<vf>(__builtin_nanf("")), vf{}); }
TG_FN vf unquantized(vi sum, vf scale, vf bias, vf poison) { return fma(to_float<vf>(sum), scale + poison, bias); }
