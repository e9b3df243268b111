// Vectors of one event's row, and the shape of a tile of events. Part of isa/*.cpp.

constexpr int L = lane<vf>::n;

// Elements i .. of a row of n: whole vectors, or under a mask at the end of a row that is the caller's. Steps read m and
// write n of them; rows between steps are padded, so there both are multiples of L.
TG_FN vf get(const float* p, int i, int n) { return i + L <= n ? load<vf>(p + i) : load_n<vf>(p + i, n - i); }
TG_FN void put(float* p, int i, int n, vf v) {
  if (i + L <= n) store(p + i, v);
  else store_n(p + i, v, n - i);
}

#if defined(TG_ISA_AVX512) || defined(__aarch64__)
constexpr int tile_accumulators = 24;
#else
constexpr int tile_accumulators = 12;
#endif
constexpr int EV = 2, E = EV * L;  // events: vectors, number

constexpr int tile_outputs(int chains) { return tile_accumulators / (EV * chains); }
