// Reductions of one ISA, over rows and over columns; what a kind accumulates is in math/reduce.h.

template <Reduce K>
inline constexpr bool centered = K == Reduce::squares || K == Reduce::exps || K == Reduce::dot;

// ---- rows ----------------------------------------------------------------------------------------------------------
// The greatest (least) of numbers of which none is NaN and not both are zero; one instruction.
template <Reduce K, class V>
TG_FN V farther(V a, V b) {
  return K == Reduce::max ? at_least(a, b) : at_most(a, b);
}
template <Reduce K>
inline constexpr bool extreme = K == Reduce::max || K == Reduce::min;

// Pieces of a row that are reduced side by side, to hide the latency of a step.
template <Reduce K, class V>
inline constexpr int side_by_side = K == Reduce::exps               ? 1
                                    : extreme<K> && row16<V>::n > 1 ? 2
                                                                    : 4;

// R pieces of count <= row_block elements side by side, piece r at x + r * apart: the totals of their lanes.
template <Reduce K, class V, int R>
TG_FN void row_pieces(const typename lane<V>::S* x, int64_t apart, int count, const V* center, row16<V>* acc) {
  using S = typename lane<V>::S;
  static_assert(lane<V>::n <= row_lanes);
  const Along<V> row{count};
  if constexpr (extreme<K>) {
    // The sum of what was met is NaN if any of it is, and rarely otherwise. That, and the sign of a zero, is looked
    // into only where it matters.
    row16<V> sum[R] = {};
    for (int r = 0; r < R; r++) acc[r] = row16_broadcast<V>(reduce_start<K, V>()[0]);
    int i = 0;
    for (; i + row_lanes <= count; i += row_lanes)
      for (int r = 0; r < R; r++) {
        const S* p = x + r * apart;
        // The same place of the next R pieces: several streams at once are hard to foresee.
        __builtin_prefetch(p + R * apart + i);
        for (int j = 0; j < row16<V>::n; j++) {
          const V v = load<V>(p + i + j * lane<V>::n);
          acc[r].v[j] = farther<K>(acc[r].v[j], v);
          sum[r].v[j] = sum[r].v[j] + v;
        }
      }
    if (i < count)
      for (int r = 0; r < R; r++) {
        const row16<V> v = row16_load_n<V>(x + r * apart + i, count - i, reduce_start<K, V>()[0]);
        for (int j = 0; j < row16<V>::n; j++) {
          acc[r].v[j] = farther<K>(acc[r].v[j], v.v[j]);
          sum[r].v[j] = sum[r].v[j] + v.v[j];
        }
      }
    bool sure = true;
    for (int r = 0; r < R; r++)
      for (int j = 0; j < row16<V>::n; j++) sure = sure && !any(either(is_nan(sum[r].v[j]), eq(acc[r].v[j], V{})));
    if (sure) return;
  }
  for (int r = 0; r < R; r++) acc[r] = row16_broadcast<V>(reduce_start<K, V>()[0]);
  auto term = [&](int r) __attribute__((always_inline)) {
    const S* p = x + r * apart;
    return [=](V a, int64_t i, auto k)
               __attribute__((always_inline)) { return reduce_step<K>(a, row.get(p, i, k), V{}, center[r]); };
  };
  int i = 0;
  for (; i + row_lanes <= count; i += row_lanes)
    for (int r = 0; r < R; r++) {
      __builtin_prefetch(x + (r + R) * apart + i);
      row.sixteen(acc[r], i, term(r));
    }
  if (i < count)
    for (int r = 0; r < R; r++) row.fewer(acc[r], i, count - i, term(r));
}

// The totals of the 16 lanes of a row longer than one block.
template <Reduce K, class V>
static __attribute__((noinline)) void long_row(const typename lane<V>::S* x, int64_t n, V center, row16<V>* total) {
  constexpr int side = side_by_side<K, V>;
  V centers[side];
  for (int r = 0; r < side; r++) centers[r] = center;
  auto join16 = [](row16<V> a, row16<V> b)
                    __attribute__((always_inline)) { return row16_join(a, b, reduce_join<K, V>); };
  PieceTree<row16<V>, decltype(join16)> tree(join16);
  row16<V> acc[side];
  int64_t i = 0;
  for (; i + side * row_block <= n; i += side * row_block) {
    row_pieces<K, V, side>(x + i, row_block, row_block, centers, acc);
    for (int r = 0; r < side; r++) tree.push(acc[r]);
  }
  if constexpr (side > 2)
    for (; i + 2 * row_block <= n; i += 2 * row_block) {
      row_pieces<K, V, 2>(x + i, row_block, row_block, centers, acc);
      for (int r = 0; r < 2; r++) tree.push(acc[r]);
    }
  for (; i < n; i += row_block) {
    row_pieces<K, V, 1>(x + i, 0, n - i < row_block ? int(n - i) : row_block, centers, acc);
    tree.push(acc[0]);
  }
  *total = tree.total();
}

constexpr int few_columns = 32;  // rows shorter than this are transposed: lanes are rows

template <Reduce K, class V>
static __attribute__((noinline)) void rows_of_kind(const ReduceRows<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  auto center = [&](int64_t r) { return centered<K> ? broadcast<V>(a.center[r]) : V{}; };
  auto finish = [&](int64_t r, const row16<V>& total) __attribute__((always_inline)) {
    if (a.fold) a.out[r] = row16_fold(total, reduce_join<K, V>);
    else
      for (int j = 0; j < row16<V>::n; j++) store(a.out + r * row_lanes + j * L, total.v[j]);
  };
  int64_t r = 0;
  if (a.n > row_block) {
    for (; r < a.rows; r++) {
      row16<V> total;
      long_row<K, V>(a.x + r * a.x_row, a.n, center(r), &total);
      finish(r, total);
    }
  } else if (a.n < few_columns && a.fold) {
    S tile[few_columns * L];
    for (; r < a.rows; r += L) {
      const int count = a.rows - r < L ? int(a.rows - r) : L;
      load_transposed<V>(a.x + r * a.x_row, a.x_row, count, int(a.n), tile);
      const V c = centered<K> ? load_n<V>(a.center + r, count) : V{};
      V acc[row_lanes];
      for (int l = 0; l < row_lanes; l++) acc[l] = reduce_start<K, V>();
      for (int i = 0; i < a.n; i++)
        acc[i % row_lanes] = reduce_step<K>(acc[i % row_lanes], load<V>(tile + i * L), V{}, c);
      for (int half = row_lanes / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) acc[l] = reduce_join<K>(acc[l], acc[l + half]);
      store_n(a.out + r, acc[0], count);
    }
  } else {
    constexpr int side = side_by_side<K, V>;
    row16<V> total[side];
    for (; r + side <= a.rows; r += side) {
      V c[side];
      for (int s = 0; s < side; s++) c[s] = center(r + s);
      row_pieces<K, V, side>(a.x + r * a.x_row, a.x_row, int(a.n), c, total);
      for (int s = 0; s < side; s++) finish(r + s, total[s]);
    }
    for (; r < a.rows; r++) {
      const V c = center(r);
      row_pieces<K, V, 1>(a.x + r * a.x_row, 0, int(a.n), &c, total);
      finish(r, total[0]);
    }
  }
}

template <class V>
static void reduce_rows_of(const ReduceRows<typename lane<V>::S>& a) {
  switch (a.kind) {
    case Reduce::sum: return rows_of_kind<Reduce::sum, V>(a);
    case Reduce::prod: return rows_of_kind<Reduce::prod, V>(a);
    case Reduce::max: return rows_of_kind<Reduce::max, V>(a);
    case Reduce::min: return rows_of_kind<Reduce::min, V>(a);
    case Reduce::present: return rows_of_kind<Reduce::present, V>(a);
    case Reduce::absolute: return rows_of_kind<Reduce::absolute, V>(a);
    case Reduce::squares: return rows_of_kind<Reduce::squares, V>(a);
    case Reduce::exps: return rows_of_kind<Reduce::exps, V>(a);
    case Reduce::dot: return;  // columns only
  }
}

// ---- products of two rows ------------------------------------------------------------------------------------------
// R blocks of count <= row_block elements side by side, block r at r * row_block: the totals of their lanes.
template <class V, int R>
TG_FN void dot_blocks(const typename lane<V>::S* x, const typename lane<V>::S* y, int count, row16<V>* acc) {
  const Along<V> row{count};
  for (int r = 0; r < R; r++) acc[r] = row16_broadcast<V>(0);
  auto term = [&](int r) __attribute__((always_inline)) {
    const auto *p = x + r * row_block, *q = y + r * row_block;
    return [=](V a, int64_t i, auto k)
               __attribute__((always_inline)) { return fma(row.get(p, i, k), row.get(q, i, k), a); };
  };
  int i = 0;
  for (; i + row_lanes <= count; i += row_lanes)
    for (int r = 0; r < R; r++) row.sixteen(acc[r], i, term(r));
  if (i < count)
    for (int r = 0; r < R; r++) row.fewer(acc[r], i, count - i, term(r));
}

template <class V>
static void dot_rows_of(const DotRows<typename lane<V>::S>& a) {
  constexpr int L = lane<V>::n, side = row16<V>::n > 2 ? 2 : 4;
  auto join16 = [](row16<V> p, row16<V> q) __attribute__((always_inline)) { return row16_join(p, q, add<V>); };
  for (int64_t r = 0; r < a.rows; r++) {
    const auto *x = a.x + r * a.x_row, *y = a.y + r * a.y_row;
    row16<V> acc[side];
    if (a.n <= row_block) {
      dot_blocks<V, 1>(x, y, int(a.n), acc);
    } else {
      PieceTree<row16<V>, decltype(join16)> tree(join16);
      int64_t i = 0;
      for (; i + side * row_block <= a.n; i += side * row_block) {
        dot_blocks<V, side>(x + i, y + i, row_block, acc);
        for (int s = 0; s < side; s++) tree.push(acc[s]);
      }
      for (; i < a.n; i += row_block) {
        dot_blocks<V, 1>(x + i, y + i, a.n - i < row_block ? int(a.n - i) : row_block, acc);
        tree.push(acc[0]);
      }
      acc[0] = tree.total();
    }
    if (a.fold) a.out[r] = row16_fold(acc[0], add<V>);
    else
      for (int j = 0; j < row16<V>::n; j++) store(a.out + r * row_lanes + j * L, acc[0].v[j]);
  }
}

// ---- columns -------------------------------------------------------------------------------------------------------
// W vectors of columns from c on (the last `count` lanes wide), R shards side by side.
template <class V, int W>
struct Wide {
  V v[W];
};
template <Reduce K, class V, int W, int R, class Count>
TG_FN void shards(const ReduceColumns<typename lane<V>::S>& a, int64_t c, int64_t first, int64_t rows,
                  const Wide<V, W>& center, Count count, Wide<V, W>* acc) {
  using S = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  const Along<V> along{};
  for (int r = 0; r < R; r++)
    for (int w = 0; w < W; w++) acc[r].v[w] = reduce_start<K, V>();
  for (int64_t m = first; m < first + rows; m++)
    for (int r = 0; r < R; r++) {
      const int64_t at = m + r * a.shard;
      const S* x = a.x + at * a.x_row + c;
      for (int w = 0; w < W; w++) {
        const V y = K == Reduce::dot ? along.get(a.y + at * a.y_row + c, w * L, count) : V{};
        acc[r].v[w] = reduce_step<K>(acc[r].v[w], along.get(x, w * L, count), y, center.v[w]);
      }
    }
}
template <Reduce K, class V, int W, int R, class Count>
static __attribute__((noinline)) void columns_from(const ReduceColumns<typename lane<V>::S>& a, int64_t c,
                                                   Count count) {
  constexpr int L = lane<V>::n;
  const Along<V> along{};
  Wide<V, W> center;
  for (int w = 0; w < W; w++) center.v[w] = centered<K> ? along.get(a.center + c, w * L, count) : V{};
  auto join_wide = [](Wide<V, W> p, Wide<V, W> q) __attribute__((always_inline)) {
    for (int w = 0; w < W; w++) p.v[w] = reduce_join<K>(p.v[w], q.v[w]);
    return p;
  };
  PieceTree<Wide<V, W>, decltype(join_wide)> tree(join_wide);
  Wide<V, W> acc[R];
  int64_t m = 0;
  for (; m + R * a.shard <= a.M; m += R * a.shard) {
    shards<K, V, W, R>(a, c, m, a.shard, center, count, acc);
    for (int r = 0; r < R; r++) tree.push(acc[r]);
  }
  for (; m < a.M; m += a.shard) {
    shards<K, V, W, 1>(a, c, m, a.M - m < a.shard ? a.M - m : a.shard, center, count, acc);
    tree.push(acc[0]);
  }
  if (a.M == 0)
    for (int w = 0; w < W; w++) acc[0].v[w] = reduce_start<K, V>();
  else acc[0] = tree.total();
  for (int w = 0; w < W; w++) along.put(a.out + c, w * L, count, acc[0].v[w]);
}

template <Reduce K, class V>
static void columns_of_kind(const ReduceColumns<typename lane<V>::S>& a) {
  constexpr int L = lane<V>::n;
  int64_t c = 0;
  for (; c + 8 * L <= a.N; c += 8 * L) columns_from<K, V, 8, 1>(a, c, AllLanes{});
  for (; c + 2 * L <= a.N; c += 2 * L) columns_from<K, V, 2, 4>(a, c, AllLanes{});
  for (; c < a.N; c += L) columns_from<K, V, 1, 8>(a, c, SomeLanes{a.N - c < L ? int(a.N - c) : L});
}

template <class V>
static void reduce_columns_of(const ReduceColumns<typename lane<V>::S>& a) {
  switch (a.kind) {
    case Reduce::sum: return columns_of_kind<Reduce::sum, V>(a);
    case Reduce::prod: return columns_of_kind<Reduce::prod, V>(a);
    case Reduce::max: return columns_of_kind<Reduce::max, V>(a);
    case Reduce::min: return columns_of_kind<Reduce::min, V>(a);
    case Reduce::present: return columns_of_kind<Reduce::present, V>(a);
    case Reduce::absolute: return columns_of_kind<Reduce::absolute, V>(a);
    case Reduce::squares: return columns_of_kind<Reduce::squares, V>(a);
    case Reduce::exps: return columns_of_kind<Reduce::exps, V>(a);
    case Reduce::dot: return columns_of_kind<Reduce::dot, V>(a);
  }
}

// ---- the place of the first greatest or least element ----------------------------------------------------------------
// The least is the greatest of -x. Columns: every lane keeps its own. Rows: the extremum first, then its first place.
template <class V>
struct Best {
  using I = typename lane<V>::I;
  V value;
  I index;
  TG_ROW_FN void meet(V x, I at) {
    const auto better = either(gt(x, value), both(is_nan(x), invert(is_nan(value))));
    value = select(better, x, value);
    index = select(better, at, index);
  }
};
template <bool least, class V>
static __attribute__((noinline)) void best_columns(const ArgColumns<typename lane<V>::S>& a) {
  using I = typename lane<V>::I;
  constexpr int L = lane<V>::n;
  const Along<V> along{};
  auto columns = [&](int64_t c, auto count, int lanes) __attribute__((always_inline)) {
    Best<V> best{lowest<V>(), I{}};
    I at{};
    for (int64_t m = 0; m < a.M; m++, at += 1) {
      const V x = along.get(a.x + m * a.x_row + c, 0, count);
      best.meet(least ? -x : x, at);
    }
    for (int l = 0; l < lanes; l++) a.out[c + l] = best.index[l];
  };
  int64_t c = 0;
  for (; c + L <= a.N; c += L) columns(c, AllLanes{}, L);
  if (c < a.N) columns(c, SomeLanes{int(a.N - c)}, int(a.N - c));
}

template <bool least, class V>
static __attribute__((noinline)) void best_rows(const ArgRows<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  if (a.n < few_columns) {
    S tile[few_columns * L];
    for (int64_t r = 0; r < a.rows; r += L) {
      const int count = a.rows - r < L ? int(a.rows - r) : L;
      load_transposed<V>(a.x + r * a.x_row, a.x_row, count, int(a.n), tile);
      best_columns<least, V>({least, a.n, count, tile, L, a.out + r});
    }
    return;
  }
  constexpr Reduce kind = least ? Reduce::min : Reduce::max;
  const Along<V> row{a.n};
  constexpr int batch = 16;
  S extrema[batch];
  for (int64_t r = 0; r < a.rows; r++) {
    const S* x = a.x + r * a.x_row;
    if (r % batch == 0)
      rows_of_kind<kind, V>({kind, a.rows - r < batch ? a.rows - r : batch, a.n, x, a.x_row, nullptr, extrema});
    // NaN is the best if there is one; otherwise no element is NaN.
    const S best = extrema[r % batch];
    const V wanted = broadcast<V>(best);
    auto found = [&](int64_t i, auto k) __attribute__((always_inline)) {
      const V v = row.get(x, i, k);
      return either(eq(v, wanted), is_nan(v));
    };
    int64_t i = 0;
    while (i + L <= a.n && !any(found(i, AllLanes{}))) i += L;
    while (!(x[i] == best || x[i] != x[i])) i++;
    a.out[r] = i;
  }
}

template <class V>
static void arg_rows_of(const ArgRows<typename lane<V>::S>& a) {
  a.least ? best_rows<true, V>(a) : best_rows<false, V>(a);
}
template <class V>
static void arg_columns_of(const ArgColumns<typename lane<V>::S>& a) {
  a.least ? best_columns<true, V>(a) : best_columns<false, V>(a);
}

template <class V>
static void add_log_of(int64_t n, const typename lane<V>::S* sum, typename lane<V>::S* inout) {
  const Along<V> row{n};
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    row.put(inout, i, k, row.get(inout, i, k) + log(row.get(sum, i, k)));
  });
}
