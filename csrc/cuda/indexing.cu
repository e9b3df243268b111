// index and gather.
#include "cuda/indexing.h"

#include "cuda/refuse.h"

namespace tg::cuda {
namespace {

// A tensor of rank 0 as one of rank 1.
Operand with_an_axis(Operand o) {
  if (o.rank == 0) o.rank = 1, o.shape[0] = 1, o.strides[0] = 1;
  return o;
}

// An operand's stride along axis d of a space of `rank` axes into which it is broadcast.
int64_t stride_at(const Operand& o, int d, int rank) {
  const int own = d - (rank - o.rank);
  return o.kind == Operand::device && own >= 0 && o.shape[own] != 1 ? o.strides[own] : 0;
}

// ---- index: k index tensors for the axes dim .. dim + k - 1 of `far`

struct Space {  // the shape that the index tensors have in common
  int rank = 0;
  int64_t shape[kAbiRank] = {};
  explicit Space(const Call& c, int first) {
    for (int k = first; k < c.inputs; k++) rank = c.in[k].rank > rank ? c.in[k].rank : rank;
    for (int d = 0; d < rank; d++) shape[d] = 1;
    for (int k = first; k < c.inputs; k++)
      for (int d = 0; d < c.in[k].rank; d++)
        if (c.in[k].shape[d] != 1) shape[rank - c.in[k].rank + d] = c.in[k].shape[d];
  }
};

// Asks about the index tensors from input `first` on, and says where the elements of the space meet.
Meeting select(const Call& c, int first, const Operand& near, const Operand& far, bool wraps, Stream stream) {
  const int dim = axis_of(c.attribute[0].i, far.rank), k = c.inputs - first;
  for (int j = 0; j < k; j++) refuse_indices(c, c.in[first + j], dim + j, far.shape[dim + j], wraps, stream);

  const Space common(c, first);
  Operand index = c.in[first];
  if (k > 1) {
    index = Operand{};
    index.kind = Operand::device;
    index.rank = common.rank;
    int64_t n = 1;
    for (int d = common.rank - 1; d >= 0; n *= common.shape[d--]) {
      index.shape[d] = common.shape[d];
      index.strides[d] = n;
    }
    index.data = scratch<int64_t>(c, n);
    for (int j = 0; j < k; j++) {
      const Operand* one = &c.in[first + j];
      const int64_t length = far.shape[dim + j];
      each(stream, n,
           JoinPlaces{walk_over<1>(common.rank, common.shape, &one), Reader<int64_t>(*one), length, wraps ? length : 0,
                      j == 0, static_cast<int64_t*>(index.data)});
    }
  }
  Meeting m(index);
  const int b = common.rank, rank = far.rank - k + b;
  auto add = [&](int64_t length, int64_t of_index, int axis, int64_t of_far) {
    const int64_t steps[3] = {of_index, stride_at(near, axis, rank), of_far};
    m.walk.add(length, steps);
  };
  for (int d = 0; d < dim; d++) add(far.shape[d], 0, d, far.strides[d]);
  for (int d = 0; d < b; d++) add(common.shape[d], stride_at(index, d, b), dim + d, 0);
  for (int d = dim + k; d < far.rank; d++) add(far.shape[d], 0, d - k + b, far.strides[d]);
  for (int d = dim; d < dim + k; d++) m.selected.add(far.shape[d], &far.strides[d]);
  m.wrapped = wraps && k == 1 ? far.shape[dim] : 0;
  return m;
}

// ---- gather: an index for every element

Meeting meet(const Call& c, const Operand& near, const Operand& far, Stream stream) {
  const Operand index = with_an_axis(c.in[1]);
  const int dim = axis_of(c.attribute[0].i, far.rank);
  refuse_indices(c, index, dim, far.shape[dim], false, stream);
  Meeting m(index);
  for (int d = 0; d < index.rank; d++) {
    const int64_t steps[3] = {index.strides[d], near.strides[d], d == dim ? 0 : far.strides[d]};
    m.walk.add(index.shape[d], steps);
  }
  m.selected.add(far.shape[dim], &far.strides[dim]);
  return m;
}

void read(const Meeting& m, const Operand& far, const Operand& near, Stream stream) {
  with_bytes(dtype_of(near), [&](auto like) {
    using Word = decltype(like);
    each(stream, m.walk.n, Reads<Word>{m, Reader<Word>(far), static_cast<Word*>(near.data)});
  });
}

}  // namespace

void index(const Call& c, Stream stream) {
  read(select(c, 1, c.out[0], c.in[0], c.attribute[1].i != 0, stream), c.in[0], c.out[0], stream);
}
void gather(const Call& c, Stream stream) {
  if (numel(c.out[0]) == 0) return;
  const Operand near = with_an_axis(c.out[0]), far = with_an_axis(c.in[0]);
  read(meet(c, near, far, stream), far, near, stream);
}

}  // namespace tg::cuda
