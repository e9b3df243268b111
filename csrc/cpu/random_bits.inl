// Philox on the vectors of an ISA, in its namespace and ahead of math/philox.h, whose functions call this.
#if defined(TG_ISA_AVX512)
TG_FN vul multiply_words(vul a, vul b) { return vul(_mm512_mul_epu32(__m512i(a), __m512i(b))); }
#elif defined(TG_ISA_AVX2)
TG_FN vul multiply_words(vul a, vul b) { return vul(_mm256_mul_epu32(__m256i(a), __m256i(b))); }
#elif defined(__SSE2__)
TG_FN vul multiply_words(vul a, vul b) { return vul(_mm_mul_epu32(__m128i(a), __m128i(b))); }
#else
TG_FN vul multiply_words(vul a, vul b) { return vul(vmull_u32(vmovn_u64(uint64x2_t(a)), vmovn_u64(uint64x2_t(b)))); }
#endif
