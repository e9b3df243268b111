// What random bits need of the vectors of an ISA. In its namespace and ahead of math/philox.h, whose functions call
// multiply_words; joined_words makes one 64-bit lane of the words in the low halves of two; words_at_least compares the
// 32-bit words of a vector without sign.
#if defined(TG_ISA_AVX512)
TG_FN vul multiply_words(vul a, vul b) { return vul(_mm512_mul_epu32(__m512i(a), __m512i(b))); }
TG_FN vul joined_words(vul low, vul high) {
  return vul(_mm512_mask_shuffle_epi32(__m512i(low), 0xaaaa, __m512i(high), _MM_PERM_CCAA));
}
TG_FN mask_f words_at_least(vul words, uint32_t bound) {
  return _mm512_cmpge_epu32_mask(__m512i(words), _mm512_set1_epi32(int(bound)));
}
#else
#if defined(TG_ISA_AVX2)
TG_FN vul multiply_words(vul a, vul b) { return vul(_mm256_mul_epu32(__m256i(a), __m256i(b))); }
#elif defined(__SSE2__)
TG_FN vul multiply_words(vul a, vul b) { return vul(_mm_mul_epu32(__m128i(a), __m128i(b))); }
#else
TG_FN vul multiply_words(vul a, vul b) { return vul(vmull_u32(vmovn_u64(uint64x2_t(a)), vmovn_u64(uint64x2_t(b)))); }
#endif
TG_FN vul joined_words(vul low, vul high) { return (low & 0xffffffff) | (high << 32); }
TG_FN mask_f words_at_least(vul words, uint32_t bound) { return mask_f(vui(words) >= bound); }
#endif
