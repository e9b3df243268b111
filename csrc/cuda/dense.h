// y(M,N) = x(M,K) W(N,K)^T + bias(N) in the dense order of math/order.h: S interleaved chains of fma over k.
#pragma once
#include "cuda/walk.h"
#include "math/order.h"
#include "math/pointwise.h"

namespace tg::cuda {

template <class T>
struct DenseOperands {
  int64_t M = 0, N = 0, K = 0;
  Walk<1> rows;  // of x: where row m starts
  const T* x = nullptr;
  int64_t x_k = 0;
  const T* w = nullptr;
  int64_t w_n = 0, w_k = 0;
  const T* bias = nullptr;  // or none
  int64_t bias_n = 0;
  T* y = nullptr;  // contiguous
};

// A block makes a tile of (tile_m, tile_n) outputs, each thread micro by micro of them. Tiles are as narrow as the rows for
// which S chains are wanted, so that few of their columns are idle.
template <class T, int S>
struct DenseTile {
  static constexpr int threads = 256, micro = 4, depth = 16;
  static constexpr int tile_n = S == 4 ? 16 : S == 2 ? 32 : 64, tile_m = threads * micro * micro / tile_n;
  static constexpr int across = tile_n / micro;  // threads along n
  static_assert(depth % S == 0);
  struct Shared {
    T x[depth][tile_m + 4], w[depth][tile_n + 4];  // the padding keeps threads out of each other's banks
  };
  struct Own {
    T chain[S][micro][micro];  // (chain, m, n)
  };
  DenseOperands<T> d;
  int64_t tiles_n;
  bool relu;

  TG_BODY int64_t steps() const { return (d.K + depth - 1) / depth; }
  TG_BODY int64_t first_m(int64_t block) const { return block / tiles_n * tile_m; }
  TG_BODY int64_t first_n(int64_t block) const { return block % tiles_n * tile_n; }

  TG_BODY void begin(int64_t block, int thread, Own& own) const {
    const int64_t n = first_n(block) + thread % across * micro;
    TG_UNROLLED
    for (int j = 0; j < micro; j++) {
      const T start = d.bias && n + j < d.N ? d.bias[(n + j) * d.bias_n] : T(0);
      TG_UNROLLED
      for (int i = 0; i < micro; i++) {
        own.chain[0][i][j] = start;
        TG_UNROLLED
        for (int s = 1; s < S; s++) own.chain[s][i][j] = T(0);
      }
    }
  }
  // Beyond the edges zeros, which no output takes in.
  TG_BODY void load(int64_t block, int64_t step, int thread, Shared& shared) const {
    const int64_t m0 = first_m(block), n0 = first_n(block), k = step * depth + thread % depth;
    for (int m = thread / depth; m < tile_m; m += threads / depth)
      shared.x[thread % depth][m] = m0 + m < d.M && k < d.K ? d.x[d.rows.offset(m0 + m) + k * d.x_k] : T(0);
    for (int n = thread / depth; n < tile_n; n += threads / depth)
      shared.w[thread % depth][n] = n0 + n < d.N && k < d.K ? d.w[(n0 + n) * d.w_n + k * d.w_k] : T(0);
  }
  TG_BODY void work(int64_t, int64_t step, int thread, const Shared& shared, Own& own) const {
    const int64_t left = d.K - step * depth;
    if (left >= depth) {
      TG_UNROLLED
      for (int k = 0; k < depth; k += S) terms(k, S, thread, shared, own);
    } else {  // a term that is not there may not be added as 0: -0 would become +0
      for (int k = 0; k < left; k += S) terms(k, left - k < S ? int(left) - k : S, thread, shared, own);
    }
  }
  TG_BODY void terms(int k, int count, int thread, const Shared& shared, Own& own) const {
    TG_UNROLLED
    for (int s = 0; s < S; s++)
      if (s < count) add(k + s, own.chain[s], thread, shared);
  }
  TG_BODY void add(int k, T (&chain)[micro][micro], int thread, const Shared& shared) const {
    T x[micro], w[micro];
    TG_UNROLLED
    for (int i = 0; i < micro; i++) x[i] = shared.x[k][thread / across * micro + i];
    TG_UNROLLED
    for (int j = 0; j < micro; j++) w[j] = shared.w[k][thread % across * micro + j];
    TG_UNROLLED
    for (int i = 0; i < micro; i++) {
      TG_UNROLLED
      for (int j = 0; j < micro; j++) chain[i][j] = fma(x[i], w[j], chain[i][j]);
    }
  }
  TG_BODY static T folded(T (&chain)[S]) {  // as reference::fold
    if constexpr (S == 4) return (chain[0] + chain[2]) + (chain[1] + chain[3]);
    else if constexpr (S == 2) return chain[0] + chain[1];
    else return chain[0];
  }
  TG_BODY void end(int64_t block, int thread, Own& own) const {
    const int64_t m = first_m(block) + thread / across * micro, n = first_n(block) + thread % across * micro;
    TG_UNROLLED
    for (int i = 0; i < micro; i++) {
      TG_UNROLLED
      for (int j = 0; j < micro; j++) {
        T all[S];
        TG_UNROLLED
        for (int s = 0; s < S; s++) all[s] = own.chain[s][i][j];
        const T y = folded(all);
        if (m + i < d.M && n + j < d.N) d.y[(m + i) * d.N + n + j] = relu ? op_relu::f(y, T(0), T(0)) : y;
      }
    }
  }
};

template <class T, int S>
void dense_tiles(const DenseOperands<T>& d, bool relu, Stream stream) {
  using Tile = DenseTile<T, S>;
  const int64_t tiles_m = (d.M + Tile::tile_m - 1) / Tile::tile_m, tiles_n = (d.N + Tile::tile_n - 1) / Tile::tile_n;
  teams(stream, tiles_m * tiles_n, Tile{d, tiles_n, relu});
}
template <class T>
void dense_forward(const DenseOperands<T>& d, bool relu, Stream stream) {
  switch (dense_chains(d.K, d.N)) {
    case 4: return dense_tiles<T, 4>(d, relu, stream);
    case 2: return dense_tiles<T, 2>(d, relu, stream);
    default: return dense_tiles<T, 1>(d, relu, stream);
  }
}

}  // namespace tg::cuda
