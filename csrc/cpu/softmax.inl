// Softmax, its logarithm and their gradients (math/softmax.h), laid over vectors Along or Across (rows.inl).

constexpr int few_classes = 128;  // rows up to this length are transposed

// Runs over rows first..last of contiguous (outer, n, inner). along(row, offset) and across(row, offset) get the rows at
// `offset`; tile(offset, row, count) rows of few elements, to be transposed.
template <class V, class OnRow, class OnTile>
TG_FN void over_rows(int64_t n, int64_t inner, int64_t first, int64_t last, OnRow on_row, OnTile on_tile) {
  constexpr int L = lane<V>::n;
  if (inner > 1) {
    for (int64_t r = first; r < last;) {
      const int64_t outer = r / inner, i = r % inner;
      const int64_t left = inner - i < last - r ? inner - i : last - r, offset = outer * n * inner + i;
      if (left >= L) on_row(Across<V, AllLanes>{n, inner, {}}, offset), r += L;
      else on_row(Across<V, SomeLanes>{n, inner, {int(left)}}, offset), r += left;
    }
  } else if (n > few_classes) {
    for (int64_t r = first; r < last; r++) on_row(Along<V>{n}, r * n);
  } else {
    for (int64_t r = first; r < last; r += L)
      on_tile(Across<V, AllLanes>{n, L, {}}, r * n, last - r < L ? int(last - r) : L);
  }
}

template <class V>
static void softmax_of(const Softmax<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  over_rows<V>(
      a.n, a.inner, a.first, a.last,
      [&](const auto& row, int64_t offset)
          __attribute__((always_inline)) { softmax_row(row, a.x + offset, a.y + offset, a.log); },
      [&](const auto& row, int64_t offset, int count) __attribute__((always_inline)) {
        S tile[few_classes * lane<V>::n];
        load_transposed<V>(a.x + offset, a.n, count, int(a.n), tile);
        softmax_row(row, tile, tile, a.log);
        store_transposed<V>(tile, int(a.n), count, a.y + offset, a.n);
      });
}

template <class V>
static void softmax_backward_of(const SoftmaxBackward<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  over_rows<V>(
      a.n, a.inner, a.first, a.last,
      [&](const auto& row, int64_t offset) __attribute__((always_inline)) {
        softmax_backward_row(row, a.g + offset, a.y + offset, a.dx + offset, a.log);
      },
      [&](const auto& row, int64_t offset, int count) __attribute__((always_inline)) {
        S g[few_classes * lane<V>::n], y[few_classes * lane<V>::n];
        load_transposed<V>(a.g + offset, a.n, count, int(a.n), g);
        load_transposed<V>(a.y + offset, a.n, count, int(a.n), y);
        softmax_backward_row(row, g, y, g, a.log);
        store_transposed<V>(g, int(a.n), count, a.dx + offset, a.n);
      });
}
