// Random numbers of one ISA: a group of random bits (math/philox.h) is a few vectors, and every element has its lane.

constexpr int group_vectors = random_group_words * 4 / TG_VECTOR_BYTES;  // of any type: a group is 128 bytes
template <class V>
constexpr int group_elements = random_group_words * 4 / int(sizeof(typename lane<V>::S));

TG_FN void random_group(RandomKey key, int64_t group, vul* bits) {
  constexpr int lanes = TG_VECTOR_BYTES / 8, half = group_vectors / 2;
  vul numbers;
  for (int l = 0; l < lanes; l++) numbers[l] = uint64_t(l);
  for (int j = 0; j < half; j++) {
    const auto b = random_blocks<vul>(key, numbers + uint64_t(group * random_group_blocks + j * lanes));
    bits[j] = joined_words(b.word[0], b.word[1]);
    bits[half + j] = joined_words(b.word[2], b.word[3]);
  }
}

// make(i, bits[], values[]) turns the bits of the group that starts at element i (0 = `first`) into its values.
template <class V, class Make>
TG_FN void random_elements(RandomKey key, int64_t first, int64_t n, typename lane<V>::S* out, Make make) {
  using I = typename lane<V>::I;
  constexpr int L = lane<V>::n;
  for (int64_t i = 0; i < n; i += group_elements<V>) {
    vul raw[group_vectors];
    random_group(key, (first + i) / group_elements<V>, raw);
    I bits[group_vectors];
    V values[group_vectors];
    for (int j = 0; j < group_vectors; j++) bits[j] = (I)raw[j];
    make(i, bits, values);
    for (int j = 0; j < group_vectors; j++) {
      const int64_t left = n - i - j * L;
      if (left >= L) store(out + i + j * L, values[j]);
      else if (left > 0) store_n(out + i + j * L, values[j], int(left));
    }
  }
}

// k 2^-24 (or k 2^-53), k the upper 24 (53) bits: 0 <= u < 1, exact
template <class V>
TG_FN V unit_interval(typename lane<V>::I bits) {
  if constexpr (lane<V>::wide) {
    const V high = to_float<V>(shift_right_logical(bits, 37)), low = to_float<V>(shift_right_logical(bits, 11) & 0x3ffffff);
    return fma(high, broadcast<V>(0x1p-27), low * broadcast<V>(0x1p-53));
  } else {
    return to_float<V>(shift_right_logical(bits, 8)) * broadcast<V>(0x1p-24f);
  }
}

template <class V>
static void uniform_of(const RandomUniform<typename lane<V>::S>& a) {
  using I = typename lane<V>::I;
  random_elements<V>(a.key, a.first, a.n, a.out, [&](int64_t, const I* bits, V* values) __attribute__((always_inline)) {
    for (int j = 0; j < group_vectors; j++) {
      const V v = fma(unit_interval<V>(bits[j]), broadcast<V>(a.width), broadcast<V>(a.low));
      values[j] = select(lt(v, broadcast<V>(a.high)), v, broadcast<V>(a.below));
    }
  });
}

template <class V>
static void normal_of(const RandomNormal<typename lane<V>::S>& a) {
  using I = typename lane<V>::I;
  using S = typename lane<V>::S;
  constexpr int half = group_vectors / 2;
  random_elements<V>(a.key, a.first, a.n, a.out, [&](int64_t, const I* bits, V* values) __attribute__((always_inline)) {
    for (int j = 0; j < half; j++) {
      const V u = unit_interval<V>(bits[j]) + broadcast<V>(lane<V>::wide ? S(0x1p-53) : S(0x1p-24));
      const V r = sqrt(log(u) * broadcast<V>(-2));
      const V w = unit_interval<V>(bits[half + j]) * broadcast<V>(S(6.283185307179586476925));
      values[j] = fma(r * cos(w), broadcast<V>(a.std), broadcast<V>(a.mean));
      values[half + j] = fma(r * sin(w), broadcast<V>(a.std), broadcast<V>(a.mean));
    }
  });
}

template <class V>
static void bernoulli_of(const RandomBernoulli<typename lane<V>::S>& a) {
  using I = typename lane<V>::I;
  constexpr int L = lane<V>::n;
  random_elements<V>(a.key, a.first, a.n, a.out, [&](int64_t i, const I* bits, V* values) __attribute__((always_inline)) {
    for (int j = 0; j < group_vectors; j++) {
      const int64_t left = a.n - i - j * L;
      const V p = left >= L ? load<V>(a.p + i + j * L) : load_n<V>(a.p + i + j * L, left > 0 ? int(left) : 0);
      values[j] = select(lt(unit_interval<V>(bits[j]), p), broadcast<V>(1), V{});
    }
  });
}

// ---- dropout ---------------------------------------------------------------------------------------------------------
// Unsigned comparison by way of the signed one.
template <class I>
TG_FN auto at_least(I bits, uint32_t threshold) {
  constexpr int32_t flip = int32_t(0x80000000);
  return ge(bits ^ flip, broadcast<I>(int32_t(threshold) ^ flip));
}

template <class Visit>
TG_FN void words_of_groups(RandomKey key, int64_t first, int64_t n, Visit visit) {
  constexpr int L = lane<vf>::n;
  for (int64_t i = 0; i < n; i += random_group_words) {
    vul bits[group_vectors];
    random_group(key, (first + i) / random_group_words, bits);
    if (n - i >= random_group_words) {
      for (int j = 0; j < group_vectors; j++) visit(i + j * L, vi(bits[j]), AllLanes{});
    } else {
      for (int j = 0; j < group_vectors; j++) {
        const int64_t left = n - i - j * L;
        if (left > 0) visit(i + j * L, vi(bits[j]), SomeLanes{left < L ? int(left) : L});
      }
    }
  }
}

static void dropout_of(const Dropout<float>& a) {
  const Along<vf> at{};
  words_of_groups(a.key, a.first, a.n, [&](int64_t i, vi bits, auto k) __attribute__((always_inline)) {
    at.put(a.y, i, k, select(at_least(bits, a.threshold), at.get(a.x, i, k) * broadcast<vf>(a.scale), vf{}));
  });
}

static void dropout_of(const Dropout<double>& a) {
  constexpr int L = lane<vd>::n;
  typedef uint32_t half_words __attribute__((vector_size(TG_VECTOR_BYTES / 2)));
  words_of_groups(a.key, a.first, a.n, [&](int64_t i, vi bits, auto k) __attribute__((always_inline)) {
    for (int part = 0; part < 2; part++) {
      int left = L;
      if constexpr (__is_same(decltype(k), SomeLanes)) left = k.n - part * L < L ? k.n - part * L : L;
      if (left <= 0) break;
      half_words words;
      __builtin_memcpy(&words, (const char*)&bits + part * sizeof words, sizeof words);
      const auto keep = ge(__builtin_convertvector(words, vl), broadcast<vl>(a.threshold));
      const int64_t at = i + part * L;
      store_n(a.y + at, select(keep, load_n<vd>(a.x + at, left) * broadcast<vd>(a.scale), vd{}), left);
    }
  });
}

static void dropout_mask_of(const DropoutMask& a) {
  words_of_groups(a.key, a.first, a.n, [&](int64_t i, vi bits, auto k) __attribute__((always_inline)) {
    const mask_f keep = at_least(bits, a.threshold);
    if constexpr (__is_same(decltype(k), SomeLanes)) store_mask_n(a.keep + i, keep, k.n);
    else store_mask(a.keep + i, keep);
  });
}

static void random_bits_of(const RandomBits& a) {
  for (int64_t g = 0; g < a.groups; g++) {
    vul bits[group_vectors];
    random_group(a.key, a.first_group + g, bits);
    __builtin_memcpy(a.out + g * (random_group_words / 2), bits, sizeof bits);
  }
}
