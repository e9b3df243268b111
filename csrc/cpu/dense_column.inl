// Products with one column: every row of A times a vector. Four chains are four lanes, so the rows are read as they lie, and
// each step is one fma of four numbers. Part of dense.inl.

#include "four_lanes.inl"

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
  if (g.activation.goes_aside()) apply_block(g, m_first, m_end - m_first, 0, 1);
}
