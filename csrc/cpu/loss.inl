// Losses over logits (math/loss.h), laid over vectors Along or Across (rows.inl).

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

template <class V>
static void cross_entropy_backward_of(const CrossEntropyBackward<typename lane<V>::S>& a) {
  using S = typename lane<V>::S;
  using I = typename lane<V>::I;
  using Int = typename lane<I>::S;
  constexpr int L = lane<V>::n;
  const V smoothed = broadcast<V>(a.smoothed);
  if (a.classes > few_classes) {
    for (int64_t r = a.first; r < a.last; r++) {
      const int64_t c = a.targets.index[r];
      const bool counts = c != a.targets.ignore;
      const S weight = !counts ? S(0) : a.targets.weight ? a.targets.weight[c] : S(1);
      const TargetLanes<V> target{broadcast<I>(counts ? Int(c) : Int(-1)), broadcast<V>(weight)};
      cross_entropy_backward_row(Along<V>{a.classes}, a.x + r * a.x_row, target, broadcast<V>(a.lse[r]),
                                 broadcast<V>(a.scale[r * a.scale_step]), a.targets, smoothed, a.dx + r * a.classes);
    }
    return;
  }
  S tile[few_classes * L];
  for (int64_t r = a.first; r < a.last; r += L) {
    const int count = a.last - r < L ? int(a.last - r) : L;
    load_transposed<V>(a.x + r * a.x_row, a.x_row, count, int(a.classes), tile);
    const V scale = a.scale_step ? load_n<V>(a.scale + r, count) : broadcast<V>(*a.scale);
    cross_entropy_backward_row(Across<V, AllLanes>{a.classes, L, {}}, tile, target_lanes<V>(a.targets, r, count),
                               load_n<V>(a.lse + r, count), scale, a.targets, smoothed, tile);
    store_transposed<V>(tile, int(a.classes), count, a.dx + r * a.classes, a.classes);
  }
}

// ---- binary cross-entropy with logits ----------------------------------------------------------------------------------
template <class V>
static void bce_with_logits_of(const BceWithLogits<typename lane<V>::S>& a) {
  const Along<V> row{a.n};
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    const V weight = a.weight ? row.get(a.weight, i, k) : V{}, pos = a.pos_weight ? row.get(a.pos_weight, i, k) : V{};
    row.put(a.loss, i, k,
            bce_loss(row.get(a.x, i, k), row.get(a.target, i, k), a.weight != nullptr, weight, a.pos_weight != nullptr,
                     pos));
  });
}

template <class V>
static void bce_with_logits_backward_of(const BceWithLogitsBackward<typename lane<V>::S>& a) {
  const Along<V> row{a.n};
  row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
    const V weight = a.weight ? row.get(a.weight, i, k) : V{}, pos = a.pos_weight ? row.get(a.pos_weight, i, k) : V{};
    row.put(a.dx, i, k,
            bce_gradient(row.get(a.x, i, k), row.get(a.target, i, k), a.weight != nullptr, weight,
                         a.pos_weight != nullptr, pos, a.scale_step ? row.get(a.scale, i, k) : broadcast<V>(*a.scale)));
  });
}
