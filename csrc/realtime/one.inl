// One event: the outputs of a layer lie in the lanes. Part of isa/realtime.cpp.

// R vectors of outputs, S chains each (math/order.h). w: k after k, R vectors; n: how many lanes of the last vector.
template <class W, int S, int R, bool relu>
static void dense(const Step& s, const float* a, const float*, float* out) noexcept {
  vf acc[S][R];
  TG_UNROLL for (int r = 0; r < R; r++) {
    acc[0][r] = load<vf>(s.c + r * L);
    TG_UNROLL for (int i = 1; i < S; i++) acc[i][r] = vf{};
  }
  const W* w = reinterpret_cast<const W*>(s.w);
  auto step = [&](vf(&chain)[R]) __attribute__((always_inline)) {
    const vf x = broadcast<vf>(*a++);
    TG_UNROLL for (int r = 0; r < R; r++) chain[r] = fma(x, load_weights(w + r * L), chain[r]);
    w += R * L;
  };
  const int K = s.K, n = s.n;
  for (int k = K / S; k > 0; k--) {
    TG_UNROLL for (int i = 0; i < S; i++) step(acc[i]);
  }
  if constexpr (S > 1) {
    const int rest = K % S;
    TG_UNROLL for (int i = 0; i < S - 1; i++) {
      if (i < rest) step(acc[i]);
    }
  }
  TG_UNROLL for (int half = S / 2; half > 0; half /= 2) {
    TG_UNROLL for (int i = 0; i < half; i++) { TG_UNROLL for (int r = 0; r < R; r++) acc[i][r] += acc[i + half][r]; }
  }
  if constexpr (relu) {
    TG_UNROLL for (int r = 0; r < R; r++) acc[0][r] = relu_lanes(acc[0][r]);
  }
  TG_UNROLL for (int r = 0; r < R - 1; r++) store(out + r * L, acc[0][r]);
  put(out + (R - 1) * L, 0, n, acc[0][R - 1]);
}
// s.relu chooses here rather than in the table: a loop is shared, the choice is made once a call.
template <class W, int S, int R>
static void dense_either(const Step& s, const float* a, const float* b, float* out) noexcept {
  s.relu ? dense<W, S, R, true>(s, a, b, out) : dense<W, S, R, false>(s, a, b, out);
}

// One output, four chains: the chains are the lanes, w(K) lies as the event does. Writes n floats, the others zero.
static void dense_column(const Step& s, const float* a, const float*, float* out) noexcept {
  const float start[4] = {s.c[0], 0, 0, 0};
  auto four = load_four(start);
  const int K = s.K;
  int k = 0;
  for (; k + 4 <= K; k += 4) four = fma_four(load_four(a + k), load_four(s.w + k), four);
  float chain[4];
  store_four(chain, four);
  for (; k < K; k++) chain[k % 4] = tg::fma(a[k], s.w[k], chain[k % 4]);
  float y = (chain[0] + chain[2]) + (chain[1] + chain[3]);
  if (s.relu) y = y <= 0 ? 0.0f : y;
  if (s.n == 1) {
    *out = y;
  } else {
    vf v = {};
    v[0] = y;
    store(out, v);
  }
}

template <class Row>
static void unary(const Step& s, const float* a, const float*, float* out) noexcept {
  const vf p = broadcast<vf>(s.p), q = broadcast<vf>(s.q);
  const int n = s.n, m = s.m;
  for (int i = 0; i < n; i += L) put(out, i, n, Row::f(get(a, i, m), p, q));
}
template <class Row>
static void binary(const Step& s, const float* a, const float* b, float* out) noexcept {
  const int n = s.n, m = s.m;
  for (int i = 0; i < n; i += L) put(out, i, n, Row::f(get(a, i, m), get(b, i, m), vf{}, vf{}));
}
static void step(const Step& s, const float* a, const float*, float* out) noexcept {
  const vf one = broadcast<vf>(1);
  for (int i = 0; i < s.n; i += L) put(out, i, s.n, select(ge(get(a, i, s.m), vf{}), one, vf{}));
}
static void copy(const Step& s, const float* a, const float*, float* out) noexcept {
  for (int i = 0; i < s.n; i += L) put(out, i, s.n, get(a, i, s.m));
}

// ---- constants per feature: vector c of them at w + c K
TG_FN vf affine_at(vf x, vf scale, vf shift) { return fma(x, scale, shift); }
TG_FN vf prelu_at(vf x, vf slope) { return select(gt(x, vf{}), x, slope * x); }
TG_FN vf standardize_at(vf x, vf fill, vf low, vf high, vf offset, vf scale) {
  return (minimum(maximum(select(is_nan(x), fill, x), low), high) - offset) * scale;
}
static void affine(const Step& s, const float* a, const float*, float* out) noexcept {
  for (int i = 0; i < s.n; i += L)
    put(out, i, s.n, affine_at(get(a, i, s.m), load<vf>(s.w + i), load<vf>(s.w + s.K + i)));
}
static void prelu(const Step& s, const float* a, const float*, float* out) noexcept {
  for (int i = 0; i < s.n; i += L) put(out, i, s.n, prelu_at(get(a, i, s.m), load<vf>(s.w + i)));
}
static void standardize(const Step& s, const float* a, const float*, float* out) noexcept {
  auto of = [&](int c, int i) __attribute__((always_inline)) { return load<vf>(s.w + c * s.K + i); };
  for (int i = 0; i < s.n; i += L)
    put(out, i, s.n, standardize_at(get(a, i, s.m), of(0, i), of(1, i), of(2, i), of(3, i), of(4, i)));
}

// ---- a whole row of n
// At most 16: one logical row of 16 lanes, as the row order has it. exp of the missing lanes is +0, which adds nothing.
template <bool logarithm>
static void softmax(const Step& s, const float* a, const float*, float* out) noexcept {
  constexpr int vectors = row16<vf>::n;
  const int n = s.m;
  if (n > row_lanes) return softmax_row(Along<vf>{n}, a, out, logarithm);
  const float lowest = -__builtin_inff();
  const row16<vf> x = row16_load_n<vf>(a, n, lowest);
  const vf m = broadcast<vf>(row16_fold(x, larger<vf>));
  row16<vf> e;
  TG_UNROLL for (int i = 0; i < vectors; i++) e.v[i] = exp(x.v[i] - m);
  const vf sum = broadcast<vf>(row16_fold(e, add<vf>));
  const vf factor = logarithm ? log(sum) : broadcast<vf>(1) / sum;
  TG_UNROLL for (int i = 0; i < vectors; i++) {
    if (i * L < s.n) put(out, i * L, s.n, logarithm ? (x.v[i] - m) - factor : e.v[i] * factor);
  }
}
static void largest(const Step& s, const float* a, const float*, float* out) noexcept {
  for (int i = 0; i < s.n; i++) {
    if (i >= s.m) {
      out[i] = 0;
      continue;
    }
    float m = a[i * s.K];
    for (int j = 1; j < s.K; j++) m = tg::maximum(m, a[i * s.K + j]);
    out[i] = m;
  }
}
