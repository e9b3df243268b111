// A tile of events: feature i of event e at tile[i E + e], so all lanes are full whatever the widths of the layers are.
// Part of isa/realtime.cpp.

// In a register from here on: GCC would rather read it again for every product, and loads are then what limits.
TG_FN vf held(vf v) {
#if defined(TG_ISA_AVX512)
  __asm__("" : "+v"(v));
#elif defined(__x86_64__)
  __asm__("" : "+x"(v));
#else
  __asm__("" : "+w"(v));
#endif
  return v;
}

// Outputs NR at a time, s.m times. w: block after block, k after k, NR numbers; c: NR per block.
template <int S, int NR>
static void dense_tile(const Step& s, const float* x, const float*, float* out) noexcept {
  const int K = s.K;
  const bool relu = s.relu;
  const float *w = s.w, *c = s.c;
  for (int block = s.m; block > 0; block--) {
    vf acc[S][NR][EV];
    TG_UNROLL for (int r = 0; r < NR; r++) {
      const vf start = broadcast<vf>(c[r]);
      TG_UNROLL for (int e = 0; e < EV; e++) {
        acc[0][r][e] = start;
        TG_UNROLL for (int i = 1; i < S; i++) acc[i][r][e] = vf{};
      }
    }
    const float* a = x;
    auto step = [&](vf(&chain)[NR][EV]) __attribute__((always_inline)) {
      vf v[EV];
      TG_UNROLL for (int e = 0; e < EV; e++) v[e] = held(load<vf>(a + e * L));
      TG_UNROLL for (int r = 0; r < NR; r++) {
        const vf factor = broadcast<vf>(w[r]);
        TG_UNROLL for (int e = 0; e < EV; e++) chain[r][e] = fma(v[e], factor, chain[r][e]);
      }
      a += E, w += NR;
    };
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
      TG_UNROLL for (int i = 0; i < half; i++) {
        TG_UNROLL for (int r = 0; r < NR; r++) {
          TG_UNROLL for (int e = 0; e < EV; e++) acc[i][r][e] += acc[i + half][r][e];
        }
      }
    }
    if (relu) {
      TG_UNROLL for (int r = 0; r < NR; r++) {
        TG_UNROLL for (int e = 0; e < EV; e++) acc[0][r][e] = relu_lanes(acc[0][r][e]);
      }
    }
    TG_UNROLL for (int r = 0; r < NR; r++) {
      TG_UNROLL for (int e = 0; e < EV; e++) store(out + r * E + e * L, acc[0][r][e]);
    }
    out += NR * E, c += NR;
  }
}

// f(offset of the vector, feature) over s.n elements
template <class F>
TG_FN void each_in_tile(const Step& s, F f) {
  for (int i = 0, feature = 0; i < s.n; feature++) {
    TG_UNROLL for (int e = 0; e < EV; e++, i += L) f(i, feature);
  }
}
static void affine_tile(const Step& s, const float* a, const float*, float* out) noexcept {
  each_in_tile(s, [&](int i, int k) __attribute__((always_inline)) {
    store(out + i, affine_at(load<vf>(a + i), broadcast<vf>(s.w[k]), broadcast<vf>(s.w[s.K + k])));
  });
}
static void prelu_tile(const Step& s, const float* a, const float*, float* out) noexcept {
  each_in_tile(s, [&](int i, int k) __attribute__((always_inline)) {
    store(out + i, prelu_at(load<vf>(a + i), broadcast<vf>(s.w[k])));
  });
}
static void standardize_tile(const Step& s, const float* a, const float*, float* out) noexcept {
  each_in_tile(s, [&](int i, int k) __attribute__((always_inline)) {
    auto of = [&](int c) __attribute__((always_inline)) { return broadcast<vf>(s.w[c * s.K + k]); };
    store(out + i, standardize_at(load<vf>(a + i), of(0), of(1), of(2), of(3), of(4)));
  });
}
template <bool logarithm>
static void softmax_tile(const Step& s, const float* a, const float*, float* out) noexcept {
  for (int e = 0; e < E; e += L) softmax_row(Across<vf, AllLanes>{s.n / E, E, {}}, a + e, out + e, logarithm);
}
static void largest_tile(const Step& s, const float* a, const float*, float* out) noexcept {
  for (int i = 0; i < s.n; i += E, a += s.K * E) {
    TG_UNROLL for (int e = 0; e < E; e += L) {
      vf m = load<vf>(a + e);
      for (int j = 1; j < s.K; j++) m = maximum(m, load<vf>(a + j * E + e));
      store(out + i + e, m);
    }
  }
}

static void turn_in(const float* rows, int32_t n, int32_t count, float* tile) noexcept {
  for (int e = 0; e < E; e += L) {
    const int here = count - e < 0 ? 0 : count - e < L ? count - e : L;
    for (int c = 0; c < n; c += L) {
      const int k = n - c < L ? n - c : L;
      vf r[L];
      for (int i = 0; i < L; i++) r[i] = i < here ? load_n<vf>(rows + int64_t(e + i) * n + c, k) : vf{};
      transpose(r);
      for (int i = 0; i < k; i++) store(tile + (c + i) * E + e, r[i]);
    }
  }
}
static void turn_out(const float* tile, int32_t n, int32_t count, float* rows) noexcept {
  if (n == 1) {
    for (int e = 0; e < count; e += L) put(rows, e, count, load<vf>(tile + e));
    return;
  }
  for (int e = 0; e < count; e += L) {
    const int here = count - e < L ? count - e : L;
    for (int c = 0; c < n; c += L) {
      const int k = n - c < L ? n - c : L;
      vf r[L];
      for (int i = 0; i < L; i++) r[i] = i < k ? load<vf>(tile + (c + i) * E + e) : vf{};
      transpose(r);
      for (int i = 0; i < here; i++) store_n(rows + int64_t(e + i) * n + c, r[i], k);
    }
  }
}

// n floats to memory, past the caches: a line that is written whole need not be read first. Needs a fence afterwards.
static void stream(const float* from, int64_t n, float* to) noexcept {
#if defined(__x86_64__)
  constexpr int line = 16;
  const auto put_n = [&](int64_t count) __attribute__((always_inline)) {
    for (int64_t i = 0; i < count; i += L) put(to, static_cast<int>(i), static_cast<int>(count), load<vf>(from + i));
    from += count, to += count, n -= count;
  };
  const int64_t before = (line - static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) / sizeof(float) % line)) % line;
  put_n(before < n ? before : n);
  for (; n >= line; from += line, to += line, n -= line) {
    TG_UNROLL for (int i = 0; i < line; i += L) {
      const vf v = load<vf>(from + i);
#if defined(TG_ISA_AVX512)
      _mm512_stream_ps(to + i, v);
#elif defined(TG_ISA_AVX2)
      _mm256_stream_ps(to + i, v);
#else
      _mm_stream_ps(to + i, v);
#endif
    }
  }
  put_n(n);
#else
  __builtin_memcpy(to, from, sizeof(float) * static_cast<size_t>(n));
#endif
}
