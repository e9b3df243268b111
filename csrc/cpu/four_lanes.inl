// Four numbers side by side, on every instruction set: four chains of a sum. Included inside tg::TG_ISA_NS.
#if defined(TG_ISA_AVX512) || defined(TG_ISA_AVX2)
TG_FN __m128 load_four(const float* p) { return _mm_loadu_ps(p); }
TG_FN __m256d load_four(const double* p) { return _mm256_loadu_pd(p); }
TG_FN void store_four(float* p, __m128 v) { _mm_storeu_ps(p, v); }
TG_FN void store_four(double* p, __m256d v) { _mm256_storeu_pd(p, v); }
TG_FN __m128 fma_four(__m128 a, __m128 b, __m128 c) { return _mm_fmadd_ps(a, b, c); }
TG_FN __m256d fma_four(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
#else
struct two_vd {
  vd low, high;
};
TG_FN vf load_four(const float* p) { return load<vf>(p); }
TG_FN two_vd load_four(const double* p) { return {load<vd>(p), load<vd>(p + 2)}; }
TG_FN void store_four(float* p, vf v) { store(p, v); }
TG_FN void store_four(double* p, two_vd v) { store(p, v.low), store(p + 2, v.high); }
TG_FN vf fma_four(vf a, vf b, vf c) { return fma(a, b, c); }
TG_FN two_vd fma_four(two_vd a, two_vd b, two_vd c) { return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)}; }
#endif
