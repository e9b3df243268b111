// Panels: B(K,N) rearranged so that a tile reads it front to back. Part of dense.inl.
//
// Panel p holds the columns p*W .. p*W + W-1, W = panel_vectors * lanes, row k after row k - 1, padding beyond N (zeros
// or copies of the last column: no result depends on it). A single panel is only as many vectors wide as it needs.

// ---- turning lanes x lanes numbers in registers ----------------------------------------------------------------
template <int... i, class V>
TG_FN V shuffle(V a, V b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, i...);
#else
  return __builtin_shuffle(a, b, typename lane<V>::I{i...});
#endif
}
template <class V>
TG_FN V interleave_low(V a, V b) {  // within every block of 128 bits
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
// Block b of the result is the 128 bits at p + row * step, row = first + b * (numbers in a block), but at most `last`.
template <class V>
TG_FN V load_blocks(const typename lane<V>::S* p, int64_t step, int64_t first, int64_t last) {
#if defined(TG_ISA_AVX512) || defined(TG_ISA_AVX2)
  constexpr int E = 16 / int(sizeof(typename lane<V>::S));
  auto at = [&](int b) __attribute__((always_inline)) {
    return _mm_loadu_ps(reinterpret_cast<const float*>(p + least(first + b * E, last) * step));
  };
#endif
#if defined(TG_ISA_AVX512)  // loads under a mask merge without using the shuffle unit
  __m512 v = _mm512_castps128_ps512(at(0));
  v = _mm512_mask_broadcast_f32x4(v, 0x00f0, at(1));
  v = _mm512_mask_broadcast_f32x4(v, 0x0f00, at(2));
  return V(_mm512_mask_broadcast_f32x4(v, 0xf000, at(3)));
#elif defined(TG_ISA_AVX2)
  return V(_mm256_insertf128_ps(_mm256_castps128_ps256(at(0)), at(1), 1));
#else
  return load<V>(p + least(first, last) * step);
#endif
}
template <class V>
static constexpr int block_numbers = 16 / int(sizeof(typename lane<V>::S));
// r[i] holds numbers 0 .. E-1 of row i of each block: turned, r[c] holds number c of row 0 .. E-1 of each block.
template <class V>
TG_FN void turn_blocks(V (&r)[block_numbers<V>]) {
  if constexpr (block_numbers<V> == 4) {
    const V low02 = interleave_low(r[0], r[2]), high02 = interleave_high(r[0], r[2]);
    const V low13 = interleave_low(r[1], r[3]), high13 = interleave_high(r[1], r[3]);
    r[0] = interleave_low(low02, low13), r[1] = interleave_high(low02, low13);
    r[2] = interleave_low(high02, high13), r[3] = interleave_high(high02, high13);
  } else {
    const V low = interleave_low(r[0], r[1]);
    r[1] = interleave_high(r[0], r[1]);
    r[0] = low;
  }
}
// r[c] lane i = p[i * step + c] for the first `rows` lanes, the others repeat the last of them.
template <class V>
TG_FN void load_turned(const typename lane<V>::S* p, int64_t step, int64_t rows, V (&r)[block_numbers<V>]) {
  TG_UNROLL for (int i = 0; i < block_numbers<V>; i++) r[i] = load_blocks<V>(p, step, i, rows - 1);
  turn_blocks(r);
}

// ---- one panel ------------------------------------------------------------------------------------------------
// K rows of b, each `vectors` vectors in dst: `columns` columns, then padding
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
    constexpr int E = block_numbers<V>;
    for (int64_t j = 0; j < vectors; j++) {
      const T* from = b + j * L * b_n;
      T* to = dst + j * L;
      const int64_t here = least(columns - j * L, L);  // not positive: a vector of padding
      int64_t k = 0;
      auto turn = [&](int64_t lanes) __attribute__((always_inline)) {
        for (; k + E <= K; k += E) {
          V r[E];
          load_turned(from + k, b_n, lanes, r);
          TG_UNROLL for (int i = 0; i < E; i++) store(to + (k + i) * row, r[i]);
        }
      };
      if (here == L) turn(L);
      else if (here > 0) turn(here);
      for (; k < K; k++)
        for (int i = 0; i < L; i++) to[k * row + i] = i < here ? from[i * b_n + k] : T(0);
    }
  } else {
    for (int64_t k = 0; k < K; k++, dst += row)
      for (int64_t n = 0; n < row; n++) dst[n] = n < columns ? b[k * b_k + n * b_n] : T(0);
  }
}

// dst(columns, rows) = src(rows, columns)^T for at most `lanes` rows; src has whole vectors.
template <class V>
static void copy_transposed(const typename lane<V>::S* src, int64_t src_row, int rows, int64_t columns,
                            typename lane<V>::S* dst, int64_t dst_row) {
  constexpr int E = block_numbers<V>;
  for (int64_t c = 0; c < columns; c += E) {
    V r[E];
    load_turned(src + c, src_row, rows, r);
    for (int i = 0; i < E && c + i < columns; i++) store_n(dst + (c + i) * dst_row, r[i], rows);
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
