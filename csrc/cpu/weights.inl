// A vector of weights: float32, or bfloat16, the upper halves of float32. Included inside tg::TG_ISA_NS.
TG_FN vf load_weights(const float* p) { return load<vf>(p); }
TG_FN vf load_weights(const uint16_t* p) {
#if defined(TG_ISA_AVX512)
  return vf(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
#elif defined(TG_ISA_AVX2)
  return vf(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
#else
  uint16_t h __attribute__((vector_size(TG_VECTOR_BYTES / 2)));
  __builtin_memcpy(&h, p, sizeof h);
  return vf(__builtin_convertvector(h, vui) << 16);
#endif
}
