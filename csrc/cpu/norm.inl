// What batch normalisation (math/norm.h) does to every element: contiguous (outer, channels, inner), a few numbers per channel.

// f(element offset, channel values get(p), count): inner == 1 has channels side by side, else one channel is a run.
template <class V, class F>
TG_FN void over_channels(int64_t outer, int64_t channels, int64_t inner, F f) {
  using S = typename lane<V>::S;
  if (inner == 1) {
    const Along<V> row{channels};
    for (int64_t o = 0; o < outer; o++)
      row.each([&](int64_t c, auto k) __attribute__((always_inline)) {
        f(o * channels + c, [=](const S* p) __attribute__((always_inline)) { return Along<V>{}.get(p, c, k); }, k);
      });
  } else {
    const Along<V> row{inner};
    for (int64_t o = 0; o < outer * channels; o++) {
      const int64_t c = o % channels;
      row.each([&](int64_t i, auto k) __attribute__((always_inline)) {
        f(o * inner + i, [=](const S* p) __attribute__((always_inline)) { return broadcast<V>(p[c]); }, k);
      });
    }
  }
}

template <class V>
static void channel_affine_of(const ChannelAffine<typename lane<V>::S>& a) {
  const Along<V> at{};
  over_channels<V>(a.outer, a.channels, a.inner, [&](int64_t i, auto channel, auto k) __attribute__((always_inline)) {
    at.put(a.y, i, k, fma(at.get(a.x, i, k), channel(a.s), channel(a.t)));
  });
}

template <class V>
static void channel_norm_backward_of(const ChannelNormBackward<typename lane<V>::S>& a) {
  const Along<V> at{};
  over_channels<V>(a.outer, a.channels, a.inner, [&](int64_t i, auto channel, auto k) __attribute__((always_inline)) {
    at.put(a.dx, i, k,
           normalized_gradient(at.get(a.g, i, k), at.get(a.x, i, k), channel(a.mean), channel(a.k), channel(a.g_mean),
                               channel(a.s)));
  });
}
