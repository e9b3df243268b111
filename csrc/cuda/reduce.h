// Sums in the canonical orders of math/order.h. Each chain is a thread's; the binary tree over the chains is climbed in
// stages of kFan pieces, a power of two, so that a stage's trees are the lower part of the whole one.
#pragma once
#include "cuda/walk.h"
#include "math/reference.h"
#include "math/reference_rows.h"

namespace tg::cuda {

inline constexpr int kFan = 32;

// ---- the tree over pieces; from (pieces, across) -> to (pieces / kFan, across)
template <class T>
struct Joins {
  int64_t across, pieces;
  const T* from;
  T* to;
  TG_BODY void operator()(int64_t i) const {
    const int64_t piece = i / across, place = i % across, left = pieces - piece * kFan;
    to[i] = reference::tree_order(
        left < kFan ? left : int64_t(kFan), T(0), [&](int64_t k) { return from[(piece * kFan + k) * across + place]; },
        [](T a, T b) { return a + b; });
  }
};
// The result lies in `out` or, where that is null, in room that `take(n)` gives for n partial results.
template <class T, class Take>
const T* join_pieces(int64_t across, int64_t pieces, const T* from, T* out, Stream stream, Take take) {
  while (pieces > 1) {
    const int64_t joined = (pieces + kFan - 1) / kFan;
    T* to = out && joined == 1 ? out : take(joined * across);
    each(stream, joined * across, Joins<T>{across, pieces, from, to});
    from = to;
    pieces = joined;
  }
  return from;
}

// ---- sums over axes

// Output o is the sum over `along` of the elements from `kept`'s place o on.
struct Reduction {
  bool by_rows;        // row order: 16 trees for each output; else batch order, one
  int64_t outputs, n;  // n terms each
  int64_t shard;       // terms of a chain
  Walk<1> kept, along;
  TG_BODY int lanes() const { return by_rows ? row_lanes : 1; }
  TG_BODY int64_t terms(int lane) const {
    return by_rows ? (n > lane ? (n - lane + row_lanes - 1) / row_lanes : 0) : n;
  }
  TG_BODY int64_t pieces() const {  // of lane 0, which has the most terms
    const int64_t chains = (terms(0) + shard - 1) / shard;
    return chains ? chains : 1;
  }
};

// Partial sums are held as (piece, output, lane), so that threads side by side are columns or lanes side by side. A lane without
// a term in the last piece has +0 there, which changes no sum: a chain starts at +0, so none is -0.
template <class T>
struct Chains {
  Reduction r;
  const T* x;
  T* partial;
  TG_BODY void operator()(int64_t i) const {
    const int lane = int(i % r.lanes());
    const int64_t o = i / r.lanes() % r.outputs, piece = i / r.lanes() / r.outputs;
    const int64_t base = r.kept.offset(o), first = piece * r.shard, terms = r.terms(lane);
    const int64_t last = terms - first < r.shard ? terms : first + r.shard;
    T acc = T(0);
    for (int64_t t = first; t < last; t++) acc = acc + x[base + r.along.offset(t * r.lanes() + lane)];
    partial[i] = acc;
  }
};

// The lanes of each output, folded by halves, and for a mean divided by how many there were.
template <class T>
struct Folds {
  Reduction r;
  const T* from;
  T* out;
  bool divide;
  TG_BODY void operator()(int64_t o) const {
    T lane[row_lanes];
    for (int l = 0; l < r.lanes(); l++) lane[l] = from[o * r.lanes() + l];
    const T sum = reference::fold(lane, r.lanes());
    out[o] = divide ? sum / T(r.n) : sum;
  }
};

template <class T, class Take>
void reduce_sum(const Reduction& r, const T* x, T* out, bool divide, Stream stream, Take take) {
  const int64_t across = r.outputs * r.lanes(), pieces = r.pieces();
  if (across == 0) return;
  T* chains = take(pieces * across);
  each(stream, pieces * across, Chains<T>{r, x, chains});
  const T* sums = join_pieces<T>(across, pieces, chains, nullptr, stream, take);
  each(stream, r.outputs, Folds<T>{r, sums, out, divide});
}

}  // namespace tg::cuda
