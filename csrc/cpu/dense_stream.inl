// Products that read a matrix once: memory sets their pace, so it is read as it lies and never packed. Part of dense.inl.

// ---- few rows of A, B with its columns in memory: W of a layer, (out, in) ----------------------------------------
constexpr int64_t few_rows = dense_accumulators >= 24 ? 8 : 4;
constexpr int64_t far_bytes = 4 << 20;  // a B that comes from beyond the L2 cache: more than 16 rows at a time are too
constexpr int most_far_rows = 16;       // many streams for the hardware to foresee

template <class V>
TG_FN bool reads_turned(const Product<typename lane<V>::S>& g) {
  return !g.packed && g.b_k == 1 && g.b_n != 1 && g.M <= few_rows && g.N >= lane<V>::n && g.K >= lane<V>::n;
}

// MR rows times NV vectors of columns from n on. Squares of lanes x lanes numbers of B are turned in registers, each
// cache line read at one go: with rows of B a power of two apart, lines of one square share an L1 set.
template <class V, int S, int MR, int NV>
static __attribute__((noinline)) void turned_tile(const Product<typename lane<V>::S>& g, int64_t m, int64_t n) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n, E = block_numbers<V>, groups = L / E;
  const int64_t K = g.K, a_row = g.a_row, b_n = g.b_n;
  const T* a = g.a + m * a_row;
  const T* b = g.b + n * b_n;
  V chain[S][MR][NV];
  TG_UNROLL for (int s = 0; s < S; s++) {
    TG_UNROLL for (int i = 0; i < MR; i++) { TG_UNROLL for (int j = 0; j < NV; j++) chain[s][i][j] = V{}; }
  }
  if (g.bias) {
    TG_UNROLL for (int i = 0; i < MR; i++) {
      TG_UNROLL for (int j = 0; j < NV; j++) chain[0][i][j] = load<V>(g.bias + n + j * L);
    }
  }
  // The chain of term k, or -1: the remainder tells.
  auto step = [&](int64_t k, int of, int j, V column) __attribute__((always_inline)) {
    TG_UNROLL for (int s = 0; s < S; s++) {
      if (of >= 0 ? of == s : k % S == s) {
        TG_UNROLL for (int i = 0; i < MR; i++) {
          chain[s][i][j] = fma(broadcast<V>(a[i * a_row + k]), column, chain[s][i][j]);
        }
      }
    }
  };
  int64_t k = 0;
  for (; k + L <= K; k += L) {
    TG_UNROLL for (int j = 0; j < NV; j++) {
      V t[groups][E];
      TG_UNROLL for (int i = 0; i < E; i++) {
        TG_UNROLL for (int q = 0; q < groups; q++) t[q][i] = load_blocks<V>(b + j * L * b_n + k + q * E, b_n, i, L - 1);
      }
      TG_UNROLL for (int q = 0; q < groups; q++) {
        turn_blocks(t[q]);
        TG_UNROLL for (int c = 0; c < E; c++) step(k + q * E + c, L % S ? -1 : (q * E + c) % S, j, t[q][c]);
      }
    }
  }
  for (; k + E <= K; k += E) {
    TG_UNROLL for (int j = 0; j < NV; j++) {
      V t[E];
      load_turned(b + j * L * b_n + k, b_n, L, t);
      TG_UNROLL for (int c = 0; c < E; c++) step(k + c, -1, j, t[c]);
    }
  }
  for (; k < K; k++) {
    TG_UNROLL for (int j = 0; j < NV; j++) {
      V column = {};
      for (int l = 0; l < L; l++) column[l] = b[(j * L + l) * b_n + k];
      step(k, -1, j, column);
    }
  }
  TG_UNROLL for (int half = S / 2; half > 0; half /= 2) {
    TG_UNROLL for (int s = 0; s < half; s++) {
      TG_UNROLL for (int i = 0; i < MR; i++) {
        TG_UNROLL for (int j = 0; j < NV; j++) chain[s][i][j] += chain[s + half][i][j];
      }
    }
  }
  const bool relu = g.activation.kind == Fused::relu;
  TG_UNROLL for (int i = 0; i < MR; i++) {
    TG_UNROLL for (int j = 0; j < NV; j++)
        store(g.c + (m + i) * g.c_row + n + j * L, relu ? relu_lanes(chain[0][i][j]) : chain[0][i][j]);
  }
}

// Columns n_first .. n_end-1, at least a vector of them. The last vector may repeat columns of the one before.
template <class V, int S>
static void turned_columns(const Product<typename lane<V>::S>& g, int64_t n_first, int64_t n_end) {
  constexpr int L = lane<V>::n, NV = S == 1 && dense_accumulators >= 12 ? 2 : 1;
  constexpr int most = dense_accumulators >= 24 && S <= 2 ? 8 : 4;
  const bool is_far = g.N * g.K * int64_t(sizeof(typename lane<V>::S)) > far_bytes;
  const bool may_be_wide = NV > 1 && g.M < 8 && (!is_far || NV * L <= most_far_rows);
  for (int64_t n = n_first; n < n_end;) {
    const bool wide = may_be_wide && n + NV * L <= n_end;
    const int64_t from = least(n, n_end - L);
    for (int64_t m = 0; m < g.M;) {
      const int rows = largest_height(g.M - m, most);
      if (rows == 8) turned_tile<V, S, most, 1>(g, m, from);
      else if (rows >= 4) wide ? turned_tile<V, S, 4, NV>(g, m, n) : turned_tile<V, S, 4, 1>(g, m, from);
      else if (rows >= 2) wide ? turned_tile<V, S, 2, NV>(g, m, n) : turned_tile<V, S, 2, 1>(g, m, from);
      else wide ? turned_tile<V, S, 1, NV>(g, m, n) : turned_tile<V, S, 1, 1>(g, m, from);
      m += rows >= 8 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
    }
    n += wide ? NV * L : L;
  }
  if (g.activation.goes_aside()) apply_block(g, 0, g.M, n_first, n_end - n_first);
}
template <class V, int S>
static void product_turned(const Product<typename lane<V>::S>& g, int64_t tasks) {
  constexpr int64_t unit = 2 * lane<V>::n;
  const int64_t share = rounded_up((g.N + tasks - 1) / tasks, unit), parts = g.N / share > 1 ? g.N / share : 1;
  for_tasks(parts, [&](int64_t task) {  // the last one takes what is left
    turned_columns<V, S>(g, task * share, task + 1 == parts ? g.N : (task + 1) * share);
  });
}

// ---- rows of a matrix added up -------------------------------------------------------------------------------------
// sum[n] = fma(factor[r], row r [n], sum[n]) for one row after the other; without factors sum[n] = row r [n] + sum[n].
// Eight rows are read side by side, so that sums come from and go to L1 once for eight.
template <class V, bool Scaled, int R>
TG_FN void add_some_rows(const typename lane<V>::S* factor, const typename lane<V>::S* b, int64_t b_row, int64_t N,
                         typename lane<V>::S* sum) {
  constexpr int L = lane<V>::n;
  V f[R];
  if (Scaled) {
    TG_UNROLL for (int r = 0; r < R; r++) f[r] = broadcast<V>(factor[r]);
  }
  auto added = [&](V s, V row, int r) __attribute__((always_inline)) { return Scaled ? fma(f[r], row, s) : row + s; };
  int64_t n = 0;
  for (; n + L <= N; n += L) {
    V s = load<V>(sum + n);
    TG_UNROLL for (int r = 0; r < R; r++) s = added(s, load<V>(b + r * b_row + n), r);
    store(sum + n, s);
  }
  if (n < N) {
    const int left = int(N - n);
    V s = load_n<V>(sum + n, left);
    TG_UNROLL for (int r = 0; r < R; r++) s = added(s, load_n<V>(b + r * b_row + n, left), r);
    store_n(sum + n, s, left);
  }
}
template <class V, bool Scaled>
static __attribute__((noinline)) void add_rows(int64_t rows, const typename lane<V>::S* factor,
                                               const typename lane<V>::S* b, int64_t b_row, int64_t N,
                                               typename lane<V>::S* sum) {
  for (; rows >= 8; rows -= 8, b += 8 * b_row) {
    add_some_rows<V, Scaled, 8>(factor, b, b_row, N, sum);
    if (Scaled) factor += 8;
  }
  for (; rows > 0; rows--, b += b_row) {
    add_some_rows<V, Scaled, 1>(factor, b, b_row, N, sum);
    if (Scaled) factor++;
  }
}

// One row of A and a B whose rows are contiguous: dX of an event.
template <class T>
TG_FN bool reads_rows(const Product<T>& g) {
  return !g.packed && g.b_n == 1 && g.M == 1;
}
template <class V>
static void product_of_row(const Product<typename lane<V>::S>& g, int64_t tasks) {
  constexpr int64_t unit = 4 * lane<V>::n;
  const int64_t share = rounded_up((g.N + tasks - 1) / tasks, unit);
  for_tasks((g.N + share - 1) / share, [&](int64_t task) {
    const int64_t n = task * share, columns = least(share, g.N - n);
    for (int64_t i = n; i < n + columns; i++) g.c[i] = g.bias ? g.bias[i] : 0;
    add_rows<V, true>(g.K, g.a, g.b + n, g.b_k, columns, g.c + n);
    if (g.activation.kind == Fused::relu)
      for (int64_t i = n; i < n + columns; i++) g.c[i] = g.c[i] <= 0 ? 0 : g.c[i];
    if (g.activation.goes_aside()) apply_block(g, 0, 1, n, columns);
  });
}
