// Sums in the canonical orders of math/order.h. Each chain is a thread's; the binary tree over the chains is climbed in
// stages of kFan pieces, a power of two, so that a stage's trees are the lower part of the whole one.
#pragma once
#include "cuda/walk.h"
#include "math/reference.h"
#include "math/reference_rows.h"

namespace tg::cuda {

inline constexpr int kFan = 32;

// Output o is the sum over `along` of the elements from `kept`'s place o on.
struct Reduction {
  bool by_rows;        // row order: `lanes` trees for each output; else batch order, one
  int64_t outputs, n;  // n terms each
  int64_t shard;       // terms of a chain
  Walk<1> kept, along;
  TG_BODY int lanes() const { return by_rows ? row_lanes : 1; }
  TG_BODY int64_t terms(int lane) const {
    return by_rows ? (n > lane ? (n - lane + row_lanes - 1) / row_lanes : 0) : n;
  }
  TG_BODY int64_t chains(int lane) const { return (terms(lane) + shard - 1) / shard; }
};

// Partial sums are held as (piece, output, lane), so that threads side by side are columns or lanes side by side.
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

// pieces that each stand for `span` chains -> their trees of kFan
template <class T>
struct Joins {
  Reduction r;
  int64_t span;
  const T* from;
  T* to;
  TG_BODY void operator()(int64_t i) const {
    const int lane = int(i % r.lanes());
    const int64_t across = r.outputs * r.lanes(), piece = i / across, place = i % across;
    const int64_t pieces = (r.chains(lane) + span - 1) / span, left = pieces - piece * kFan;  // of this lane
    to[i] = reference::tree_order(
        left < 0      ? 0
        : left < kFan ? left
                      : int64_t(kFan),
        T(0), [&](int64_t k) { return from[(piece * kFan + k) * across + place]; }, [](T a, T b) { return a + b; });
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

// `take(n)` gives room for n partial sums.
template <class T, class Take>
void reduce_sum(const Reduction& r, const T* x, T* out, bool divide, Stream stream, Take take) {
  const int64_t across = r.outputs * r.lanes();
  if (across == 0) return;
  int64_t pieces = r.chains(0) ? r.chains(0) : 1;  // lane 0 has the most
  T* from = take(pieces * across);
  each(stream, pieces * across, Chains<T>{r, x, from});
  for (int64_t span = 1; pieces > 1; span *= kFan) {
    const int64_t joined = (pieces + kFan - 1) / kFan;
    T* to = take(joined * across);
    each(stream, joined * across, Joins<T>{r, span, from, to});
    from = to;
    pieces = joined;
  }
  each(stream, r.outputs, Folds<T>{r, from, out, divide});
}

}  // namespace tg::cuda
