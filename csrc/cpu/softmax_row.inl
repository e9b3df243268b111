// Softmax of a row and its logarithm: one algorithm for rows that lie Along or Across vectors (rows.inl).

template <class Row, class V = typename Row::V, class S = typename Row::S>
TG_FN void softmax_row(const Row& row, const S* x, S* y, bool logarithm) {
  const V m = row.largest([&](int64_t i, auto k) __attribute__((always_inline)) { return row.get(x, i, k); });
  if (logarithm) {
    const V s = row.sum([&](V acc, int64_t i, auto k)
                            __attribute__((always_inline)) { return acc + exp(row.get(x, i, k) - m); });
    const V l = log(s);
    row.each([&](int64_t i, auto k) __attribute__((always_inline)) { row.put(y, i, k, (row.get(x, i, k) - m) - l); });
  } else {
    const V s = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
      const V e = exp(row.get(x, i, k) - m);
      row.put(y, i, k, e);
      return acc + e;
    });
    const V inverse = broadcast<V>(1) / s;
    row.each([&](int64_t i, auto k) __attribute__((always_inline)) { row.put(y, i, k, row.get(y, i, k) * inverse); });
  }
}
