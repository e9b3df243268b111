// Panels: B(K,N) rearranged so that a tile reads it front to back. Part of dense.inl.
//
// Panel p holds the columns p*W .. p*W + W-1, W = panel_vectors * lanes, row k after row k - 1, zeros beyond N. A
// single panel is only as many vectors wide as it needs.

// ---- transposing lanes x lanes numbers in registers -----------------------------------------------------------
template <int... i, class V>
TG_FN V shuffle(V a, V b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, i...);
#else
  return __builtin_shuffle(a, b, typename lane<V>::I{i...});
#endif
}
// The classic network: interleave within blocks of 128 bits, then exchange blocks.
template <class V>
TG_FN V interleave_low(V a, V b) {
  if constexpr (lane<V>::n == 16) return shuffle<0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29>(a, b);
  else if constexpr (sizeof a[0] == 4 && lane<V>::n == 8) return shuffle<0, 8, 1, 9, 4, 12, 5, 13>(a, b);
  else if constexpr (sizeof a[0] == 4) return shuffle<0, 4, 1, 5>(a, b);
  else if constexpr (lane<V>::n == 8) return shuffle<0, 8, 2, 10, 4, 12, 6, 14>(a, b);
  else if constexpr (lane<V>::n == 4) return shuffle<0, 4, 2, 6>(a, b);
  else return shuffle<0, 2>(a, b);
}
template <class V>
TG_FN V interleave_high(V a, V b) {
  if constexpr (lane<V>::n == 16) return shuffle<2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31>(a, b);
  else if constexpr (sizeof a[0] == 4 && lane<V>::n == 8) return shuffle<2, 10, 3, 11, 6, 14, 7, 15>(a, b);
  else if constexpr (sizeof a[0] == 4) return shuffle<2, 6, 3, 7>(a, b);
  else if constexpr (lane<V>::n == 8) return shuffle<1, 9, 3, 11, 5, 13, 7, 15>(a, b);
  else if constexpr (lane<V>::n == 4) return shuffle<1, 5, 3, 7>(a, b);
  else return shuffle<1, 3>(a, b);
}
template <class V>
TG_FN V even_blocks(V a, V b) {
  if constexpr (lane<V>::n == 16) return shuffle<0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27>(a, b);
  else if constexpr (sizeof a[0] == 4) return shuffle<0, 1, 2, 3, 8, 9, 10, 11>(a, b);
  else if constexpr (lane<V>::n == 8) return shuffle<0, 1, 4, 5, 8, 9, 12, 13>(a, b);
  else return shuffle<0, 1, 4, 5>(a, b);
}
template <class V>
TG_FN V odd_blocks(V a, V b) {
  if constexpr (lane<V>::n == 16) return shuffle<4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31>(a, b);
  else if constexpr (sizeof a[0] == 4) return shuffle<4, 5, 6, 7, 12, 13, 14, 15>(a, b);
  else if constexpr (lane<V>::n == 8) return shuffle<2, 3, 6, 7, 10, 11, 14, 15>(a, b);
  else return shuffle<2, 3, 6, 7>(a, b);
}
template <class V>
TG_FN void transpose(V (&r)[lane<V>::n]) {
  constexpr int L = lane<V>::n, E = 16 / sizeof(typename lane<V>::S), blocks = L / E;
  V t[L];
  TG_UNROLL for (int g = 0; g < L; g += E) {  // E x E numbers within every block
    if constexpr (E == 4) {
      const V low02 = interleave_low(r[g], r[g + 2]), high02 = interleave_high(r[g], r[g + 2]);
      const V low13 = interleave_low(r[g + 1], r[g + 3]), high13 = interleave_high(r[g + 1], r[g + 3]);
      t[g] = interleave_low(low02, low13), t[g + 1] = interleave_high(low02, low13);
      t[g + 2] = interleave_low(high02, high13), t[g + 3] = interleave_high(high02, high13);
    } else {
      t[g] = interleave_low(r[g], r[g + 1]), t[g + 1] = interleave_high(r[g], r[g + 1]);
    }
  }
  if constexpr (blocks == 1) {
    TG_UNROLL for (int i = 0; i < L; i++) r[i] = t[i];
  } else if constexpr (blocks == 2) {
    TG_UNROLL for (int i = 0; i < E; i++) {
      r[i] = even_blocks(t[i], t[i + E]), r[i + E] = odd_blocks(t[i], t[i + E]);
    }
  } else {
    TG_UNROLL for (int i = 0; i < E; i++) {
      const V even01 = even_blocks(t[i], t[i + E]), even23 = even_blocks(t[i + 2 * E], t[i + 3 * E]);
      const V odd01 = odd_blocks(t[i], t[i + E]), odd23 = odd_blocks(t[i + 2 * E], t[i + 3 * E]);
      r[i] = even_blocks(even01, even23), r[i + 2 * E] = odd_blocks(even01, even23);
      r[i + E] = even_blocks(odd01, odd23), r[i + 3 * E] = odd_blocks(odd01, odd23);
    }
  }
}

// ---- one panel ------------------------------------------------------------------------------------------------
// K rows of b, each `vectors` vectors in dst: `columns` columns, then zeros
template <class V>
static void pack_panel(const typename lane<V>::S* b, int64_t b_k, int64_t b_n, int64_t K, int64_t columns,
                       int64_t vectors, typename lane<V>::S* dst) {
  using T = typename lane<V>::S;
  constexpr int L = lane<V>::n;
  const int64_t row = vectors * L;
  if (b_n == 1) {
    for (int64_t k = 0; k < K; k++, b += b_k, dst += row) {
      int64_t n = 0;
      for (; n + L <= columns; n += L) store(dst + n, load<V>(b + n));
      if (n < columns) store(dst + n, load_n<V>(b + n, int(columns - n))), n += L;
      for (; n < row; n += L) store(dst + n, V{});
    }
  } else if (b_k == 1) {
    for (int64_t j = 0; j < vectors; j++) {
      const T* from = b + j * L * b_n;
      const int64_t here = columns - j * L < L ? columns - j * L : L;  // can be negative: a vector of zeros
      for (int64_t k = 0; k < K; k += L) {
        const int rows = K - k < L ? int(K - k) : L;
        V r[L];
        if (rows == L && here == L) {
          TG_UNROLL for (int i = 0; i < L; i++) r[i] = load<V>(from + i * b_n + k);
        } else {
          for (int i = 0; i < L; i++) r[i] = i < here ? load_n<V>(from + i * b_n + k, rows) : V{};
        }
        transpose(r);
        T* to = dst + k * row + j * L;
        if (rows == L) {
          TG_UNROLL for (int i = 0; i < L; i++) store(to + i * row, r[i]);
        } else {
          for (int i = 0; i < rows; i++) store(to + i * row, r[i]);
        }
      }
    }
  } else {
    for (int64_t k = 0; k < K; k++, dst += row)
      for (int64_t n = 0; n < row; n++) dst[n] = n < columns ? b[k * b_k + n * b_n] : T(0);
  }
}

// dst(columns, rows) = src(rows, columns)^T, rows <= lanes; src may be read up to whole vectors.
template <class V>
static void copy_transposed(const typename lane<V>::S* src, int64_t src_row, int rows, int64_t columns,
                            typename lane<V>::S* dst, int64_t dst_row) {
  constexpr int L = lane<V>::n;
  for (int64_t c = 0; c < columns; c += L) {
    V r[L];
    for (int i = 0; i < L; i++) r[i] = i < rows ? load<V>(src + i * src_row + c) : V{};
    transpose(r);
    for (int i = 0; i < L && c + i < columns; i++) store_n(dst + (c + i) * dst_row, r[i], rows);
  }
}

// ---- all panels -------------------------------------------------------------------------------------------------
struct PanelShape {
  int64_t count;     // of panels
  int64_t row;       // numbers in a row of a panel
  int last_vectors;  // of the last panel that hold columns, 1 .. panel_vectors
  int last_columns;  // in the last of these vectors, 1 .. lanes
};
template <class V>
TG_FN PanelShape panel_shape(int64_t N) {
  constexpr int L = lane<V>::n, W = panel_vectors * L;
  const int64_t count = (N + W - 1) / W;
  const int columns = int(N - (count - 1) * W), vectors = (columns + L - 1) / L;
  return {count, count == 1 ? vectors * L : W, vectors, columns - (vectors - 1) * L};
}
