// dw(N,K) = dy(M,N)^T x(M,K) in the batch order of math/order.h: a chain of fma per shard of rows, shards joined in the tree.
#pragma once
#include "cuda/reduce.h"

namespace tg::cuda {

template <class T>
struct DenseGradOperands {
  int64_t M = 0, N = 0, K = 0;
  int64_t shard = 0;
  Walk<1> dy_rows, x_rows;  // where row m starts
  const T* dy = nullptr;
  int64_t dy_n = 0;
  const T* x = nullptr;
  int64_t x_k = 0;
};

// A block makes a tile of the sum over one piece of the rows, which is 2^i shards: each thread micro by micro outputs, with the
// stack of the tree beside them. Pieces are there to fill the device; how many there are changes no bit.
template <class T>
struct DenseGradTile {
  static constexpr int threads = 256, micro = 4, depth = 16, tile = 64, across = tile / micro;
  static constexpr int levels =
      6;  // of the stack: it lies in memory that the device sets aside for every thread it can hold
  static_assert(shard_rows(1) % depth == 0 && shard_rows(1 << 20) % depth == 0);
  struct Shared {
    T dy[depth][tile + 4], x[depth][tile + 4];
  };
  struct Own {
    T chain[micro][micro];  // (n, k)
    T stack[levels][micro][micro];
    int64_t shards;
    int entries;
  };
  DenseGradOperands<T> d;
  int64_t piece_rows, tiles_n, tiles_k;
  T* partial;  // (pieces, N, K)

  TG_BODY int64_t steps() const { return ((piece_rows < d.M ? piece_rows : d.M) + depth - 1) / depth; }
  TG_BODY int64_t piece(int64_t block) const { return block / (tiles_n * tiles_k); }
  TG_BODY int64_t first_n(int64_t block) const { return block / tiles_k % tiles_n * tile; }
  TG_BODY int64_t first_k(int64_t block) const { return block % tiles_k * tile; }
  TG_BODY int64_t rows(int64_t block) const {  // of its piece
    const int64_t left = d.M - piece(block) * piece_rows;
    return left < piece_rows ? left : piece_rows;
  }

  TG_BODY void begin(int64_t, int, Own& own) const {
    clear(own);
    own.shards = 0;
    own.entries = 0;
  }
  TG_BODY void load(int64_t block, int64_t step, int thread, Shared& shared) const {
    const int64_t n0 = first_n(block), k0 = first_k(block), m0 = step * depth, count = rows(block);
    const int column = thread % tile;  // threads side by side read a row
    for (int r = thread / tile; r < depth; r += threads / tile) {
      const bool there = m0 + r < count;
      const int64_t m = piece(block) * piece_rows + m0 + r;
      shared.dy[r][column] = there && n0 + column < d.N ? d.dy[d.dy_rows.offset(m) + (n0 + column) * d.dy_n] : T(0);
      shared.x[r][column] = there && k0 + column < d.K ? d.x[d.x_rows.offset(m) + (k0 + column) * d.x_k] : T(0);
    }
  }
  TG_BODY void work(int64_t block, int64_t step, int thread, const Shared& shared, Own& own) const {
    const int64_t left = rows(block) - step * depth;
    if (left >= depth) {
      TG_UNROLLED
      for (int r = 0; r < depth; r++) add(r, thread, shared, own);
    } else {
      for (int r = 0; r < left; r++) add(r, thread, shared, own);
    }
    const int64_t done = (step + 1) * depth;
    if (left > 0 && (done % d.shard == 0 || left <= depth)) push(own);
  }
  TG_BODY void end(int64_t block, int thread, Own& own) const {
    const int64_t n = first_n(block) + thread / across * micro, k = first_k(block) + thread % across * micro;
    if (own.entries) {
      copy(own.stack[own.entries - 1], own.chain);
      for (int e = own.entries - 2; e >= 0; e--) join(own.stack[e], own.chain);
    }
    for (int i = 0; i < micro; i++)
      for (int j = 0; j < micro; j++)
        if (n + i < d.N && k + j < d.K) partial[(piece(block) * d.N + n + i) * d.K + k + j] = own.chain[i][j];
  }

  TG_BODY void add(int r, int thread, const Shared& shared, Own& own) const {
    T dy[micro], x[micro];
    TG_UNROLLED
    for (int i = 0; i < micro; i++) dy[i] = shared.dy[r][thread / across * micro + i];
    TG_UNROLLED
    for (int j = 0; j < micro; j++) x[j] = shared.x[r][thread % across * micro + j];
    TG_UNROLLED
    for (int i = 0; i < micro; i++) {
      TG_UNROLLED
      for (int j = 0; j < micro; j++) own.chain[i][j] = fma(dy[i], x[j], own.chain[i][j]);
    }
  }
  // The shard that is done goes on the stack, after the merges that its number asks for.
  TG_BODY void push(Own& own) const {
    for (int merges = tree_merges(own.shards++); merges > 0; merges--) join(own.stack[--own.entries], own.chain);
    copy(own.chain, own.stack[own.entries++]);
    clear(own);
  }
  TG_BODY static void join(const T (&older)[micro][micro], T (&younger)[micro][micro]) {
    TG_UNROLLED
    for (int i = 0; i < micro * micro; i++)
      younger[i / micro][i % micro] = older[i / micro][i % micro] + younger[i / micro][i % micro];
  }
  TG_BODY static void copy(const T (&from)[micro][micro], T (&to)[micro][micro]) {
    TG_UNROLLED
    for (int i = 0; i < micro * micro; i++) to[i / micro][i % micro] = from[i / micro][i % micro];
  }
  TG_BODY static void clear(Own& own) {
    TG_UNROLLED
    for (int i = 0; i < micro * micro; i++) own.chain[i / micro][i % micro] = T(0);
  }
};

template <class T, class Take>
void dense_weight_gradient(const DenseGradOperands<T>& d, T* dw, Stream stream, Take take) {
  using Tile = DenseGradTile<T>;
  constexpr int64_t kBlocks = 512;  // enough for the largest devices
  const int64_t tiles_n = (d.N + Tile::tile - 1) / Tile::tile, tiles_k = (d.K + Tile::tile - 1) / Tile::tile;
  const int64_t tiles = tiles_n * tiles_k;
  if (tiles == 0) return;
  int64_t piece_rows = d.shard;
  while (piece_rows < d.shard << (Tile::levels - 1) && (d.M + piece_rows - 1) / piece_rows * tiles > kBlocks)
    piece_rows *= 2;
  const int64_t pieces = d.M ? (d.M + piece_rows - 1) / piece_rows : 1;
  T* partial = pieces > 1 ? take(pieces * d.N * d.K) : dw;
  teams(stream, pieces * tiles, Tile{d, piece_rows, tiles_n, tiles_k, partial});
  join_pieces<T>(d.N * d.K, pieces, partial, dw, stream, take);
}

}  // namespace tg::cuda
