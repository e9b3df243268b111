// Kernels whose sizes the compiler knows, for exported headers: python/trigrad/export pastes this file, the maths and the
// vectors that it stands on, and calls it layer by layer. Rows between layers have room for whole vectors; `exact` ends a
// row where the caller's ends. Weights: k after k, outputs filled up to a multiple of 16, which suits every vector.

constexpr int L = lane<vf>::n;
constexpr int filled(int n) { return (n + 15) / 16 * 16; }

// Nothing that an optimizer may join with what comes next: a product stays rounded, whatever -ffp-contract says.
TG_FN vf settled(vf v) {
#if defined(TG_ISA_AVX512)
  __asm__("" : "+v"(v));
#elif defined(__x86_64__)
  __asm__("" : "+x"(v));
#else
  __asm__("" : "+w"(v));
#endif
  return v;
}

template <int N, bool exact>
TG_FN vf get(const float* p, int i) {
  if (exact && i + L > N) return load_n<vf>(p + i, N - i);
  return load<vf>(p + i);
}
template <int N, bool exact>
TG_FN void put(float* p, int i, vf v) {
  if (exact && i + L > N) store_n(p + i, v, N - i);
  else store(p + i, v);
}

#if defined(__clang__)
#define TG_UNROLL_LAYER _Pragma("clang loop unroll_count(64)")
#else
#define TG_UNROLL_LAYER _Pragma("GCC unroll 64")
#endif

// Vectors first .. first + R - 1 of the outputs.
template <int K, int N, bool relu, bool exact, int first, int R, class W>
TG_FN void dense_part(const float* x, const W* w, const float* b, float* y) {
  constexpr int S = dense_chains(K, N), row = filled(N), rest = K % S;
  vf acc[S][R];
  TG_UNROLL for (int r = 0; r < R; r++) {
    acc[0][r] = load<vf>(b + (first + r) * L);
    TG_UNROLL for (int i = 1; i < S; i++) acc[i][r] = vf{};
  }
  auto step = [&](int k, vf(&chain)[R]) __attribute__((always_inline)) {
    const vf v = broadcast<vf>(x[k]);
    TG_UNROLL for (int r = 0; r < R; r++) chain[r] = fma(v, load_weights(w + k * row + (first + r) * L), chain[r]);
  };
  if constexpr (K * R <= 512) {
    TG_UNROLL_LAYER for (int k = 0; k < K / S; k++) { TG_UNROLL for (int i = 0; i < S; i++) step(k * S + i, acc[i]); }
  } else {
    for (int k = 0; k < K / S; k++) {
      TG_UNROLL for (int i = 0; i < S; i++) step(k * S + i, acc[i]);
    }
  }
  TG_UNROLL for (int i = 0; i < rest; i++) step(K - rest + i, acc[i]);
  TG_UNROLL for (int half = S / 2; half > 0; half /= 2) {
    TG_UNROLL for (int i = 0; i < half; i++) { TG_UNROLL for (int r = 0; r < R; r++) acc[i][r] += acc[i + half][r]; }
  }
  TG_UNROLL for (int r = 0; r < R; r++) { put<N, exact>(y, (first + r) * L, relu ? relu_lanes(acc[0][r]) : acc[0][r]); }
}
template <int K, int N, bool relu, bool exact, int first, int parts, class W>
TG_FN void dense_parts(const float* x, const W* w, const float* b, float* y) {
  constexpr int R = ((N + L - 1) / L - first) / parts;
  dense_part<K, N, relu, exact, first, R>(x, w, b, y);
  if constexpr (parts > 1) dense_parts<K, N, relu, exact, first + R, parts - 1>(x, w, b, y);
}
// One output, four chains side by side; w has no fill.
template <int K, bool relu, bool exact>
TG_FN void dense_column(const float* x, const float* w, const float* b, float* y) {
  const float start[4] = {b[0], 0, 0, 0};
  auto four = load_four(start);
  for (int k = 0; k + 4 <= K; k += 4) four = fma_four(load_four(x + k), load_four(w + k), four);
  float chain[4];
  store_four(chain, four);
  for (int k = K / 4 * 4; k < K; k++) chain[k % 4] = tg::fma(x[k], w[k], chain[k % 4]);
  float sum = (chain[0] + chain[2]) + (chain[1] + chain[3]);
  if (relu) sum = sum <= 0 ? 0.0f : sum;
  vf v = {};
  v[0] = sum;
  put<1, exact>(y, 0, v);
}
template <int K, int N, bool relu, bool exact, class W>
TG_FN void dense(const float* x, const W* w, const float* b, float* y) {
  if constexpr (N == 1 && dense_chains(K, N) == 4) dense_column<K, relu, exact>(x, w, b, y);
  else dense_parts<K, N, relu, exact, 0, ((N + L - 1) / L + 11) / 12>(x, w, b, y);
}

// y = f(i, vector at i) for N elements. The caller's own products may not run into ours either.
template <int N, bool exact_in, bool exact, class F>
TG_FN void elementwise(const float* a, float* y, F f) {
  for (int i = 0; i < N; i += L) {
    const vf v = get<N, exact_in>(a, i);
    put<N, exact>(y, i, settled(f(i, exact_in ? settled(v) : v)));
  }
}
template <int N, bool exact_in, bool exact, class Row>
TG_FN void unary(const float* a, float* y, float p, float q) {
  const vf vp = broadcast<vf>(p), vq = broadcast<vf>(q);
  elementwise<N, exact_in, exact>(a, y, [&](int, vf v) __attribute__((always_inline)) { return Row::f(v, vp, vq); });
}
template <int N, bool exact_in, bool exact, class Row>
TG_FN void binary(const float* a, const float* b, float* y) {
  elementwise<N, exact_in, exact>(
      a, y, [&](int i, vf v) __attribute__((always_inline)) { return Row::f(v, get<N, exact_in>(b, i), vf{}, vf{}); });
}
template <int N, bool exact_in, bool exact>
TG_FN void step(const float* a, float* y) {
  const vf one = broadcast<vf>(1);
  elementwise<N, exact_in, exact>(
      a, y, [&](int, vf v) __attribute__((always_inline)) { return select(ge(v, vf{}), one, vf{}); });
}
template <int N, bool exact_in, bool exact>
TG_FN void copy(const float* a, float* y) {
  elementwise<N, exact_in, exact>(a, y, [&](int, vf v) __attribute__((always_inline)) { return v; });
}
template <int N, bool exact_in, bool exact>
TG_FN void affine(const float* a, const float* c, float* y) {
  elementwise<N, exact_in, exact>(a, y, [&](int i, vf v) __attribute__((always_inline)) {
    return fma(v, load<vf>(c + i), load<vf>(c + filled(N) + i));
  });
}
template <int N, bool exact_in, bool exact>
TG_FN void prelu(const float* a, const float* c, float* y) {
  elementwise<N, exact_in, exact>(
      a, y, [&](int i, vf v) __attribute__((always_inline)) { return select(gt(v, vf{}), v, load<vf>(c + i) * v); });
}
template <int N, bool exact_in, bool exact>
TG_FN void standardize(const float* a, const float* c, float* y) {
  auto of = [&](int k, int i) __attribute__((always_inline)) { return load<vf>(c + k * filled(N) + i); };
  elementwise<N, exact_in, exact>(a, y, [&](int i, vf v) __attribute__((always_inline)) {
    return (minimum(maximum(select(is_nan(v), of(0, i), v), of(1, i)), of(2, i)) - of(3, i)) * of(4, i);
  });
}
template <int N, int pieces>
TG_FN void largest(const float* a, float* y) {
  for (int i = 0; i < N; i++) {
    float m = a[i * pieces];
    for (int j = 1; j < pieces; j++) m = tg::maximum(m, a[i * pieces + j]);
    y[i] = m;
  }
}

template <int N, bool logarithm>
TG_FN void softmax(const float* a, float* y) {
  if constexpr (N > row_lanes) {
    softmax_row(Along<vf>{N}, a, y, logarithm);
    __asm__ volatile("" ::: "memory");  // settles the row
  } else {
    const row16<vf> x = row16_load_n<vf>(a, N, -__builtin_inff());
    const vf m = broadcast<vf>(row16_fold(x, larger<vf>));
    row16<vf> e;
    TG_UNROLL for (int i = 0; i < row16<vf>::n; i++) e.v[i] = exp(x.v[i] - m);
    const vf sum = broadcast<vf>(row16_fold(e, add<vf>));
    const vf factor = logarithm ? log(sum) : broadcast<vf>(1) / sum;
    TG_UNROLL for (int i = 0; i < row16<vf>::n; i++) {
      if (i * L < N) put<N, true>(y, i * L, settled(logarithm ? (x.v[i] - m) - factor : e.v[i] * factor));
    }
  }
}
