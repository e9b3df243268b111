// Layer normalisation of a row and its gradient, laid over vectors Along or Across (rows.inl).

template <class Row, class V = typename Row::V, class S = typename Row::S>
TG_FN void layer_norm_row(const Row& row, const LayerNorm<S>& a, const S* x, S* y, V* mean, V* rstd) {
  const V n = broadcast<V>(S(row.n));
  const V first =
      row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) { return acc + row.get(x, i, k); }) / n;
  // The rounding of the mean, which 1/std would multiply where the row is nearly constant.
  const V m = first + row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
    return acc + (row.get(x, i, k) - first);
  }) / n;
  const V squares = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
    const V d = row.get(x, i, k) - m;
    return fma(d, d, acc);
  });
  const V r = broadcast<V>(1) / sqrt(squares / n + broadcast<V>(a.eps));
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    row.put(y, i, k, fma((row.get(x, i, k) - m) * r, row.shared(a.weight, i, k), row.shared(a.bias, i, k)));
  });
  *mean = m;
  *rstd = r;
}

template <class Row, class V = typename Row::V, class S = typename Row::S>
TG_FN void layer_norm_backward_row(const Row& row, const LayerNormBackward<S>& a, const S* g, const S* x, V mean,
                                   V rstd, S* dx, S* scaled) {
  const V n = broadcast<V>(S(row.n));
  const V sum = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
    return fma(row.get(g, i, k), row.shared(a.weight, i, k), acc);
  });
  const V dot = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
    return fma(row.get(g, i, k) * row.shared(a.weight, i, k), row.get(x, i, k) - mean, acc);
  });
  const V offset = -(sum / n), slope = dot * rstd * rstd / n;
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    const V d = row.get(x, i, k) - mean;
    const V own = fma(row.get(g, i, k), row.shared(a.weight, i, k), offset);
    row.put(scaled, i, k, d * rstd);
    row.put(dx, i, k, fma(-d, slope, own) * rstd);
  });
}

template <class V>
static void layer_norm_of(const LayerNorm<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  over_rows<V>(
      a.n, 1, a.first, a.last,
      [&](const auto& row, int64_t offset) __attribute__((always_inline)) {
        V mean, rstd;
        layer_norm_row(row, a, a.x + offset, a.y + offset, &mean, &rstd);
        a.mean[offset / a.n] = mean[0];
        a.rstd[offset / a.n] = rstd[0];
      },
      [&](const auto& row, int64_t offset, int count) __attribute__((always_inline)) {
        S tile[few_classes * lane<V>::n];
        V mean, rstd;
        load_transposed<V>(a.x + offset, a.n, count, int(a.n), tile);
        layer_norm_row(row, a, tile, tile, &mean, &rstd);
        store_transposed<V>(tile, int(a.n), count, a.y + offset, a.n);
        store_n(a.mean + offset / a.n, mean, count);
        store_n(a.rstd + offset / a.n, rstd, count);
      });
}

template <class V>
static void layer_norm_backward_of(const LayerNormBackward<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  over_rows<V>(
      a.n, 1, a.first, a.last,
      [&](const auto& row, int64_t offset) __attribute__((always_inline)) {
        const V mean = broadcast<V>(a.mean[offset / a.n]), rstd = broadcast<V>(a.rstd[offset / a.n]);
        layer_norm_backward_row(row, a, a.g + offset, a.x + offset, mean, rstd, a.dx + offset, a.scaled + offset);
      },
      [&](const auto& row, int64_t offset, int count) __attribute__((always_inline)) {
        S g[few_classes * lane<V>::n], x[few_classes * lane<V>::n];
        const V mean = load_n<V>(a.mean + offset / a.n, count), rstd = load_n<V>(a.rstd + offset / a.n, count);
        load_transposed<V>(a.g + offset, a.n, count, int(a.n), g);
        load_transposed<V>(a.x + offset, a.n, count, int(a.n), x);
        layer_norm_backward_row(row, a, g, x, mean, rstd, g, x);
        store_transposed<V>(g, int(a.n), count, a.dx + offset, a.n);
        store_transposed<V>(x, int(a.n), count, a.scaled + offset, a.n);
      });
}
