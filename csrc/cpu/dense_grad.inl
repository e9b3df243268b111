// Sums over the rows of a batch in the batch order: dW(N,K) = dY(M,N)^T X(M,K) and its bias. Part of dense.inl.
//
// In general D(Q,P) = A(M,Q)^T B(M,P), with P in the lanes. A tile of D goes through a shard in registers and joins the
// stack of the binary tree (order.h); the stack is all that exists besides the operands.

// One shard of a tile: `rows` terms, then `merges` entries below `top`, and the result where the last of them was.
template <class V, int MR, int NV>
static __attribute__((noinline)) void shard_tile(int64_t rows, const typename lane<V>::S* a, int64_t a_row,
                                                 const typename lane<V>::S* b, int64_t b_row, typename lane<V>::S* top,
                                                 int64_t entry, int merges) {
  constexpr int L = lane<V>::n;
  V acc[MR][NV];
  TG_UNROLL for (int i = 0; i < MR; i++) { TG_UNROLL for (int j = 0; j < NV; j++) acc[i][j] = V{}; }
  for (; rows > 0; rows--, a += a_row, b += b_row) {
    V row[NV];
    TG_UNROLL for (int j = 0; j < NV; j++) row[j] = load<V>(b + j * L);
    TG_UNROLL for (int i = 0; i < MR; i++) {
      const V s = broadcast<V>(a[i]);
      TG_UNROLL for (int j = 0; j < NV; j++) acc[i][j] = fma(s, row[j], acc[i][j]);
    }
  }
  for (; merges > 0; merges--) {
    top -= entry;
    TG_UNROLL for (int i = 0; i < MR; i++) {
      TG_UNROLL for (int j = 0; j < NV; j++) acc[i][j] = load<V>(top + (i * NV + j) * L) + acc[i][j];
    }
  }
  TG_UNROLL for (int i = 0; i < MR; i++) {
    TG_UNROLL for (int j = 0; j < NV; j++) store(top + (i * NV + j) * L, acc[i][j]);
  }
}

template <class V, int MR, int NV>
static constexpr auto shard_tile_if() -> decltype(&shard_tile<V, 1, 1>) {
  if constexpr (NV <= panel_vectors && MR <= tile_rows(1, NV)) return shard_tile<V, MR, NV>;
  else return nullptr;
}
template <class V>
static auto shard_tile_of(int vectors, int rows) {
#define TG_HEIGHTS(nv)                                                                                          \
  {                                                                                                             \
    shard_tile_if<V, 1, nv>(), shard_tile_if<V, 2, nv>(), shard_tile_if<V, 3, nv>(), shard_tile_if<V, 4, nv>(), \
        shard_tile_if<V, 6, nv>(), shard_tile_if<V, 8, nv>(), shard_tile_if<V, 12, nv>()                        \
  }
  static constexpr decltype(&shard_tile<V, 1, 1>) table[4][7] = {TG_HEIGHTS(1), TG_HEIGHTS(2), TG_HEIGHTS(3),
                                                                 TG_HEIGHTS(4)};
#undef TG_HEIGHTS
  return table[vectors - 1][rows <= 4 ? rows - 1 : rows == 6 ? 4 : rows == 8 ? 5 : 6];
}

template <class T>
struct BatchProduct {
  int64_t M, Q, P;
  const T* a;  // (M,Q), unit stride along Q
  int64_t a_row;
  const T* b;  // (M,P), unit stride along P
  int64_t b_row;
  T* d;  // (Q,P), unit stride along P
  int64_t d_row;
  int64_t shard;  // rows
};
TG_FN int64_t shards_of(int64_t M, int64_t shard) { return (M + shard - 1) / shard; }

// Rows of a shard that share few sets of L1 are copied side by side before tiles read them again and again: rows whose
// distance is a multiple of a large power of two.
TG_FN bool crowded(int64_t row_bytes) { return row_bytes >= 2048 && (row_bytes & 511) == 0; }

constexpr int64_t stack_share = 512 * 1024;  // bytes of L2 for the trees of the panels that share a copy of A

// Rows q_first .. q_end-1 and columns p_first .. p_end-1 (whole panels) of D over some shards, into d (whole vectors if
// `padded`).
template <class V>
static void batch_panels(const BatchProduct<typename lane<V>::S>& g, int64_t q_first, int64_t q_end, int64_t p_first,
                         int64_t p_end, int64_t shard_first, int64_t shard_end, typename lane<V>::S* d, int64_t d_row,
                         bool padded) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n, W = panel_vectors * L;
  const int64_t shard = g.shard, height_all = q_end - q_first, panels = (p_end - p_first + W - 1) / W;
  const int64_t tree = (tree_depth(shard_end - shard_first) + 1) * height_all * W;
  T* stacks = buffer<T>(tree_slot, panels * tree);
  const int64_t b_end = (g.M - 1) * g.b_row + g.P;  // tiles read whole vectors, but not beyond B
  const bool copies_b = height_all >= 24 && crowded(g.b_row * int64_t(sizeof(T)));
  const bool copies_a = height_all >= 24 && crowded(g.a_row * int64_t(sizeof(T)));
  int entries = 0;
  for (int64_t s = shard_first; s < shard_end; s++) {
    const int64_t m = s * shard, rows = least(shard, g.M - m);
    const T* a = g.a + m * g.a_row + q_first;
    int64_t a_row = g.a_row;
    if (copies_a) {
      a_row = rounded_up(height_all, L);
      T* copy = buffer<T>(narrow_out_slot, rows * a_row);
      pack_panel<V>(a, g.a_row, 1, rows, height_all, a_row / L, copy);
      a = copy;
    }
    const int merges = tree_merges(s - shard_first);
    for (int64_t j = 0; j < panels; j++) {
      const int64_t p = p_first + j * W;
      const int columns = int(least(p_end - p, W)), vectors = (columns + L - 1) / L, width = vectors * L;
      const int most = tile_rows(1, vectors);
      const T* b = g.b + m * g.b_row + p;
      int64_t b_row = g.b_row;
      if (copies_b || (m + rows - 1) * g.b_row + p + width > b_end) {
        T* copy = buffer<T>(rows_slot, rows * width);
        pack_panel<V>(b, g.b_row, 1, rows, columns, vectors, copy);
        b = copy;
        b_row = width;
      }
      const int64_t entry = height_all * width;
      T* top = stacks + j * tree + entries * entry;
      for (int64_t q = 0; q < height_all;) {
        const int height = largest_height(height_all - q, most);
        shard_tile_of<V>(vectors, height)(rows, a + q, a_row, b, b_row, top, entry, merges);
        top += height * width;
        q += height;
      }
    }
    entries += 1 - merges;
  }
  for (int64_t j = 0; j < panels; j++) {
    const int columns = int(least(p_end - p_first - j * W, W)), vectors = (columns + L - 1) / L, width = vectors * L;
    const int64_t entry = height_all * width;
    for (int64_t q = 0; q < height_all; q++) {
      T* to = d + q * d_row + j * W;
      const T* from = stacks + j * tree + q * width;
      for (int i = 0; i < vectors; i++, from += L) {
        V sum = load<V>(from + (entries - 1) * entry);
        for (int e = entries - 2; e >= 0; e--) sum = load<V>(from + e * entry) + sum;
        if (padded || (i + 1) * L <= columns) store(to + i * L, sum);
        else store_n(to + i * L, sum, columns - i * L);
      }
    }
  }
}

template <class V>
static void batch_product(const BatchProduct<typename lane<V>::S>& g) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n, W = panel_vectors * L;
  if (g.M <= 0) {
    for (int64_t q = 0; q < g.Q; q++)
      for (int64_t p = 0; p < g.P; p++) g.d[q * g.d_row + p] = T(0);
    return;
  }
  constexpr int64_t q_share = 96;  // rows of D that share a panel of B while it is in L1
  const int64_t panels = (g.P + W - 1) / W, groups = (g.Q + q_share - 1) / q_share, shards = shards_of(g.M, g.shard);
  const int64_t tasks = tasks_for(2.0 * double(g.M) * double(g.Q) * double(g.P));
  if (tasks == 1 || panels * groups >= tasks || shards < 4) {
    int64_t together = 1;  // panels that share a copy of A
    if (crowded(g.a_row * int64_t(sizeof(T)))) {
      const int64_t tree = (tree_depth(shards) + 1) * least(q_share, g.Q) * int64_t(W * sizeof(T));
      together = tree < stack_share ? least(stack_share / tree, panels) : 1;
      while (together > 1 && (panels + together - 1) / together * groups < tasks) together--;
    }
    const int64_t across = (panels + together - 1) / together;
    auto piece = [&](int64_t i) {
      const int64_t q = i / across * q_share, p = i % across * together * W;
      batch_panels<V>(g, q, least(q + q_share, g.Q), p, least(p + together * W, g.P), 0, shards, g.d + q * g.d_row + p,
                      g.d_row, false);
    };
    if (tasks > 1) return for_tasks(across * groups, piece);
    for (int64_t i = 0; i < across * groups; i++) piece(i);
    return;
  }
  const int64_t pieces = panels * groups;
  // Few pieces, many rows: cut the shards into blocks of a power of two, each a complete subtree (but for the last).
  int64_t block = 1;
  while (block * tasks < shards * pieces && block * 2 < shards) block *= 2;
  const int64_t blocks = (shards + block - 1) / block, width = rounded_up(g.P, W), size = g.Q * width;
  T* partial = buffer<T>(packed_b_slot, blocks * size);
  for_tasks(pieces * blocks, [&](int64_t i) {
    const int64_t part = i / pieces, q = i % pieces / panels * q_share, p = i % pieces % panels * W;
    batch_panels<V>(g, q, least(q + q_share, g.Q), p, least(p + W, g.P), part * block,
                    least((part + 1) * block, shards), partial + part * size + q * width + p, width, true);
  });
  const int64_t complete = shards / block;  // the rest joins at the end, as the leftovers that it is
  for (int64_t q = 0; q < g.Q; q++)
    for (int64_t p = 0; p < g.P; p += L) {
      V entry[64];
      int entries = 0;
      for (int64_t part = 0; part < blocks; part++) {
        V sum = load<V>(partial + part * size + q * width + p);
        if (part < complete)
          for (int merges = tree_merges(part); merges > 0; merges--) sum = entry[--entries] + sum;
        entry[entries++] = sum;
      }
      V sum = entry[entries - 1];
      for (int e = entries - 2; e >= 0; e--) sum = entry[e] + sum;
      store_n(g.d + q * g.d_row + p, sum, int(least(L, g.P - p)));
    }
}

// ---- the sums of the columns --------------------------------------------------------------------------------------
// Columns n .. n + columns - 1, whole rows of them at a time.
template <class V>
static void column_sums(const DenseGradWeight<typename lane<V>::S>& g, int64_t n, int64_t columns) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  const int64_t shard = g.shard, shards = shards_of(g.M, g.shard), width = rounded_up(columns, L);
  T* stack = buffer<T>(tree_slot, (tree_depth(shards) + 1) * width);
  int entries = 0;
  auto merge = [&] {  // the two topmost entries
    entries--;
    T* low = stack + (entries - 1) * width;
    for (int64_t i = 0; i < width; i += L) store(low + i, load<V>(low + i) + load<V>(low + width + i));
  };
  for (int64_t s = 0; s < shards; s++) {
    T* top = stack + entries++ * width;
    for (int64_t i = 0; i < width; i += L) store(top + i, V{});
    add_rows<V, false>(least(shard, g.M - s * shard), nullptr, g.dy + s * shard * g.dy_row + n, g.dy_row, columns, top);
    for (int merges = tree_merges(s); merges > 0; merges--) merge();
  }
  while (entries > 1) merge();
  for (int64_t i = 0; i < columns; i++) g.db[n + i] = stack[i];
}
// At most a vector of columns: a shard is one chain of adds, so four shards run side by side.
template <class V>
static void narrow_column_sums(const DenseGradWeight<typename lane<V>::S>& g) {
  constexpr int side_by_side = 4;
  const int columns = int(g.N);
  const int64_t shard = g.shard, shards = shards_of(g.M, g.shard);
  V stack[64];
  int entries = 0;
  for (int64_t s = 0; s < shards; s += side_by_side) {
    V sum[side_by_side] = {};
    const auto* y = g.dy + s * shard * g.dy_row;
    const int64_t step = shard * g.dy_row, rows = g.M - s * shard;
    int64_t r = 0;
    for (; r < least(shard, rows - (side_by_side - 1) * shard); r++, y += g.dy_row) {
      TG_UNROLL for (int i = 0; i < side_by_side; i++) sum[i] = load_n<V>(y + i * step, columns) + sum[i];
    }
    for (; r < least(shard, rows); r++, y += g.dy_row)
      for (int i = 0; i < side_by_side && i * shard + r < rows; i++) sum[i] = load_n<V>(y + i * step, columns) + sum[i];
    for (int i = 0; i < side_by_side && s + i < shards; i++) {
      V top = sum[i];
      for (int merges = tree_merges(s + i); merges > 0; merges--) top = stack[--entries] + top;
      stack[entries++] = top;
    }
  }
  V sum = stack[entries - 1];
  for (int e = entries - 2; e >= 0; e--) sum = stack[e] + sum;
  store_n(g.db, sum, columns);
}
// ---- one event: dW is an outer product ----------------------------------------------------------------------------
template <class V>
static void outer_product(const BatchProduct<typename lane<V>::S>& g) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  const int64_t tasks = tasks_for(2.0 * double(g.Q) * double(g.P)), share = (g.Q + tasks - 1) / tasks;
  for_tasks((g.Q + share - 1) / share, [&](int64_t task) {
    for (int64_t q = task * share; q < least((task + 1) * share, g.Q); q++) {
      const V s = broadcast<V>(g.a[q]);
      T* d = g.d + q * g.d_row;
      int64_t p = 0;
      for (; p + L <= g.P; p += L) store(d + p, fma(s, load<V>(g.b + p), V{}));
      if (p < g.P) store_n(d + p, fma(s, load_n<V>(g.b + p, int(g.P - p)), V{}), int(g.P - p));
    }
  });
}

template <class V>
static void grad_weight(const DenseGradWeight<typename lane<V>::S>& g) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  if (g.N <= 0) return;
  if (g.dw && g.K > 0) {
    if (g.M == 1) {
      outer_product<V>({1, g.N, g.K, g.dy, g.dy_row, g.x, g.x_row, g.dw, g.dw_row, g.shard});
    } else if (rounded_up(g.K, L) * g.N <= rounded_up(g.N, L) * g.K) {
      batch_product<V>({g.M, g.N, g.K, g.dy, g.dy_row, g.x, g.x_row, g.dw, g.dw_row, g.shard});
    } else {  // N fills the lanes better: dW^T = X^T dY, then turned
      const int64_t row = rounded_up(g.N, L);
      T* turned = buffer<T>(copied_a_slot, g.K * row);
      batch_product<V>({g.M, g.K, g.N, g.x, g.x_row, g.dy, g.dy_row, turned, row, g.shard});
      for (int64_t k = 0; k < g.K; k += L)
        copy_transposed<V>(turned + k * row, row, int(least(L, g.K - k)), g.N, g.dw + k, g.dw_row);
    }
  }
  if (!g.db) return;
  const int64_t tasks = tasks_for(double(g.M) * double(g.N)), block = tasks == 1 ? 2048 : 512;  // sums that stay in L1
  if (g.M > 0 && g.N <= L && tasks == 1) {
    narrow_column_sums<V>(g);
  } else if (g.M > 0 && (g.N > 4 * L || g.M <= 64) && (tasks == 1 || g.N >= 2 * block)) {
    for_tasks((g.N + block - 1) / block,
              [&](int64_t task) { column_sums<V>(g, task * block, least(block, g.N - task * block)); });
  } else {  // fma(1, x, c) is x + c
    const T one = 1;
    batch_product<V>({g.M, 1, g.N, &one, 0, g.dy, g.dy_row, g.db, g.N, g.shard});
  }
}
