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

// ---- integers: w in groups of terms, each for the outputs filled up to a multiple of 16; poison is NaN where one of the
// numbers that they stand for was.
template <class T, int K>
TG_FN vf quantize(const float* a, const float* scale, float low, float high, typename T::Q* q) {
  const vf least = broadcast<vf>(low), most = broadcast<vf>(high);
  mask_f nan = {};
  for (int i = 0; i < K; i += L) {
    const vf x = get<K, true>(a, i);
    nan = either(nan, is_nan(x));
    T::put(q + i, quantized(x, load<vf>(scale + i), load<vf>(scale + filled(K) + i), least, most));
  }
  return broadcast<vf>(any(nan) ? __builtin_nanf("") : 0.0f);
}
template <class T>
TG_FN vi load_words(const T* p) {
  vi v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T, int K, int N, bool relu, bool exact, int first, int R, class W>
TG_FN void integer_part(const typename T::Q* q, vf poison, const W* w, const int32_t* start, const float* c, float* y) {
  constexpr int G = (K + T::terms - 1) / T::terms, row = filled(N), chains = R <= 2 ? 4 : R <= 4 ? 2 : 1;
  vi sum[chains][R];
  TG_UNROLL for (int r = 0; r < R; r++) {
    sum[0][r] = load<vi>(start + (first + r) * L);
    TG_UNROLL for (int i = 1; i < chains; i++) sum[i][r] = vi{};
  }
  auto step = [&](int g, vi(&to)[R]) __attribute__((always_inline)) {
    int32_t x;
    __builtin_memcpy(&x, q + g * T::terms, sizeof x);
    const vi v = broadcast<vi>(x);
    TG_UNROLL for (int r = 0; r < R; r++) to[r] =
        T::add(to[r], v, load_words(w + (g * row + (first + r) * L) * T::terms));
  };
  constexpr int rest = G % chains;
  if constexpr (G * R <= 512) {
    TG_UNROLL_LAYER for (int g = 0; g < G / chains; g++) {
      TG_UNROLL for (int i = 0; i < chains; i++) step(g * chains + i, sum[i]);
    }
  } else {
    for (int g = 0; g < G / chains; g++) {
      TG_UNROLL for (int i = 0; i < chains; i++) step(g * chains + i, sum[i]);
    }
  }
  TG_UNROLL for (int i = 0; i < rest; i++) step(G - rest + i, sum[i]);
  TG_UNROLL for (int r = 0; r < R; r++) {
    TG_UNROLL for (int i = 1; i < chains; i++) sum[0][r] = add_wrapping(sum[0][r], sum[i][r]);
    const int at = (first + r) * L;
    const vf v = unquantized(sum[0][r], load<vf>(c + at), load<vf>(c + row + at), poison);
    put<N, exact>(y, at, relu ? relu_lanes(v) : v);
  }
}
template <class T, int K, int N, bool relu, bool exact, int first, int parts, class W>
TG_FN void integer_parts(const typename T::Q* q, vf poison, const W* w, const int32_t* start, const float* c,
                         float* y) {
  constexpr int R = ((N + L - 1) / L - first) / parts;
  integer_part<T, K, N, relu, exact, first, R>(q, poison, w, start, c, y);
  if constexpr (parts > 1) integer_parts<T, K, N, relu, exact, first + R, parts - 1>(q, poison, w, start, c, y);
}
template <class T, int K, int N, bool relu, bool exact, class W>
TG_FN void integer_dense(const typename T::Q* q, vf poison, const W* w, const int32_t* start, const float* c,
                         float* y) {
  integer_parts<T, K, N, relu, exact, 0, ((N + L - 1) / L + 11) / 12>(q, poison, w, start, c, y);
}
// One output: w lies as the row does, both in whole vectors.
template <class T, int K, bool relu, bool exact, class W>
TG_FN void integer_column(const typename T::Q* q, vf poison, const W* w, const int32_t* start, const float* c,
                          float* y) {
  constexpr int step = L * T::terms;
  vi sum[2] = {};
  for (int k = 0; k < K; k += step) {
    vi& to = sum[k / step % 2];
    to = T::add(to, load_words(q + k), load_words(w + k));
  }
  const int32_t total = add_wrapping(start[0], sum_lanes(add_wrapping(sum[0], sum[1])));
  const vf v = unquantized(broadcast<vi>(total), broadcast<vf>(c[0]), broadcast<vf>(c[1]), poison);
  put<1, exact>(y, 0, relu ? relu_lanes(v) : v);
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
