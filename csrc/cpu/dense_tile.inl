// The micro-kernel of every dense product: one tile of C = A B in the dense order. Part of dense.inl.
//
// A tile keeps MR rows x NV vectors x CR chains in registers. With S > CR chains it makes S / CR passes over k, each
// for every (S/CR)-th chain, and joins the passes in the order of the fold by halves.

// Registers for accumulators; the rest hold NV vectors of B and a broadcast of A.
#if defined(TG_ISA_AVX512) || defined(__aarch64__)
constexpr int dense_accumulators = 24;
constexpr int panel_vectors = 4;
#elif defined(TG_ISA_AVX2)
constexpr int dense_accumulators = 12;
constexpr int panel_vectors = 2;
#else  // a software fma leaves no registers worth planning for
constexpr int dense_accumulators = 2;
constexpr int panel_vectors = 1;
#endif

template <class T>
struct DenseTile {
  int64_t K;
  const T* a;  // a(row, k) = a[row * a_row + k]
  int64_t a_row;
  const T* b;  // row k of B: b + k * b_k, then vector after vector; panels b_panel apart
  int64_t b_k, b_panel;
  const T* start;  // where chain 0 starts (null: +0): a vector per column, start_row apart from row to row,
  int64_t start_row;
  bool start_scalar;  // or one scalar per row
  T* c;
  int64_t c_row;
  int64_t blocks;  // of rows: the tile is repeated down A and C
  int columns;     // of the last vector, 1 .. lanes
  bool relu;
  Fused slope;  // of what lies at slope_of, rows slope_row apart; or nothing
  const T* slope_of;
  int64_t slope_row;
};

// The gradient times the derivative, as the rows of pointwise.def have it: of relu at x, of tanh and sigmoid where they are y.
template <class V>
TG_FN V times_slope(V gradient, V at, Fused kind) {
  const V one = broadcast<V>(1);
  if (kind == Fused::relu_slope) return select(gt(at, V{}), gradient, copysign(V{}, gradient));
  if (kind == Fused::tanh_slope) return gradient * fma(-at, at, one);
  return gradient * (at * (one - at));
}

template <int bits>
TG_FN constexpr int reversed(int i) {
  int r = 0;
  for (int b = 1; b < bits; b *= 2, i >>= 1) r = 2 * r + (i & 1);
  return r;
}

// MR rows, P panels of NV vectors (the last of them NL), S chains of which CR at a time.
template <class V, int S, int CR, int MR, int P, int NV, int NL>
static __attribute__((noinline)) void dense_tile(const DenseTile<typename lane<V>::S>& t) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n, W = NV * (P - 1) + NL, passes = S / CR;
  // Copies: the compiler takes every store to C for a possible change of t.
  const int64_t K = t.K, a_row = t.a_row, b_k = t.b_k, b_panel = t.b_panel, start_row = t.start_row, c_row = t.c_row;
  const T* const b_first = t.b;
  const int columns = t.columns;
  const bool start_scalar = t.start_scalar, relu = t.relu;
  const Fused slope = t.slope;
  const int64_t slope_row = t.slope_row;
  const T* slope_of = t.slope_of;
  const T* block_a = t.a;
  const T* start = t.start;
  T* c = t.c;
  auto step = [&](V(&chain)[MR][W], const T* a, const T* b) __attribute__((always_inline)) {
    V row[W];
    TG_UNROLL for (int j = 0; j < W; j++) row[j] = load<V>(b + j / NV * b_panel + j % NV * L);
    TG_UNROLL for (int i = 0; i < MR; i++) {
      const V s = broadcast<V>(a[i * a_row]);
      TG_UNROLL for (int j = 0; j < W; j++) chain[i][j] = fma(s, row[j], chain[i][j]);
    }
  };
  for (int64_t block = t.blocks; block > 0; block--) {
    V kept[passes > 2 ? 2 : 1][MR][W];  // results of earlier passes
    V acc[CR][MR][W];
    for (int pass = 0; pass < passes; pass++) {
      const int first = reversed<passes>(pass);  // this pass owns the chains first, first + passes, ...
      TG_UNROLL for (int s = 0; s < CR; s++) {
        TG_UNROLL for (int i = 0; i < MR; i++) { TG_UNROLL for (int j = 0; j < W; j++) acc[s][i][j] = V{}; }
      }
      if (start && pass == 0) {
        if (start_scalar) {
          TG_UNROLL for (int i = 0; i < MR; i++) {
            TG_UNROLL for (int j = 0; j < W; j++) acc[0][i][j] = broadcast<V>(start[i]);
          }
        } else if (columns == L) {
          TG_UNROLL for (int i = 0; i < MR; i++) {
            TG_UNROLL for (int j = 0; j < W; j++) acc[0][i][j] = load<V>(start + i * start_row + j * L);
          }
        } else {
          TG_UNROLL for (int i = 0; i < MR; i++) {
            TG_UNROLL for (int j = 0; j < W - 1; j++) acc[0][i][j] = load<V>(start + i * start_row + j * L);
            acc[0][i][W - 1] = load_n<V>(start + i * start_row + (W - 1) * L, columns);
          }
        }
      }
      const T* a = block_a + first;
      const T* b = b_first + first * b_k;
      for (int64_t k = K / S; k > 0; k--) {
        TG_UNROLL for (int s = 0; s < CR; s++) step(acc[s], a + s * passes, b + s * passes * b_k);
        a += S;
        b += S * b_k;
      }
      if constexpr (S > 1) {
        const int rest = int(K % S);
        TG_UNROLL for (int s = 0; s < CR; s++) {
          if (first + s * passes < rest) step(acc[s], a + s * passes, b + s * passes * b_k);
        }
      }
      TG_UNROLL for (int half = CR / 2; half > 0; half /= 2) {
        TG_UNROLL for (int s = 0; s < half; s++) {
          TG_UNROLL for (int i = 0; i < MR; i++) {
            TG_UNROLL for (int j = 0; j < W; j++) acc[s][i][j] += acc[s + half][i][j];
          }
        }
      }
      if constexpr (passes > 1) {
        int top = 0;  // the passes so far, as in the tree of order.h
        for (int bits = pass; bits; bits &= bits - 1) top++;
        for (int merges = tree_merges(pass); merges > 0; merges--) {
          top--;
          TG_UNROLL for (int i = 0; i < MR; i++) {
            TG_UNROLL for (int j = 0; j < W; j++) acc[0][i][j] = kept[top][i][j] + acc[0][i][j];
          }
        }
        if (pass < passes - 1) {
          TG_UNROLL for (int i = 0; i < MR; i++) {
            TG_UNROLL for (int j = 0; j < W; j++) kept[top][i][j] = acc[0][i][j];
          }
        }
      }
    }
    if (relu) {
      TG_UNROLL for (int i = 0; i < MR; i++) {
        TG_UNROLL for (int j = 0; j < W; j++) acc[0][i][j] = relu_lanes(acc[0][i][j]);
      }
    }
    if (slope != Fused::nothing) {
      TG_UNROLL for (int i = 0; i < MR; i++) {
        const T* at = slope_of + i * slope_row;
        TG_UNROLL for (int j = 0; j < W - 1; j++) acc[0][i][j] = times_slope(acc[0][i][j], load<V>(at + j * L), slope);
        acc[0][i][W - 1] = times_slope(acc[0][i][W - 1], load_n<V>(at + (W - 1) * L, columns), slope);
      }
      slope_of += MR * slope_row;
    }
    if (columns == L) {
      TG_UNROLL for (int i = 0; i < MR; i++) {
        TG_UNROLL for (int j = 0; j < W; j++) store(c + i * c_row + j * L, acc[0][i][j]);
      }
    } else {
      TG_UNROLL for (int i = 0; i < MR; i++) {
        TG_UNROLL for (int j = 0; j < W - 1; j++) store(c + i * c_row + j * L, acc[0][i][j]);
        store_n(c + i * c_row + (W - 1) * L, acc[0][i][W - 1], columns);
      }
    }
    block_a += MR * a_row;
    c += MR * c_row;
    if (start) start += MR * start_row;
  }
}

// ---- which tiles there are -----------------------------------------------------------------------------------
// Chains kept in registers: two by tiles of several rows, all by the tile of one row, which needs them to hide latency.
constexpr int chains_together(int chains, int rows) {
  return dense_accumulators < 12 ? 1 : rows == 1 || chains < 2 ? chains : 2;
}
// The most rows that fit, and the row counts that exist.
constexpr int tile_rows(int chains, int vectors) {
  const int rows = dense_accumulators / (chains_together(chains, 2) * vectors);
  return rows > 12 ? 12 : rows > 1 ? rows : 1;
}
constexpr int tile_heights[] = {1, 2, 3, 4, 6, 8, 12};
// Panels that a tile of one or two rows takes at once to have 8 accumulators.
constexpr int panels_together(int chains, int rows) {
  const int wanted = dense_accumulators < 12 ? 1 : 8 / (chains * rows * panel_vectors);
  return wanted > 1 ? wanted : 1;
}

template <class T>
using TileFunction = void (*)(const DenseTile<T>&);

template <class V, int S, int MR, int P, int NV, int NL>
static constexpr TileFunction<typename lane<V>::S> tile_if() {
  constexpr bool one_panel = P == 1 && NL == NV && MR <= tile_rows(S, NV);
  constexpr bool several = P > 1 && NV == panel_vectors && NL <= NV && P <= panels_together(S, MR);
  if constexpr (NV <= panel_vectors && (one_panel || several))
    return dense_tile<V, S, chains_together(S, MR), MR, P, NV, NL>;
  else return nullptr;
}

// The tile of so many vectors and rows; rows is one of tile_heights and at most tile_rows(S, vectors).
template <class V, int S>
static TileFunction<typename lane<V>::S> tile_of(int vectors, int rows) {
#define TG_HEIGHTS(nv)                                                                               \
  {                                                                                                  \
    tile_if<V, S, 1, 1, nv, nv>(), tile_if<V, S, 2, 1, nv, nv>(), tile_if<V, S, 3, 1, nv, nv>(),     \
        tile_if<V, S, 4, 1, nv, nv>(), tile_if<V, S, 6, 1, nv, nv>(), tile_if<V, S, 8, 1, nv, nv>(), \
        tile_if<V, S, 12, 1, nv, nv>()                                                               \
  }
  static constexpr TileFunction<typename lane<V>::S> table[4][7] = {TG_HEIGHTS(1), TG_HEIGHTS(2), TG_HEIGHTS(3),
                                                                    TG_HEIGHTS(4)};
#undef TG_HEIGHTS
  return table[vectors - 1][rows <= 4 ? rows - 1 : rows == 6 ? 4 : rows == 8 ? 5 : 6];
}

// The tile of one or two rows and two to four panels, the last of last_vectors; null where it would not pay.
template <class V, int S>
static TileFunction<typename lane<V>::S> wide_tile_of(int panels, int last_vectors, int rows) {
  constexpr int F = panel_vectors;
#define TG_LAST(rows, panels)                                                                                      \
  {                                                                                                                \
    tile_if<V, S, rows, panels, F, 1>(), tile_if<V, S, rows, panels, F, 2>(), tile_if<V, S, rows, panels, F, 3>(), \
        tile_if<V, S, rows, panels, F, 4>()                                                                        \
  }
  static constexpr TileFunction<typename lane<V>::S> table[2][3][4] = {{TG_LAST(1, 2), TG_LAST(1, 3), TG_LAST(1, 4)},
                                                                       {TG_LAST(2, 2), TG_LAST(2, 3), TG_LAST(2, 4)}};
#undef TG_LAST
  return table[rows - 1][panels - 2][last_vectors - 1];
}
