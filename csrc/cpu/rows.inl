// What the kernels along rows share: two ways to lay a row over vectors, sums in the row order for both, and the
// transpose that turns one into the other. Included in the namespace of an ISA by the sources of csrc/cpu/isa/rows_*.cpp.
//
//   Along   the elements of one row lie side by side: a vector holds neighbours
//   Across  a vector holds one element each of as many rows as it has lanes
//
// A kernel written over get/put/sum/largest runs on both with the same bits: the order of a sum is that of the row.

#define TG_ROW_FN inline __attribute__((always_inline))

// How many lanes of a vector count.
struct AllLanes {};
struct SomeLanes {
  int n;
};

// A sum of pieces joined in the binary tree of math/order.h.
template <class Piece, class Join>
struct PieceTree {
  Piece entry[48];
  int entries = 0;
  int64_t pieces = 0;
  Join join;
  TG_ROW_FN explicit PieceTree(Join join) : join(join) {}
  TG_ROW_FN void push(Piece piece) {
    for (int merges = tree_merges(pieces++); merges > 0; merges--) piece = join(entry[--entries], piece);
    entry[entries++] = piece;
  }
  TG_ROW_FN Piece total() {  // of at least one piece
    Piece sum = entry[--entries];
    while (entries > 0) sum = join(entry[--entries], sum);
    return sum;
  }
};

template <class V>
TG_FN V add(V a, V b) {
  return a + b;
}
// The greatest where nothing is NaN and the sign of zero does not matter; cheaper than maximum().
template <class V>
TG_FN V larger(V a, V b) {
  return select(gt(b, a), b, a);
}
template <class V>
TG_FN V lowest() {
  using S = typename lane<V>::S;
  return broadcast<V>(-S(__builtin_inf()));
}

constexpr int row_block = row_lanes * row_shard;  // elements after which every lane has finished a shard

template <class Vector>
struct Along {
  using V = Vector;
  using S = typename lane<V>::S;
  static constexpr int L = lane<V>::n;
  int64_t n;

  TG_ROW_FN V get(const S* p, int64_t i, AllLanes) const { return load<V>(p + i); }
  TG_ROW_FN V get(const S* p, int64_t i, SomeLanes k) const { return load_n<V>(p + i, k.n); }
  TG_ROW_FN void put(S* p, int64_t i, AllLanes, V v) const { store(p + i, v); }
  TG_ROW_FN void put(S* p, int64_t i, SomeLanes k, V v) const { store_n(p + i, v, k.n); }
  // A value per element that all rows share, such as a class weight.
  template <class Count>
  TG_ROW_FN V shared(const S* p, int64_t i, Count k) const {
    return get(p, i, k);
  }
  // Is this element i + lane the one at `place` (equal in all lanes)?
  TG_ROW_FN typename lane<V>::M is_at(int64_t i, typename lane<V>::I place) const {
    typename lane<V>::I index;
    for (int l = 0; l < L; l++) index[l] = l;
    return eq(index, place - broadcast<typename lane<V>::I>(typename lane<typename lane<V>::I>::S(i)));
  }

  template <class F>
  TG_ROW_FN void each(F f) const {
    int64_t i = 0;
    for (; i + L <= n; i += L) f(i, AllLanes{});
    if (i < n) f(i, SomeLanes{int(n - i)});
  }

  // 16 elements from i on, or the count < 16 last ones
  template <class Step>
  TG_ROW_FN void sixteen(row16<V>& acc, int64_t i, Step step) const {
    for (int j = 0; j < row16<V>::n; j++) acc.v[j] = step(acc.v[j], i + j * L, AllLanes{});
  }
  template <class Step>
  TG_ROW_FN void fewer(row16<V>& acc, int64_t i, int count, Step step) const {
    for (int j = 0; j < row16<V>::n; j++) {
      if (count <= j * L) break;
      const int k = count < (j + 1) * L ? count - j * L : L;
      acc.v[j] = select(first_lanes<V>(k), step(acc.v[j], i + j * L, SomeLanes{k}), acc.v[j]);
    }
  }
  // step(acc, i, count) adds the elements i .. i + lanes - 1 to acc; the total stands in every lane.
  template <class Step>
  TG_ROW_FN V sum(Step step) const {
    PieceTree<row16<V>, row16<V> (*)(row16<V>, row16<V>)> tree(
        [](row16<V> a, row16<V> b) __attribute__((always_inline)) { return row16_join(a, b, add<V>); });
    row16<V> acc = {};
    for (int64_t block = 0; block < n; block += row_block) {
      const int64_t end = n - block < row_block ? n : block + row_block;
      int64_t i = block;
      acc = {};
      for (; i + row_lanes <= end; i += row_lanes) sixteen(acc, i, step);
      if (i < end) fewer(acc, i, int(end - i), step);
      if (n > row_block) tree.push(acc);
    }
    if (n > row_block) acc = tree.total();
    return broadcast<V>(row16_fold(acc, add<V>));
  }
  // The greatest of value(i, count), in every lane; which of equals, and what beside NaN, is not specified.
  template <class Value>
  TG_ROW_FN V largest(Value value) const {
    V m[4] = {lowest<V>(), lowest<V>(), lowest<V>(), lowest<V>()};
    int64_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L)
      for (int j = 0; j < 4; j++) m[j] = larger(m[j], value(i + j * L, AllLanes{}));
    for (; i + L <= n; i += L) m[0] = larger(m[0], value(i, AllLanes{}));
    if (i < n) {
      const SomeLanes k{int(n - i)};
      m[1] = larger(m[1], select(first_lanes<V>(k.n), value(i, k), m[1]));
    }
    return broadcast<V>(fold_lanes(larger(larger(m[0], m[1]), larger(m[2], m[3])), larger<V>));
  }
};

// Element i of the rows at p: p + i * stride, `lanes` rows side by side.
template <class Vector, class Lanes>
struct Across {
  using V = Vector;
  using S = typename lane<V>::S;
  int64_t n, stride;
  Lanes lanes;

  template <class Count>
  TG_ROW_FN V get(const S* p, int64_t i, Count) const {
    if constexpr (__is_same(Lanes, AllLanes)) return load<V>(p + i * stride);
    else return load_n<V>(p + i * stride, lanes.n);
  }
  template <class Count>
  TG_ROW_FN void put(S* p, int64_t i, Count, V v) const {
    if constexpr (__is_same(Lanes, AllLanes)) store(p + i * stride, v);
    else store_n(p + i * stride, v, lanes.n);
  }
  template <class Count>
  TG_ROW_FN V shared(const S* p, int64_t i, Count) const {
    return broadcast<V>(p[i]);
  }
  TG_ROW_FN typename lane<V>::M is_at(int64_t i, typename lane<V>::I place) const {
    return eq(broadcast<typename lane<V>::I>(typename lane<typename lane<V>::I>::S(i)), place);
  }
  template <class F>
  TG_ROW_FN void each(F f) const {
    for (int64_t i = 0; i < n; i++) f(i, AllLanes{});
  }
  struct Lanes16 {
    V v[row_lanes];
  };
  template <class Step>
  TG_ROW_FN V sum(Step step) const {
    PieceTree<Lanes16, Lanes16 (*)(const Lanes16&, const Lanes16&)> tree([](const Lanes16& a, const Lanes16& b) {
      Lanes16 c;
      for (int l = 0; l < row_lanes; l++) c.v[l] = a.v[l] + b.v[l];
      return c;
    });
    Lanes16 acc = {};
    for (int64_t block = 0; block < n; block += row_block) {
      const int64_t end = n - block < row_block ? n : block + row_block;
      acc = {};
      for (int64_t i = block; i < end; i++) {
        V& lane = acc.v[i % row_lanes];
        lane = step(lane, i, AllLanes{});
      }
      if (n > row_block) tree.push(acc);
    }
    if (n > row_block) acc = tree.total();
    for (int half = row_lanes / 2; half > 0; half /= 2)
      for (int l = 0; l < half; l++) acc.v[l] = acc.v[l] + acc.v[l + half];
    return acc.v[0];
  }
  template <class Value>
  TG_ROW_FN V largest(Value value) const {
    V m[4] = {lowest<V>(), lowest<V>(), lowest<V>(), lowest<V>()};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
      for (int j = 0; j < 4; j++) m[j] = larger(m[j], value(i + j, AllLanes{}));
    for (; i < n; i++) m[0] = larger(m[0], value(i, AllLanes{}));
    return larger(larger(m[0], m[1]), larger(m[2], m[3]));
  }
};

// ---- transposes ----------------------------------------------------------------------------------------------------
// One stage: where bit H of the lane differs from bit H of the row, the two rows change places.
#if defined(__clang__)
template <int... J>
struct Lane_list {};
template <class, int... J>
using Lane_sequence = Lane_list<J...>;
template <int H, int L, class V, int... J>
TG_FN void exchange_lanes(V& a, V& b, Lane_list<J...>) {
  const V low = __builtin_shufflevector(a, b, ((J & H) ? L + J - H : J)...);
  b = __builtin_shufflevector(a, b, ((J & H) ? L + J : J + H)...);
  a = low;
}
template <int H, class V>
TG_FN void exchange(V& a, V& b) {
  exchange_lanes<H, lane<V>::n>(a, b, __make_integer_seq<Lane_sequence, int, lane<V>::n>{});
}
#else
template <int H, class V>
TG_FN void exchange(V& a, V& b) {
  constexpr int L = lane<V>::n;
  typename lane<V>::I low, high;
  for (int j = 0; j < L; j++) {
    low[j] = j & H ? L + j - H : j;
    high[j] = j & H ? L + j : j + H;
  }
  const V first = __builtin_shuffle(a, b, low);
  b = __builtin_shuffle(a, b, high);
  a = first;
}
#endif
template <int H, class V>
TG_FN void transpose_stage(V* r) {
#if defined(__clang__)
#pragma clang loop unroll(full)
#else
#pragma GCC unroll 16
#endif
  for (int i = 0; i < lane<V>::n; i++)
    if (!(i & H)) exchange<H>(r[i], r[i + H]);
}
template <class V>
TG_FN void transpose(V* r) {  // as many vectors as lanes
  if constexpr (lane<V>::n >= 16) transpose_stage<8>(r);
  if constexpr (lane<V>::n >= 8) transpose_stage<4>(r);
  if constexpr (lane<V>::n >= 4) transpose_stage<2>(r);
  transpose_stage<1>(r);
}

// tile(n, lanes) <- rows(count <= lanes, n) with `row` between rows; lanes without a row are zero
template <class V>
static __attribute__((noinline)) void load_transposed(const typename lane<V>::S* rows, int64_t row, int count, int n,
                                                      typename lane<V>::S* tile) {
  constexpr int L = lane<V>::n;
  for (int c = 0; c < n; c += L) {
    const int k = n - c < L ? n - c : L;
    V r[L];
    if (count == L)
      for (int i = 0; i < L; i++) r[i] = load_n<V>(rows + i * row + c, k);
    else
      for (int i = 0; i < L; i++) r[i] = i < count ? load_n<V>(rows + i * row + c, k) : V{};
    transpose(r);
    for (int i = 0; i < k; i++) store(tile + (c + i) * L, r[i]);
  }
}
template <class V>
static __attribute__((noinline)) void store_transposed(const typename lane<V>::S* tile, int n, int count,
                                                       typename lane<V>::S* rows, int64_t row) {
  constexpr int L = lane<V>::n;
  for (int c = 0; c < n; c += L) {
    const int k = n - c < L ? n - c : L;
    V r[L];
    for (int i = 0; i < L; i++) r[i] = i < k ? load<V>(tile + (c + i) * L) : V{};
    transpose(r);
    for (int i = 0; i < count; i++) store_n(rows + i * row + c, r[i], k);
  }
}
