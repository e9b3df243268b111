// Losses over logits, one algorithm per row (see rows.h for the formulas).

// The target's class, its weight, and its logit, as vectors of what each lane's row has.
template <class V>
struct TargetLanes {
  typename lane<V>::I index;  // -1 where the row is ignored
  V weight;
};
template <class V>
TG_FN TargetLanes<V> target_lanes(const Targets<typename lane<V>::S>& t, int64_t row, int count) {
  using S = typename lane<V>::S;
  using Int = typename lane<typename lane<V>::I>::S;
  constexpr int L = lane<V>::n;
  alignas(64) Int index[L];
  alignas(64) S weight[L];
  for (int l = 0; l < L; l++) {
    const int64_t c = l < count ? t.index[row + l] : t.ignore;
    const bool counts = c != t.ignore;
    index[l] = counts ? Int(c) : Int(-1);
    weight[l] = !counts ? S(0) : t.weight ? t.weight[c] : S(1);
  }
  return {from_bits<typename lane<V>::I>(bits(load<V>((const S*)index))), load<V>(weight)};
}

// One row Along, or a tile of them Across: x is where its elements are, `logit` the target's (anything if ignored).
template <class Row, class V = typename Row::V, class S = typename Row::S>
TG_FN void cross_entropy_row(const Row& row, const S* x, const TargetLanes<V>& target, V logit, const Targets<S>& t,
                             V* loss, V* lse) {
  const V m = row.largest([&](int64_t i, auto k) __attribute__((always_inline)) { return row.get(x, i, k); });
  const V s =
      row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) { return acc + exp(row.get(x, i, k) - m); });
  const V l = log(s);
  *lse = m + l;
  V value = target.weight * (l - (logit - m));
  if (t.smoothing) {
    const V all = row.sum([&](V acc, int64_t i, auto k) __attribute__((always_inline)) {
      return fma(row.shared(t.weight, i, k), l - (row.get(x, i, k) - m), acc);
    });
    value = fma(broadcast<V>(t.share), all, broadcast<V>(t.keep) * value);
  }
  using I = typename lane<V>::I;
  *loss = select(lt(target.index, I{}), V{}, value);
}

template <class V>
static void cross_entropy_of(const CrossEntropy<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  V loss, lse;
  if (a.classes > few_classes) {
    for (int64_t r = a.first; r < a.last; r++) {
      const int64_t c = a.targets.index[r];
      const bool counts = c != a.targets.ignore;
      const S weight = !counts ? S(0) : a.targets.weight ? a.targets.weight[c] : S(1);
      const S* x = a.x + r * a.x_row;
      using I = typename lane<V>::I;
      const TargetLanes<V> target{counts ? I{} : I{} - 1, broadcast<V>(weight)};
      cross_entropy_row(Along<V>{a.classes}, x, target, broadcast<V>(counts ? x[c] : S(0)), a.targets, &loss, &lse);
      a.loss[r] = loss[0];
      a.lse[r] = lse[0];
      a.counted[r] = weight;
    }
    return;
  }
  S tile[few_classes * L], logit[L];
  for (int64_t r = a.first; r < a.last; r += L) {
    const int count = a.last - r < L ? int(a.last - r) : L;
    const S* x = a.x + r * a.x_row;
    load_transposed<V>(x, a.x_row, count, int(a.classes), tile);
    const TargetLanes<V> target = target_lanes<V>(a.targets, r, count);
    for (int l = 0; l < L; l++) {
      const int64_t c = l < count ? a.targets.index[r + l] : a.targets.ignore;
      logit[l] = c == a.targets.ignore ? S(0) : x[l * a.x_row + c];
    }
    cross_entropy_row(Across<V, AllLanes>{a.classes, L, {}}, tile, target, load<V>(logit), a.targets, &loss, &lse);
    store_n(a.loss + r, loss, count);
    store_n(a.lse + r, lse, count);
    store_n(a.counted + r, target.weight, count);
  }
}

template <class Row, class V = typename Row::V, class S = typename Row::S>
TG_FN void cross_entropy_backward_row(const Row& row, const S* x, const TargetLanes<V>& target, V lse, V scale,
                                      const CrossEntropyBackward<S>& a, S* dx) {
  using I = typename lane<V>::I;
  const Targets<S>& t = a.targets;
  const V hit = broadcast<V>(t.keep) * target.weight;
  const V q_sum = hit + broadcast<V>(a.smoothed);
  const auto ignored = lt(target.index, I{});
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    V q = select(row.is_at(i, target.index), hit, V{});
    if (t.smoothing) q = fma(broadcast<V>(t.share), row.shared(t.weight, i, k), q);
    const V d = fma(exp(row.get(x, i, k) - lse), q_sum, -q) * scale;
    row.put(dx, i, k, select(ignored, V{}, d));
  });
}

template <class V>
static void cross_entropy_backward_of(const CrossEntropyBackward<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  using I = typename lane<V>::I;
  using Int = typename lane<I>::S;
  constexpr int L = lane<V>::n;
  if (a.classes > few_classes) {
    for (int64_t r = a.first; r < a.last; r++) {
      const int64_t c = a.targets.index[r];
      const bool counts = c != a.targets.ignore;
      const S weight = !counts ? S(0) : a.targets.weight ? a.targets.weight[c] : S(1);
      const TargetLanes<V> target{broadcast<I>(counts ? Int(c) : Int(-1)), broadcast<V>(weight)};
      cross_entropy_backward_row(Along<V>{a.classes}, a.x + r * a.x_row, target, broadcast<V>(a.lse[r]),
                                 broadcast<V>(a.scale[r * a.scale_step]), a, a.dx + r * a.classes);
    }
    return;
  }
  S tile[few_classes * L];
  for (int64_t r = a.first; r < a.last; r += L) {
    const int count = a.last - r < L ? int(a.last - r) : L;
    load_transposed<V>(a.x + r * a.x_row, a.x_row, count, int(a.classes), tile);
    const V scale = a.scale_step ? load_n<V>(a.scale + r, count) : broadcast<V>(*a.scale);
    cross_entropy_backward_row(Across<V, AllLanes>{a.classes, L, {}}, tile, target_lanes<V>(a.targets, r, count),
                               load_n<V>(a.lse + r, count), scale, a, tile);
    store_transposed<V>(tile, int(a.classes), count, a.dx + r * a.classes, a.classes);
  }
}

// ---- binary cross-entropy with logits ----------------------------------------------------------------------------------
// 1 + t (pos_weight - 1): the weight of log-sigmoid(x)
template <class V>
TG_FN V positive_side(V t, V pos_weight) {
  const V one = broadcast<V>(1);
  return fma(t, pos_weight - one, one);
}

template <class V>
static void bce_with_logits_of(const BceWithLogits<typename lane<V>::S>& a) {
  const Along<V> row{a.n};
  const V one = broadcast<V>(1);
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    const V x = row.get(a.x, i, k), t = row.get(a.target, i, k);
    const V f = log1p(exp(-abs(x))) + select(lt(x, V{}), -x, V{});
    V loss = fma(one - t, x, a.pos_weight ? positive_side(t, row.get(a.pos_weight, i, k)) * f : f);
    if (a.weight) loss = loss * row.get(a.weight, i, k);
    row.put(a.loss, i, k, loss);
  });
}

template <class V>
static void bce_with_logits_backward_of(const BceWithLogitsBackward<typename lane<V>::S>& a) {
  const Along<V> row{a.n};
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    const V t = row.get(a.target, i, k), p = sigmoid(row.get(a.x, i, k));
    V d;
    if (a.pos_weight) {
      const V pos = row.get(a.pos_weight, i, k);
      d = fma(positive_side(t, pos), p, -(pos * t));
    } else {
      d = p - t;
    }
    if (a.weight) d = d * row.get(a.weight, i, k);
    row.put(a.dx, i, k, d * (a.scale_step ? row.get(a.scale, i, k) : broadcast<V>(*a.scale)));
  });
}
