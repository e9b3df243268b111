// Reductions in the canonical orders of math/order.h. What is reduced is a kind:
//
//   static constexpr int inputs            of how many tensors an element is made
//   using Acc
//   start(), join(a, b)
//   center(o)                              what of output o the step needs
//   step(acc, at, i, center)               takes element i, which is at[k] elements from where input k starts
//   finish(o, acc)                         writes output o
#pragma once
#include "cuda/lines.h"
#include "cuda/walk.h"

#if defined(__CUDACC__)
#define TG_UNROLLED_BY_AHEAD _Pragma("unroll ahead")
#else
#define TG_UNROLLED_BY_AHEAD
#endif

namespace tg::cuda {

// Output o is made of n elements, step[k] apart in input k, from `kept`'s place o on.
template <int inputs>
struct Reduction {
  bool by_rows = true;  // row order: 16 trees for each output; else batch order, one
  int64_t outputs = 1, n = 0;
  int64_t shard = row_shard;  // terms of a chain
  Walk<inputs> kept;
  int64_t step[inputs] = {};
  TG_BODY int lanes() const { return by_rows ? row_lanes : 1; }
  TG_BODY int64_t pieces() const { return (n + shard * lanes() - 1) / (shard * lanes()); }
};

// How a reduction steps over the elements of output o.
template <class Kind>
struct Steps {
  const Reduction<Kind::inputs>& r;
  const Kind& kind;
  int64_t base[Kind::inputs];
  decltype(kind.center(0)) center;
  TG_BODY Steps(const Reduction<Kind::inputs>& r, const Kind& kind, int64_t o)
      : r(r), kind(kind), center(kind.center(o)) {
    r.kept.offsets(o, base);
  }
  TG_BODY typename Kind::Acc operator()(typename Kind::Acc acc, int64_t i) const {
    int64_t at[Kind::inputs];
    TG_UNROLLED
    for (int k = 0; k < Kind::inputs; k++) at[k] = base[k] + i * r.step[k];
    return kind.step(acc, at, i, center);
  }
};

// A whole line at once.
template <class Kind>
struct ReduceLines {
  static constexpr int room = sizeof(typename Kind::Acc);
  Reduction<Kind::inputs> r;
  Kind kind;
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t o) const {
    using Acc = typename Kind::Acc;
    const Acc acc =
        team.reduce(r.n, kind.start(), Steps<Kind>(r, kind, o), [&](Acc a, Acc b) { return kind.join(a, b); });
    team.once([&] { kind.finish(o, acc); });
  }
};

// A part of a line's pieces, for each of its lanes: all of them, or partial results (part, output, lane).
template <class Kind>
struct ReducePieces {
  using Acc = typename Kind::Acc;
  static constexpr int room = sizeof(Acc);
  static constexpr int ahead = 8 / Kind::inputs;  // elements that are read before the first is added
  Reduction<Kind::inputs> r;
  Kind kind;
  int64_t pieces;  // of a part
  Acc* partial;    // null: a part is all
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t o, int64_t part) const {
    const Steps<Kind> step(r, kind, o);
    const int lanes = r.lanes();
    auto join = [&](Acc a, Acc b) { return kind.join(a, b); };
    const int64_t first = part * pieces, left = r.pieces() - first;
    const auto total = team.totals(
        left < pieces ? left : pieces, kind.start(),
        [&](int lane, int64_t p) {
          const int64_t from = (first + p) * r.shard * lanes, to = from + r.shard * lanes;
          const int64_t end = to < r.n ? to : r.n;
          Acc acc = kind.start();
          TG_UNROLLED_BY_AHEAD
          for (int64_t i = from + lane; i < end; i += lanes) acc = step(acc, i);
          return acc;
        },
        join);
    if (partial) {
      team.lanes(total, [&](int lane, Acc a) { partial[(part * r.outputs + o) * lanes + lane] = a; });
    } else {
      const Acc acc = team.fold(total, join);
      team.once([&] { kind.finish(o, acc); });
    }
  }
};

// The partial results of all parts.
template <class Kind>
struct ReduceParts {
  using Acc = typename Kind::Acc;
  static constexpr int room = sizeof(Acc);
  static constexpr int levels = 3, fan = 1 << levels;  // read at once
  Kind kind;
  int64_t outputs, parts;
  int lanes;
  const Acc* partial;
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t o, int64_t) const {
    auto join = [&](Acc a, Acc b) { return kind.join(a, b); };
    const auto total =
        team.totals((parts + fan - 1) / fan, kind.start(),
                    [&](int lane, int64_t p) {
                      const Acc* from = partial + (p * fan * outputs + o) * lanes + lane;
                      return small_tree<levels>(
                          parts - p * fan, kind.start(), [&](int k) { return from[k * outputs * lanes]; }, join);
                    },
                    join);
    const Acc acc = team.fold(total, join);
    team.once([&] { kind.finish(o, acc); });
  }
};

// Blocks whose threads are as many lanes side by side as leaves teams for the pieces.
inline Blocks blocks_for(int64_t outputs, int lanes, int64_t pieces, int64_t parts) {
  int wide = kThreads;
  while (wide > (lanes > 1 ? lanes : 32) && kThreads / wide < pieces) wide /= 2;
  return {outputs, lanes, wide, parts};
}

// Long rows, and columns.
template <class Kind, class Take>
void reduce_in_blocks(const Reduction<Kind::inputs>& r, const Kind& kind, Stream stream, Take take) {
  using Acc = typename Kind::Acc;
  if (r.outputs == 0) return;
  constexpr int64_t kBlocks = 512;  // enough for the largest devices
  const int64_t pieces = r.pieces();
  Blocks grid = blocks_for(r.outputs, r.lanes(), pieces, 1);
  const int64_t tiles = (r.outputs * r.lanes() + grid.wide - 1) / grid.wide;
  const int64_t teams = kThreads / grid.wide;
  int64_t size = 2 * teams;  // pieces of a part: a power of two, so that its tree is a part of the whole
  while (size < pieces && size < teams << (kTreeLevels - 1) && tiles * ((pieces + size - 1) / size) > kBlocks)
    size *= 2;
  grid.parts = size < pieces ? (pieces + size - 1) / size : 1;
  if (grid.parts == 1) return blocks(stream, grid, ReducePieces<Kind>{r, kind, pieces, nullptr});
  const int64_t across = r.outputs * r.lanes();
  Acc* partial = reinterpret_cast<Acc*>(take(grid.parts * across * int64_t(sizeof(Acc))));
  blocks(stream, grid, ReducePieces<Kind>{r, kind, size, partial});
  blocks(stream,
         blocks_for(r.outputs, r.lanes(), (grid.parts + ReduceParts<Kind>::fan - 1) / ReduceParts<Kind>::fan, 1),
         ReduceParts<Kind>{kind, r.outputs, grid.parts, r.lanes(), partial});
}

template <class Kind, class Take>
void reduce(const Reduction<Kind::inputs>& r, const Kind& kind, Stream stream, Take take) {
  if (!r.by_rows || r.n > row_piece * 4) return reduce_in_blocks(r, kind, stream, take);
  lines(stream, r.outputs, r.n, across(r.kept, r.step[0]), ReduceLines<Kind>{r, kind});
}

}  // namespace tg::cuda
