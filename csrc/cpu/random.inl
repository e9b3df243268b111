// Random numbers of one ISA: a group of random bits (math/philox.h) is a few vectors, and every element has its lane.

constexpr int group_vectors = random_group_words * 4 / TG_VECTOR_BYTES;  // of any type: a group is 128 bytes
template <class V>
constexpr int group_elements = random_group_words * 4 / int(sizeof(typename lane<V>::S));

constexpr int group_batch = TG_VECTOR_BYTES == 64 ? 2 : 1;  // groups drawn together: at least two vectors of blocks

// The bits of `group`, .. `group` + group_batch - 1, each group_vectors long.
TG_FN void random_groups(RandomKey key, int64_t group, vul* bits) {
  constexpr int lanes = TG_VECTOR_BYTES / 8, half = group_vectors / 2;
  vul numbers;
  for (int l = 0; l < lanes; l++) numbers[l] = uint64_t(l);
  for (int j = 0; j < group_batch * half; j += 2) {
    PhiloxBlock<vul> b[2];
    for (int i = 0; i < 2; i++)
      b[i] = random_counter<vul>(key, numbers + uint64_t(group * random_group_blocks + (j + i) * lanes));
    philox<2>(b, key.seed);
    for (int i = 0; i < 2; i++) {
      vul* to = bits + (j + i) / half * group_vectors + (j + i) % half;
      to[0] = joined_words(b[i].word[0], b[i].word[1]);
      to[half] = joined_words(b[i].word[2], b[i].word[3]);
    }
  }
}

// make(i, bits[], values[]) turns the bits of the group that starts at element i (0 = `first`) into its values.
template <class V, class Make>
TG_FN void random_elements(RandomKey key, int64_t first, int64_t n, typename lane<V>::S* out, Make make) {
  using I = typename lane<V>::I;
  constexpr int L = lane<V>::n;
  for (int64_t start = 0; start < n; start += group_batch * group_elements<V>) {
    vul raw[group_batch * group_vectors];
    random_groups(key, (first + start) / group_elements<V>, raw);
    for (int g = 0; g < group_batch; g++) {
      const int64_t i = start + g * group_elements<V>;
      I bits[group_vectors];
      V values[group_vectors];
      for (int j = 0; j < group_vectors; j++) bits[j] = (I)raw[g * group_vectors + j];
      make(i, bits, values);
      for (int j = 0; j < group_vectors; j++) {
        const int64_t left = n - i - j * L;
        if (left >= L) store(out + i + j * L, values[j]);
        else if (left > 0) store_n(out + i + j * L, values[j], int(left));
      }
    }
  }
}

template <class V>
static void uniform_of(const RandomUniform<typename lane<V>::S>& a) {
  using I = typename lane<V>::I;
  random_elements<V>(a.key, a.first, a.n, a.out, [&](int64_t, const I* bits, V* values) __attribute__((always_inline)) {
    for (int j = 0; j < group_vectors; j++)
      values[j] = uniform_number(bits[j], broadcast<V>(a.low), broadcast<V>(a.width), broadcast<V>(a.high),
                                 broadcast<V>(a.below));
  });
}

template <class V>
static void normal_of(const RandomNormal<typename lane<V>::S>& a) {
  using I = typename lane<V>::I;
  constexpr int half = group_vectors / 2;
  random_elements<V>(a.key, a.first, a.n, a.out, [&](int64_t, const I* bits, V* values) __attribute__((always_inline)) {
    for (int j = 0; j < half; j++) {
      const NormalPair<V> pair = normal_pair(bits[j], bits[half + j], broadcast<V>(a.mean), broadcast<V>(a.std));
      values[j] = pair.first;
      values[half + j] = pair.second;
    }
  });
}

template <class V>
static void bernoulli_of(const RandomBernoulli<typename lane<V>::S>& a) {
  using I = typename lane<V>::I;
  constexpr int L = lane<V>::n;
  random_elements<V>(
      a.key, a.first, a.n, a.out, [&](int64_t i, const I* bits, V* values) __attribute__((always_inline)) {
        for (int j = 0; j < group_vectors; j++) {
          const int64_t left = a.n - i - j * L;
          const V p = left >= L ? load<V>(a.p + i + j * L) : load_n<V>(a.p + i + j * L, left > 0 ? int(left) : 0);
          values[j] = select(lt(unit_interval<V>(bits[j]), p), broadcast<V>(1), V{});
        }
      });
}

// ---- dropout ---------------------------------------------------------------------------------------------------------
// visit(i, bits, count) gets the words of the elements i .. i + count - 1 (0 = `first`).
template <class Visit>
TG_FN void random_words(RandomKey key, int64_t first, int64_t n, Visit visit) {
  constexpr int L = lane<vf>::n, vectors = group_batch * group_vectors;
  for (int64_t i = 0; i < n; i += group_batch * random_group_words) {
    vul bits[vectors];
    random_groups(key, (first + i) / random_group_words, bits);
    if (n - i >= group_batch * random_group_words) {
      for (int j = 0; j < vectors; j++) visit(i + j * L, bits[j], AllLanes{});
    } else {
      for (int j = 0; j < vectors; j++) {
        const int64_t left = n - i - j * L;
        if (left > 0) visit(i + j * L, bits[j], SomeLanes{left < L ? int(left) : L});
      }
    }
  }
}

static void dropout_of(const Dropout<float>& a) {
  const Along<vf> at{};
  random_words(a.key, a.first, a.n, [&](int64_t i, vul bits, auto k) __attribute__((always_inline)) {
    at.put(a.y, i, k, select(words_at_least(bits, a.threshold), at.get(a.x, i, k) * broadcast<vf>(a.scale), vf{}));
  });
}

static void dropout_of(const Dropout<double>& a) {
  constexpr int L = lane<vd>::n;
  typedef uint32_t half_words __attribute__((vector_size(TG_VECTOR_BYTES / 2)));
  random_words(a.key, a.first, a.n, [&](int64_t i, vul bits, auto k) __attribute__((always_inline)) {
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
  random_words(a.key, a.first, a.n, [&](int64_t i, vul bits, auto k) __attribute__((always_inline)) {
    const mask_f keep = words_at_least(bits, a.threshold);
    if constexpr (__is_same(decltype(k), SomeLanes)) store_mask_n(a.keep + i, keep, k.n);
    else store_mask(a.keep + i, keep);
  });
}

static void random_bits_of(const RandomBits& a) {
  constexpr int numbers = random_group_words / 2;  // 64-bit numbers of a group
  for (int64_t g = 0; g < a.groups; g += group_batch) {
    vul bits[group_batch * group_vectors];
    random_groups(a.key, a.first_group + g, bits);
    if (a.groups - g >= group_batch) __builtin_memcpy(a.out + g * numbers, bits, sizeof bits);
    else __builtin_memcpy(a.out + g * numbers, bits, sizeof bits / group_batch);
  }
}
