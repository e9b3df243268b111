// Where the elements of several operands lie, by their logical index.
#pragma once
#include "cuda/abi.h"
#include "cuda/launch.h"

namespace tg::cuda {

// An index space and each operand's strides in it, outermost axis first. Axes of length 1 are gone, and those that all operands
// walk as one are joined: operands that are contiguous, or the same single element throughout, leave one axis.
template <int N>
struct Walk {
  int rank = 0;
  int64_t n = 1;
  int64_t length[kAbiRank] = {};
  int64_t stride[N][kAbiRank] = {};

  // at[k]: elements from operand k's first to that of index i
  TG_BODY void offsets(int64_t i, int64_t* at) const {
    if (rank <= 1) {
      for (int k = 0; k < N; k++) at[k] = i * stride[k][0];
      return;
    }
    for (int k = 0; k < N; k++) at[k] = 0;
    if (n <= INT32_MAX) {  // divisions of 64 bits cost several times as much
      uint32_t left = uint32_t(i);
      for (int d = rank - 1; d >= 0; d--) {
        const uint32_t next = left / uint32_t(length[d]), here = left - next * uint32_t(length[d]);
        for (int k = 0; k < N; k++) at[k] += int64_t(here) * stride[k][d];
        left = next;
      }
    } else {
      for (int d = rank - 1; d >= 0; d--) {
        const int64_t next = i / length[d], here = i - next * length[d];
        for (int k = 0; k < N; k++) at[k] += here * stride[k][d];
        i = next;
      }
    }
  }
  TG_BODY int64_t offset(int64_t i) const {
    int64_t at[N];
    offsets(i, at);
    return at[0];
  }

  // Adds an axis inside those so far; steps[k] is operand k's.
  void add(int64_t axis_length, const int64_t* steps) {
    n *= axis_length;
    if (axis_length == 1) return;
    bool joins = rank > 0;
    for (int k = 0; k < N && joins; k++) joins = stride[k][rank - 1] == steps[k] * axis_length;
    if (joins) length[rank - 1] *= axis_length;
    else length[rank++] = axis_length;
    for (int k = 0; k < N; k++) stride[k][rank - 1] = steps[k];
  }
};

// The operands' strides in the index space of `shape`, into which they are broadcast; numbers stand still.
template <int N>
Walk<N> walk_over(int rank, const int64_t* shape, const Operand* const* operands) {
  Walk<N> w;
  for (int d = 0; d < rank; d++) {
    int64_t steps[N];
    for (int k = 0; k < N; k++) {
      const Operand& o = *operands[k];
      const int own = d - (rank - o.rank);
      steps[k] = o.kind == Operand::device && own >= 0 && o.shape[own] != 1 ? o.strides[own] : 0;
    }
    w.add(shape[d], steps);
  }
  return w;
}

// One operand over those of its axes that are in `axes`, one bit each.
inline Walk<1> walk_axes(const Operand& o, uint32_t axes) {
  Walk<1> w;
  for (int d = 0; d < o.rank; d++)
    if (axes >> d & 1) w.add(o.shape[d], &o.strides[d]);
  return w;
}

inline bool nearer(int64_t a, int64_t b) { return (a < 0 ? -a : a) < (b < 0 ? -b : b); }
// Do neighbouring lines of operand 0 lie closer together than the elements of a line, which are `step` apart?
template <int N>
bool across(const Walk<N>& lines, int64_t step) {
  return lines.rank && nearer(lines.stride[0][lines.rank - 1], step);
}

}  // namespace tg::cuda
