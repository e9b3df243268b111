// dw(N,K) = dy(M,N)^T x(M,K), and db(N), the sums of dy's columns, in the batch order of math/order.h: a chain per shard of rows,
// shards joined in the tree.
#pragma once
#include "cuda/finish.h"
#include "cuda/product.h"

namespace tg::cuda {

struct GradientOperands {
  Extents d{};  // as products see them: lines N of dy and K of x are d.M and d.N, the rows that are summed over d.K
  Matrix dy, x;
  int64_t shard = 0;
  bool bias = false;
};

// A block makes a tile of the sum over one piece of the rows, which is 2^i shards. The shards that wait in the tree's stack lie in the
// block's memory, deeper ones in the device's; each thread sees its own alone. How many pieces there are changes no bit.
template <class T, class Shape>
struct Gradient : Chains<T, Shape, Along::lines, Along::lines> {
  using Base = Chains<T, Shape, Along::lines, Along::lines>;
  using typename Base::Stage;
  static constexpr int vectors = Shape::micro_m * Shape::micro_n / 4, parts = 1;
  static constexpr int blocks = Shape::threads == 256 ? 1 : Base::blocks;  // the stack costs a few registers more
  static_assert(shard_rows(1) % Shape::depth == 0 && shard_rows(1 << 20) % Shape::depth == 0);
  static_assert(Shape::m <= Shape::threads || Shape::m % Shape::threads == 0);
  struct Own {
    typename Base::Sums sums;
    T bias;
    int64_t row, rows;  // the first of its piece, and how many
    int n, k;           // the first of its tile
    int shards, entries;
    bool sums_bias;
  };
  // Of one shard in the stack, for all threads of the block.
  struct Waiting {
    Four<T> sums[vectors][Shape::threads];
    T bias[Shape::threads];
  };
  GradientOperands o;
  int64_t piece_rows, tiles_n, tiles;  // tiles along x, and of a piece
  int near;                            // entries of the stack in the block's memory
  int far;                             // and in the device's
  Waiting* waiting;                    // (blocks, far)
  void *dw, *db;                       // (pieces, N, K) of T and (pieces, N), or where there is one piece the results
  Dtype type;
  bool wide;                   // four of dw can be stored as one
  int64_t dw_piece, db_piece;  // from one piece to the next

  TG_BODY int64_t rows(int64_t block) const {
    const int64_t left = o.d.K - block / tiles * piece_rows;
    return left < piece_rows ? left : piece_rows;
  }
  TG_BODY int64_t steps(int64_t block) const { return (rows(block) + Shape::depth - 1) / Shape::depth; }

  TG_BODY void begin(int64_t block, int thread, Own& own, unsigned char*) const {
    own.row = block / tiles * piece_rows;
    own.rows = rows(block);
    own.n = int(block % tiles / tiles_n * Shape::m);
    own.k = int(block % tiles % tiles_n * Shape::n);
    own.sums_bias = o.bias && own.k == 0 && thread < Shape::m;
    Base::clear(own.sums);
    own.bias = T(0);
    own.shards = 0;
    own.entries = 0;
  }
  // x + -0 is x: rows beyond the last change no sum, nor does their product with +0.
  TG_BODY void load(int64_t, int64_t step, int thread, Stage& stage, const Own& own) const {
    const int64_t row = own.row + step * Shape::depth;
    stage.a.load(o.dy, 0, own.n, o.d.M, row, o.d.K, -T(0), thread);
    stage.b.load(o.x, 0, own.k, o.d.N, row, o.d.K, T(0), thread);
  }
  TG_BODY void work(int64_t block, int64_t step, int thread, const Stage& stage, Own& own,
                    unsigned char* memory) const {
    Base::add(thread, stage, own.sums);
    if (own.sums_bias) {
      TG_UNROLLED
      for (int r = 0; r < Shape::depth; r++) own.bias = own.bias + stage.a.at[r][thread];
    }
    const bool last = (step + 1) * Shape::depth >= own.rows;
    if (!last && (step + 1) * Shape::depth % o.shard != 0) return;
    // The shard is done: it takes those in that its number asks for, the last one all that wait, and the others wait in turn.
    for (int merges = last ? own.entries : tree_merges(own.shards); merges > 0; merges--)
      join(*entry(block, --own.entries, memory), thread, own);
    if (last) return;
    own.shards++;
    leave(*entry(block, own.entries++, memory), thread, own);
    Base::clear(own.sums);
    own.bias = T(0);
  }
  TG_BODY Waiting* entry(int64_t block, int e, unsigned char* memory) const {
    return e < near ? reinterpret_cast<Waiting*>(memory + Shape::stages * sizeof(Stage)) + e
                    : waiting + block * far + (e - near);
  }
  TG_BODY static void join(const Waiting& older, int thread, Own& own) {
    TG_UNROLLED
    for (int v = 0; v < vectors; v++) {
      const Four<T> f = older.sums[v][thread];
      TG_UNROLLED
      for (int e = 0; e < 4; e++) {
        T& sum = own.sums[0][v * 4 / Shape::micro_n][v * 4 % Shape::micro_n + e];
        sum = f.at[e] + sum;
      }
    }
    own.bias = older.bias[thread] + own.bias;
  }
  TG_BODY static void leave(Waiting& there, int thread, const Own& own) {
    TG_UNROLLED
    for (int v = 0; v < vectors; v++) there.sums[v][thread] = four(own, v);
    there.bias[thread] = own.bias;
  }
  TG_BODY static Four<T> four(const Own& own, int v) {
    Four<T> f;
    TG_UNROLLED
    for (int e = 0; e < 4; e++) f.at[e] = own.sums[0][v * 4 / Shape::micro_n][v * 4 % Shape::micro_n + e];
    return f;
  }
  TG_BODY void put(int64_t block, int, int thread, Own& own, unsigned char*) const {
    const int64_t piece = block / tiles;
    TG_UNROLLED
    for (int v = 0; v < vectors; v++) {
      const int64_t n = int64_t(own.n) + Base::row(thread, v * 4 / Shape::micro_n);
      const int64_t k = int64_t(own.k) + Base::column(thread, v * 4 % Shape::micro_n);
      if (n >= o.d.M) continue;
      const Four<T> f = four(own, v);
      const int64_t place = piece * dw_piece + n * o.d.N + k;
      if (wide) {
        if (k < o.d.N) *reinterpret_cast<Four<T>*>(static_cast<T*>(dw) + place) = f;
        continue;
      }
      TG_UNROLLED
      for (int e = 0; e < 4; e++)
        if (k + e < o.d.N) set_element<T>(dw, type, place + e, f.at[e]);
    }
    if (own.sums_bias && own.n + thread < o.d.M) set_element<T>(db, type, piece * db_piece + own.n + thread, own.bias);
  }
  TG_BODY void take(int64_t, int, int, unsigned char*) const {}
};

// The tree over pieces, `fan` of them at a time, a power of two: a thread makes one sum.
template <class T>
struct JoinedPieces {
  static constexpr int fan = 16;
  int64_t n, pieces;
  const T* from;  // (pieces, n)
  void* to;       // (pieces / fan, n)
  Dtype type;
  TG_BODY void operator()(int64_t i) const {
    const int64_t place = i % n, first = i / n * fan;
    T sum[fan];
    TG_UNROLLED
    for (int k = 0; k < fan; k++) sum[k] = first + k < pieces ? from[(first + k) * n + place] : T(0);
    TG_UNROLLED
    for (int h = 1; h < fan; h *= 2) {
      TG_UNROLLED
      for (int k = 0; k + h < fan; k += 2 * h) sum[k] = first + k + h < pieces ? sum[k] + sum[k + h] : sum[k];
    }
    set_element<T>(to, type, i, sum[0]);
  }
};
template <class T, class Take>
void join_all(int64_t n, int64_t pieces, const T* from, void* to, Dtype type, Stream stream, Take take) {
  for (int64_t left; pieces > 1; pieces = left) {
    left = (pieces + JoinedPieces<T>::fan - 1) / JoinedPieces<T>::fan;
    T* joined = left > 1 ? static_cast<T*>(take(left * n * int64_t(sizeof(T)))) : nullptr;
    each(stream, left * n, JoinedPieces<T>{n, pieces, from, joined ? joined : to, joined ? dtype_like<T> : type});
    from = joined;
  }
}

struct Target {
  void *dw, *db;
  Dtype type;
};

template <class T, class Shape, class Take>
void gradient_of_shape(const GradientOperands& o, const Target& to, int multiprocessors, size_t memory, Stream stream,
                       Take take) {
  using Body = Gradient<T, Shape>;
  using Waiting = typename Body::Waiting;
  Body body;
  body.o = o;
  body.tiles_n = o.d.N ? (o.d.N + Shape::n - 1) / Shape::n : 1;
  body.tiles = (o.d.M + Shape::m - 1) / Shape::m * body.tiles_n;
  const int64_t wanted = int64_t(multiprocessors) * 512 / Shape::threads;  // blocks
  body.piece_rows = o.shard;
  while (body.piece_rows < o.d.K && (o.d.K + 2 * body.piece_rows - 1) / (2 * body.piece_rows) * body.tiles >= wanted)
    body.piece_rows *= 2;
  const int64_t pieces = o.d.K ? (o.d.K + body.piece_rows - 1) / body.piece_rows : 1;
  int levels = 0;  // of the stack
  while (o.shard << levels < body.piece_rows && o.shard << levels < o.d.K) levels++;
  const size_t stages = Shape::stages * sizeof(typename Body::Stage);
  const auto room = static_cast<int>(memory > stages ? (memory - stages) / sizeof(Waiting) : 0);
  body.near = levels < room ? levels : room;
  body.far = levels - body.near;
  body.waiting =
      body.far ? static_cast<Waiting*>(take(pieces * body.tiles * body.far * int64_t(sizeof(Waiting)))) : nullptr;
  body.dw_piece = o.d.M * o.d.N;
  body.db_piece = o.d.M;
  body.dw = to.dw;
  body.db = to.db;
  body.type = to.type;
  T *dw = nullptr, *db = nullptr;
  if (pieces > 1) {
    body.dw = dw = static_cast<T*>(take(pieces * body.dw_piece * int64_t(sizeof(T))));
    body.db = db = o.bias ? static_cast<T*>(take(pieces * body.db_piece * int64_t(sizeof(T)))) : nullptr;
    body.type = dtype_like<T>;
  }
  body.wide = body.type == dtype_like<T> && o.d.N % 4 == 0 && reinterpret_cast<uintptr_t>(body.dw) % 16 == 0;
  pipelined(stream, pieces * body.tiles, size_t(body.near) * sizeof(Waiting), body);
  join_all<T>(body.dw_piece, pieces, dw, to.dw, to.type, stream, take);
  if (o.bias) join_all<T>(body.db_piece, pieces, db, to.db, to.type, stream, take);
}

// `memory`: bytes of shared memory that a block may take.
template <class T, class Take>
void gradient(const GradientOperands& o, const Target& to, int multiprocessors, size_t memory, Stream stream,
              Take take) {
  if (o.d.M == 0 || (o.d.N == 0 && !o.bias)) return;
  auto run = [&](auto shape) { gradient_of_shape<T, decltype(shape)>(o, to, multiprocessors, memory, stream, take); };
  if constexpr (sizeof(T) == 4) {
    if (o.d.M > 64 && o.d.N > 64) return run(Shape<128, 128, 8, 8, 1, 2>{});
    if (o.d.M > 32 || o.d.N > 32) return run(Shape<64, 64, 8, 4, 1, 3>{});
  }
  run(Shape<32, 32, 4, 4, 1, 2>{});
}

}  // namespace tg::cuda
