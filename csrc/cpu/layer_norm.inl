// Layer normalisation of a row and its gradient (math/norm.h), laid over vectors Along or Across (rows.inl).

template <class V>
static void layer_norm_of(const LayerNorm<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  over_rows<V>(
      a.n, 1, a.first, a.last,
      [&](const auto& row, int64_t offset) __attribute__((always_inline)) {
        V mean, rstd;
        layer_norm_row(row, a.x + offset, a.weight, a.bias, a.eps, a.y + offset, &mean, &rstd);
        a.mean[offset / a.n] = mean[0];
        a.rstd[offset / a.n] = rstd[0];
      },
      [&](const auto& row, int64_t offset, int count) __attribute__((always_inline)) {
        S tile[few_classes * lane<V>::n];
        V mean, rstd;
        load_transposed<V>(a.x + offset, a.n, count, int(a.n), tile);
        layer_norm_row(row, tile, a.weight, a.bias, a.eps, tile, &mean, &rstd);
        store_transposed<V>(tile, int(a.n), count, a.y + offset, a.n);
        store_n(a.mean + offset / a.n, mean, count);
        store_n(a.rstd + offset / a.n, rstd, count);
      });
}

// Puts the standardized elements there.
template <class Row, class V = typename Row::V>
TG_FN auto scaled_to(const Row& row, typename Row::S* scaled, V mean, V rstd) {
  return [=](int64_t i, auto k, V x)
             __attribute__((always_inline)) { row.put(scaled, i, k, standardized(x, mean, rstd)); };
}

template <class V>
static void layer_norm_backward_of(const LayerNormBackward<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  over_rows<V>(
      a.n, 1, a.first, a.last,
      [&](const auto& row, int64_t offset) __attribute__((always_inline)) {
        const V mean = broadcast<V>(a.mean[offset / a.n]), rstd = broadcast<V>(a.rstd[offset / a.n]);
        layer_norm_backward_row(row, a.g + offset, a.x + offset, a.weight, mean, rstd, a.dx + offset,
                                scaled_to(row, a.scaled + offset, mean, rstd));
      },
      [&](const auto& row, int64_t offset, int count) __attribute__((always_inline)) {
        S g[few_classes * lane<V>::n], x[few_classes * lane<V>::n];
        const V mean = load_n<V>(a.mean + offset / a.n, count), rstd = load_n<V>(a.rstd + offset / a.n, count);
        load_transposed<V>(a.g + offset, a.n, count, int(a.n), g);
        load_transposed<V>(a.x + offset, a.n, count, int(a.n), x);
        layer_norm_backward_row(row, g, x, a.weight, mean, rstd, g, scaled_to(row, x, mean, rstd));
        store_transposed<V>(g, int(a.n), count, a.dx + offset, a.n);
        store_transposed<V>(x, int(a.n), count, a.scaled + offset, a.n);
      });
}
