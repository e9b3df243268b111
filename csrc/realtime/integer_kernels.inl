// Dense layers of integers, for one event and for tiles of events. Part of isa/integers.cpp; kernels.h tells of the rows.

TG_FN vi load_ints(const float* p) { return bits(load<vf>(p)); }
TG_FN vf poison_if(mask_f nan) { return broadcast<vf>(any(nan) ? __builtin_nanf("") : 0.0f); }

// ---- one event: w is scale(K), zero(K), in whole vectors; m features, p .. q
template <class T>
static void quantize(const Step& s, const float* a, const float*, float* out) noexcept {
  const vf low = broadcast<vf>(s.p), high = broadcast<vf>(s.q);
  const int m = s.m;
  auto* q = reinterpret_cast<typename T::Q*>(out + L);
  mask_f nan = {};
  for (int i = 0; i < m; i += L) {
    const vf x = get(a, i, m);
    nan = either(nan, is_nan(x));
    T::put(q + i, quantized(x, load<vf>(s.w + i), load<vf>(s.w + s.K + i), low, high));
  }
  store(out, poison_if(nan));
}

// R vectors of outputs. w: K groups of terms, R vectors each; c: start, scale, bias of R vectors, and where the outputs are
// quantized at once (s.quantizes) for the next layer, its scale and zero.
template <class T, int R>
static void dense(const Step& s, const float* a, const float*, float* out) noexcept {
  constexpr int S = R <= 2 ? 4 : R <= 4 ? 2 : 1;
  vi sum[S][R];
  TG_UNROLL for (int r = 0; r < R; r++) {
    sum[0][r] = load_ints(s.c + r * L);
    TG_UNROLL for (int i = 1; i < S; i++) sum[i][r] = vi{};
  }
  const vf poison = load<vf>(a);
  const float *x = a + L, *w = s.w;
  auto step = [&](vi(&to)[R]) __attribute__((always_inline)) {
    const vi v = broadcast<vi>(tg::bits(*x++));
    TG_UNROLL for (int r = 0; r < R; r++) to[r] = T::add(to[r], v, load_ints(w + r * L));
    w += R * L;
  };
  const int K = s.K;
  for (int k = K / S; k > 0; k--) {
    TG_UNROLL for (int i = 0; i < S; i++) step(sum[i]);
  }
  if constexpr (S > 1) {
    const int rest = K % S;
    TG_UNROLL for (int i = 0; i < S - 1; i++) {
      if (i < rest) step(sum[i]);
    }
  }
  vf y[R];
  TG_UNROLL for (int r = 0; r < R; r++) {
    TG_UNROLL for (int i = 1; i < S; i++) sum[0][r] = add_wrapping(sum[0][r], sum[i][r]);
    y[r] = unquantized(sum[0][r], load<vf>(s.c + (R + r) * L), load<vf>(s.c + (2 * R + r) * L), poison);
  }
  if (s.relu) {
    TG_UNROLL for (int r = 0; r < R; r++) y[r] = relu_lanes(y[r]);
  }
  if (s.quantizes) {
    const vf low = broadcast<vf>(s.p), high = broadcast<vf>(s.q);
    const float* c = s.c + 3 * R * L;
    auto* q = reinterpret_cast<typename T::Q*>(out + L);
    mask_f nan = {};  // what fills up the last vector is NaN only where all are
    TG_UNROLL for (int r = 0; r < R; r++) {
      nan = either(nan, is_nan(y[r]));
      T::put(q + r * L, quantized(y[r], load<vf>(c + r * L), load<vf>(c + (R + r) * L), low, high));
    }
    store(out, poison_if(nan));
  } else {
    TG_UNROLL for (int r = 0; r < R - 1; r++) store(out + r * L, y[r]);
    put(out + (R - 1) * L, 0, s.n, y[R - 1]);
  }
}

// One output; K vectors of terms.
template <class T>
static void column(const Step& s, const float* a, const float*, float* out) noexcept {
  vi sum[4] = {};
  for (int k = 0; k < s.K; k++) sum[k % 4] = T::add(sum[k % 4], load_ints(a + (k + 1) * L), load_ints(s.w + k * L));
  const vi all = add_wrapping(add_wrapping(sum[0], sum[1]), add_wrapping(sum[2], sum[3]));
  const int32_t total = add_wrapping(tg::bits(s.c[0]), sum_lanes(all));
  vf y = unquantized(broadcast<vi>(total), broadcast<vf>(s.c[1]), broadcast<vf>(s.c[2]), load<vf>(a));
  if (s.relu) y = relu_lanes(y);
  put(out, 0, s.n, y);
}

// ---- a tile: w is scale(K), zero(K); the terms of a group are joined into 32 bits
template <class T>
static void quantize_tile(const Step& s, const float* a, const float*, float* out) noexcept {
  const vf low = broadcast<vf>(s.p), high = broadcast<vf>(s.q);
  const vi mask = broadcast<vi>((1 << T::bits) - 1);
  mask_f nan[EV] = {};
  float* q = out + E;
  for (int k = 0; k < s.K; k += T::terms, q += E) {
    TG_UNROLL for (int e = 0; e < EV; e++) {
      vi joined = {};
      for (int j = 0; j < T::terms && k + j < s.K; j++) {
        const vf x = load<vf>(a + (k + j) * E + e * L);
        nan[e] = either(nan[e], is_nan(x));
        const vi i = quantized(x, broadcast<vf>(s.w[k + j]), broadcast<vf>(s.w[s.K + k + j]), low, high);
        joined |= vi(vui(i & mask) << (j * T::bits));
      }
      store(q + e * L, from_bits<vf>(joined));
    }
  }
  TG_UNROLL for (int e = 0; e < EV; e++) store(out + e * L, poison_of(nan[e]));
}

// Outputs NR at a time, s.m times. w: block after block, K groups of NR; c: per block start, scale, bias, NR each.
template <class T, int NR>
static void dense_tile(const Step& s, const float* x, const float*, float* out) noexcept {
  const float *w = s.w, *c = s.c;
  const vf poison[EV] = {load<vf>(x), load<vf>(x + L)};
  for (int block = s.m; block > 0; block--, out += NR * E, c += 3 * NR) {
    vi sum[NR][EV];
    TG_UNROLL for (int r = 0; r < NR; r++) {
      TG_UNROLL for (int e = 0; e < EV; e++) sum[r][e] = broadcast<vi>(tg::bits(c[r]));
    }
    const float* a = x + E;
    for (int k = s.K; k > 0; k--, a += E, w += NR) {
      const vi v[EV] = {load_ints(a), load_ints(a + L)};
      TG_UNROLL for (int r = 0; r < NR; r++) {
        const vi factor = broadcast<vi>(tg::bits(w[r]));
        TG_UNROLL for (int e = 0; e < EV; e++) sum[r][e] = T::add(sum[r][e], v[e], factor);
      }
    }
    TG_UNROLL for (int r = 0; r < NR; r++) {
      TG_UNROLL for (int e = 0; e < EV; e++) {
        const vf y = unquantized(sum[r][e], broadcast<vf>(c[NR + r]), broadcast<vf>(c[2 * NR + r]), poison[e]);
        store(out + r * E + e * L, s.relu ? relu_lanes(y) : y);
      }
    }
  }
}
