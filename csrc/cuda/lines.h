// Kernels over lines: threads that make one result out of many elements, in the orders of math/order.h. A body says what is
// done with a line, whoever does it:
//
//   lines(stream, count, n, across, body)  body(team, o) for every line o < count of n elements; across: neighbouring lines, not
//                                          elements, lie side by side
//       team.reduce(n, start, step, join)      the row order: chains of acc = step(acc, i), joined; known to all of the team
//       team.each(n, f)                        f(i) for i < n; it may read what step(acc, i) wrote
//       team.once(f)                           f() by one of them
//   blocks(stream, grid, body)             body(team, o, part) for every line o < grid.outputs and every part of it, by blocks
//       team.totals(pieces, start, piece, join)  of each lane the tree over piece(lane, p)
//       team.lanes(totals, f)                  f(lane, total) for each lane
//       team.fold(totals, join)                the lanes folded by halves; known to all of the team
//
// A line in row order has 16 lanes, else one. Where there are no threads (launch.h) a team is one that goes through all lanes.
#pragma once
#include "cuda/launch.h"
#include "math/reference_rows.h"

namespace tg::cuda {

// The binary tree of math/order.h over less than 2^levels pieces, its stack in registers: slot l holds 2^l pieces if bit l of
// their number is set. So all places are known when it is compiled, every push goes through all levels.
template <class A, int levels>
struct Tree {
  A slot[levels];
  uint32_t pieces = 0;
  template <class Join>
  TG_BODY void push(A piece, Join join) {
    bool on = true;  // is `piece` still to be placed?
    TG_UNROLLED
    for (int l = 0; l < levels; l++) {
      const bool full = pieces >> l & 1;
      const A joined = on && full ? join(slot[l], piece) : piece;
      if (on && !full) slot[l] = piece;
      piece = joined;
      on = on && full;
    }
    pieces++;
  }
  template <class Join>
  TG_BODY A total(A none, Join join) const {
    bool any = false;
    TG_UNROLLED
    for (int l = 0; l < levels; l++)
      if (pieces >> l & 1) {
        none = any ? join(slot[l], none) : slot[l];
        any = true;
      }
    return none;
  }
};

// The tree over up to 2^levels pieces, of which there is at least one, all at hand at once.
template <int levels, class A, class Piece, class Join>
TG_BODY A small_tree(int64_t pieces, A none, Piece piece, Join join) {
  A v[1 << levels];
  TG_UNROLLED
  for (int i = 0; i < 1 << levels; i++) v[i] = i < pieces ? piece(i) : none;
  TG_UNROLLED
  for (int l = 0; l < levels; l++) {
    TG_UNROLLED
    for (int i = 0; i < 1 << levels; i++)
      if (!(i & ((2 << l) - 1)) && i + (1 << l) < pieces) v[i] = join(v[i], v[i + (1 << l)]);
  }
  return v[0];
}

inline constexpr int64_t row_piece = row_lanes * row_shard;  // elements after which every lane has finished a chain
inline constexpr int kTreeLevels = 10;  // of a part of a line: a thread takes less than 2^10 pieces
inline constexpr int kRowLevels = 20;   // of a whole row

TG_BODY int64_t row_pieces(int64_t n) { return (n + row_piece - 1) / row_piece; }

// Of lane `lane` of a row: its chain in piece p.
template <class A, class Step>
TG_BODY A row_chain(int64_t n, int lane, int64_t p, A acc, Step step) {
  const int64_t end = (p + 1) * row_piece < n ? (p + 1) * row_piece : n;
  for (int64_t i = p * row_piece + lane; i < end; i += row_lanes) acc = step(acc, i);
  return acc;
}

// A grid of blocks: `across` lanes of lines side by side, `wide` of them in a block, whose teams share out the pieces.
struct Blocks {
  int64_t outputs;
  int lanes;  // of a line: row_lanes or 1
  int wide;   // a power of two, at least `lanes`
  int64_t parts;
};

#if defined(TG_THREADS)

template <int bytes>
struct alignas(16) Room {
  unsigned char at[bytes];
};

// `a` of the thread whose number differs in the bits of `apart`
template <class A>
__device__ __forceinline__ A exchanged(const A& a, int apart, unsigned mask) {
  constexpr int words = (sizeof(A) + 3) / 4;
  uint32_t word[words] = {};
  A b;
  __builtin_memcpy(word, &a, sizeof a);
  TG_UNROLLED
  for (int w = 0; w < words; w++) word[w] = __shfl_xor_sync(mask, word[w], apart);
  __builtin_memcpy(&b, word, sizeof b);
  return b;
}

// Threads side by side in a warp, G of them: lanes me, me + G, ... of a row are this thread's.
template <int G>
struct Team {
  static constexpr int own = row_lanes / G;
  int me;
  unsigned mask;
  __device__ __forceinline__ Team() {
    const int place = int(threadIdx.x) & 31;
    me = place & (G - 1);
    mask = ((1u << G) - 1) << (place & ~(G - 1));
  }

  template <class A, class Step, class Join>
  __device__ __forceinline__ A reduce(int64_t n, A start, Step step, Join join) const {
    A acc[own];
    if constexpr (own > 1) {  // one piece: so few threads are for short rows
      TG_UNROLLED
      for (int l = 0; l < own; l++) acc[l] = start;
      for (int64_t first = me; first < n; first += row_lanes) {
        TG_UNROLLED
        for (int l = 0; l < own; l++)
          if (first + l * G < n) acc[l] = step(acc[l], first + l * G);
      }
    } else {
      acc[0] = row_chain(n, me, 0, start, step);
      if (n > row_piece) {
        Tree<A, kFewLevels> tree;
        tree.push(acc[0], join);
        for (int64_t p = 1; p < row_pieces(n); p++) tree.push(row_chain(n, me, p, start, step), join);
        acc[0] = tree.total(start, join);
      }
    }
    TG_UNROLLED
    for (int k = 1; k <= 4; k++) {  // half of the lanes, a quarter of them, ...
      constexpr int all = row_lanes;
      if (const int l = (all >> k) / G; l > 0) {
        TG_UNROLLED
        for (int i = 0; i < own / 2; i++)
          if (i < l) acc[i] = join(acc[i], acc[i + l]);
      } else {
        acc[0] = join(acc[0], exchanged(acc[0], all >> k, mask));
      }
    }
    return acc[0];
  }
  template <class F>
  __device__ __forceinline__ void each(int64_t n, F f) const {
    for (int64_t i = me; i < n; i += G) f(i);
  }
  template <class F>
  __device__ __forceinline__ void once(F f) const {
    if (me == 0) f();
  }

  static constexpr int kFewLevels = 4;
  static constexpr int64_t most = G < row_lanes ? row_piece : row_piece << (kFewLevels - 1);  // elements of a row
};

// A block: threads side by side are lanes, of one line after the other; behind each other they share out the pieces.
struct BlockTeam {
  int count, lane;  // of the line's lanes this thread's
  int column, wide, team, teams;
  bool there;  // has this thread a line?
  void* room;  // for as many partial results as there are threads

  template <int levels = kTreeLevels, class A, class Piece, class Join>
  __device__ __forceinline__ A totals(int64_t pieces, A start, Piece piece, Join join) const {
    A* all = static_cast<A*>(room);
    int64_t chunk = 1;
    while (chunk * teams < pieces) chunk *= 2;
    const int64_t first = team * chunk, last = first + chunk < pieces ? first + chunk : pieces;
    Tree<A, levels> tree;
    if (there)
      for (int64_t p = first; p < last; p++) tree.push(piece(lane, p), join);
    __syncthreads();  // what was there before has been read
    all[threadIdx.x] = tree.total(start, join);
    for (int apart = 1; apart < teams; apart *= 2) {
      __syncthreads();
      if (!(team & (2 * apart - 1)) && (team + apart) * chunk < pieces)
        all[threadIdx.x] = join(all[threadIdx.x], all[threadIdx.x + apart * wide]);
    }
    __syncthreads();
    return all[column];
  }
  template <class A, class F>
  __device__ __forceinline__ void lanes(const A& total, F f) const {
    if (there && team == 0) f(lane, total);
  }
  template <class A, class Join>
  __device__ __forceinline__ A fold(A total, Join join) const {
    for (int apart = count / 2; apart > 0; apart /= 2) total = join(total, exchanged(total, apart, ~0u));
    return total;
  }
  template <class F>
  __device__ __forceinline__ void once(F f) const {
    if (there && team == 0 && lane == 0) f();
  }

  // A row by the whole block.
  template <class A, class Step, class Join>
  __device__ __forceinline__ A reduce(int64_t n, A start, Step step, Join join) const {
    return fold(totals<kRowLevels>(
                    row_pieces(n), start, [&](int l, int64_t p) { return row_chain(n, l, p, start, step); }, join),
                join);
  }
  template <class F>
  __device__ __forceinline__ void each(int64_t n, F f) const {
    for (int64_t i = threadIdx.x; i < n; i += kThreads) f(i);
  }
};

template <class Body>
__global__ void __launch_bounds__(kThreads) run_blocks(const Blocks grid, const Body body) {
  TG_SHARED(Room<kThreads * Body::room>, room);
  const int64_t tiles = (grid.outputs * grid.lanes + grid.wide - 1) / grid.wide;
  const int64_t part = blockIdx.x / tiles, tile = blockIdx.x - part * tiles;
  const int column = int(threadIdx.x) & (grid.wide - 1);
  const int64_t q = tile * grid.wide + column, o = q / grid.lanes;
  const bool there = o < grid.outputs;
  const BlockTeam team{
      grid.lanes, int(q - o * grid.lanes), column, grid.wide, int(threadIdx.x) / grid.wide, kThreads / grid.wide, there,
      room.at};
  body(team, there ? o : 0, part);
}
template <class Body>
void blocks(Stream stream, const Blocks& grid, const Body& body) {
  const int64_t tiles = (grid.outputs * grid.lanes + grid.wide - 1) / grid.wide;
  launch(run_blocks<Body>, tiles * grid.parts, kThreads, 0, stream, grid, body);
}

template <int G, class Body>
__global__ void __launch_bounds__(kThreads) run_lines(int64_t count, const Body body) {
  const int64_t o = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / G;
  if (o < count) body(Team<G>(), o);
}
template <class Body>
__global__ void __launch_bounds__(kThreads) run_long_lines(const Body body) {
  TG_SHARED(Room<kThreads * Body::room>, room);
  const int lane = int(threadIdx.x) % row_lanes;
  const BlockTeam team{row_lanes, lane,   lane, row_lanes, int(threadIdx.x) / row_lanes, kThreads / row_lanes,
                       true,      room.at};
  body(team, int64_t(blockIdx.x));
}

// As many threads as a line is worth.
template <class Body>
void lines(Stream stream, int64_t count, int64_t n, bool across, const Body& body) {
  auto short_ones = [&](auto kernel, int threads) {
    launch(kernel, (count * threads + kThreads - 1) / kThreads, kThreads, 0, stream, count, body);
  };
  if (n <= (across ? Team<1>::most : 4)) short_ones(run_lines<1, Body>, 1);
  else if (n <= 2 * row_lanes) short_ones(run_lines<4, Body>, 4);
  else if (n <= Team<row_lanes>::most) short_ones(run_lines<row_lanes, Body>, row_lanes);
  else launch(run_long_lines<Body>, count, kThreads, 0, stream, body);
}

#else

template <class A>
struct LaneTotals {
  A lane[row_lanes];
};

struct OneThread {
  int count;  // of lanes

  template <class A, class Piece, class Join>
  LaneTotals<A> totals(int64_t pieces, A start, Piece piece, Join join) const {
    LaneTotals<A> t;
    in_some_order(count, [&](int64_t l) {
      t.lane[l] = reference::tree_order(pieces, start, [&](int64_t p) { return piece(int(l), p); }, join);
    });
    return t;
  }
  template <class A, class F>
  void lanes(const LaneTotals<A>& t, F f) const {
    in_some_order(count, [&](int64_t l) { f(int(l), t.lane[l]); });
  }
  template <class A, class Join>
  A fold(LaneTotals<A> t, Join join) const {
    for (int half = count / 2; half > 0; half /= 2)
      for (int l = 0; l < half; l++) t.lane[l] = join(t.lane[l], t.lane[l + half]);
    return t.lane[0];
  }
  template <class F>
  void once(F f) const {
    f();
  }
  template <class A, class Step, class Join>
  A reduce(int64_t n, A start, Step step, Join join) const {
    return fold(
        totals(row_pieces(n), start, [&](int l, int64_t p) { return row_chain(n, l, p, start, step); }, join), join);
  }
  template <class F>
  void each(int64_t n, F f) const {
    in_some_order(n, f);
  }
};

template <class Body>
void blocks(Stream stream, const Blocks& grid, const Body& body) {
  each(stream, grid.outputs * grid.parts,
       [=](int64_t i) { body(OneThread{grid.lanes}, i % grid.outputs, i / grid.outputs); });
}
template <class Body>
void lines(Stream stream, int64_t count, int64_t, bool, const Body& body) {
  each(stream, count, [=](int64_t o) { body(OneThread{row_lanes}, o); });
}

#endif

}  // namespace tg::cuda
