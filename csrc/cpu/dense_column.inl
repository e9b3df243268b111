// Products with one column: every row of A times a vector. Four chains are four lanes, so the rows are read as they lie, and
// each step is one fma of four numbers. Part of dense.inl.

// Four numbers.
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

// R rows of A times b(K)
template <class T, int R>
static __attribute__((noinline)) void column_of_rows(int64_t K, const T* a, int64_t a_row, const T* b, T start, T* c,
                                                     int64_t c_row) {
  const T first[4] = {start, 0, 0, 0};
  decltype(load_four(first)) chains[R];
  TG_UNROLL for (int r = 0; r < R; r++) chains[r] = load_four(first);
  int64_t k = 0;
  for (; k + 4 <= K; k += 4) {
    const auto four = load_four(b + k);
    TG_UNROLL for (int r = 0; r < R; r++) chains[r] = fma_four(load_four(a + r * a_row + k), four, chains[r]);
  }
  T chain[R][4];
  TG_UNROLL for (int r = 0; r < R; r++) store_four(chain[r], chains[r]);
  for (; k < K; k++)
    for (int r = 0; r < R; r++) chain[r][k % 4] = fma(a[r * a_row + k], b[k], chain[r][k % 4]);
  for (int r = 0; r < R; r++) c[r * c_row] = (chain[r][0] + chain[r][2]) + (chain[r][1] + chain[r][3]);
}

template <class T>
static void product_of_column(const Product<T>& g, const T* b, int64_t m_first, int64_t m_end) {
  const T start = g.bias ? g.bias[0] : T(0);
  for (int64_t m = m_first; m < m_end;) {
    const int64_t left = m_end - m;
    const T* a = g.a + m * g.a_row;
    T* c = g.c + m * g.c_row;
    if (left >= 8) column_of_rows<T, 8>(g.K, a, g.a_row, b, start, c, g.c_row);
    else if (left >= 4) column_of_rows<T, 4>(g.K, a, g.a_row, b, start, c, g.c_row);
    else if (left >= 2) column_of_rows<T, 2>(g.K, a, g.a_row, b, start, c, g.c_row);
    else column_of_rows<T, 1>(g.K, a, g.a_row, b, start, c, g.c_row);
    m += left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
  }
  T* c = g.c + m_first * g.c_row;
  if (g.activation.kind == Fused::relu)
    for (int64_t m = 0; m < m_end - m_first; m++) c[m * g.c_row] = c[m * g.c_row] <= 0 ? T(0) : c[m * g.c_row];
  if (g.activation.kind == Fused::function) apply_rows(g.activation, m_end - m_first, 1, c, g.c_row);
}
