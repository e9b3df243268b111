// index, index_put, gather, scatter and scatter_add.
#include "cuda/indexing.h"

#include "cuda/refuse.h"

namespace tg::cuda {
namespace {

// A tensor of rank 0 as one of rank 1.
Operand with_an_axis(Operand o) {
  if (o.rank == 0) o.rank = 1, o.shape[0] = 1, o.strides[0] = 1;
  return o;
}

// A number of the host's, where kernels need memory.
Operand on_device(const Call& c, Operand o, Stream stream) {
  if (o.kind == Operand::device) return o;
  o.kind = Operand::device;
  o.data = scratch<uint64_t>(c, 1);
  put(o.data, &o.bits, sizeof o.bits, stream);
  return o;
}

// An operand's stride along axis d of a space of `rank` axes into which it is broadcast.
int64_t stride_at(const Operand& o, int d, int rank) {
  const int own = d - (rank - o.rank);
  return o.kind == Operand::device && own >= 0 && o.shape[own] != 1 ? o.strides[own] : 0;
}

// ---- index, index_put: k index tensors for the axes dim .. dim + k - 1 of `far`

struct Space {  // the shape that the index tensors have in common
  int rank = 0;
  int64_t shape[kAbiRank] = {}, n = 1;
  Space(const Call& c, int first) {
    for (int k = first; k < c.inputs; k++) rank = c.in[k].rank > rank ? c.in[k].rank : rank;
    for (int d = 0; d < rank; d++) shape[d] = 1;
    for (int k = first; k < c.inputs; k++)
      for (int d = 0; d < c.in[k].rank; d++)
        if (c.in[k].shape[d] != 1) shape[rank - c.in[k].rank + d] = c.in[k].shape[d];
    for (int d = 0; d < rank; d++) n *= shape[d];
  }
};

struct Selection {
  int dim, k;
  bool wraps;
  Space space;
  Operand index;  // of places: on one axis those of the index tensor as it is, which may wrap
  Walk<1> selected;

  Selection(const Call& c, int first, const Operand& far, bool wraps, Stream stream)
      : dim(axis_of(c.attribute[0].i, far.rank)), k(c.inputs - first), wraps(wraps), space(c, first) {
    for (int j = 0; j < k; j++) refuse_indices(c, c.in[first + j], dim + j, far.shape[dim + j], wraps, stream);
    for (int d = dim; d < dim + k; d++) selected.add(far.shape[d], &far.strides[d]);
    index = c.in[first];
    if (k > 1) join(c, first, far, stream);
  }
  // One place for all of the axes, or for one that no longer wraps.
  void join(const Call& c, int first, const Operand& far, Stream stream) {
    index = Operand{};
    index.kind = Operand::device;
    index.rank = space.rank;
    int64_t step = 1;
    for (int d = space.rank - 1; d >= 0; step *= space.shape[d--]) {
      index.shape[d] = space.shape[d];
      index.strides[d] = step;
    }
    auto* places = scratch<int64_t>(c, space.n);
    index.data = places;
    for (int j = 0; j < k; j++) {
      const Operand* one = &c.in[first + j];
      const int64_t length = far.shape[dim + j];
      each(stream, space.n,
           JoinPlaces{walk_over<1>(space.rank, space.shape, &one), Reader<int64_t>(*one), length, wraps ? length : 0,
                      j == 0, places});
    }
    wraps = false;
  }
  int rank_of_near(const Operand& far) const { return far.rank - k + space.rank; }
};

// ---- gather, scatter, scatter_add: an index for every element

int refused_elements(const Call& c, const Operand& index, const Operand& far, Stream stream) {
  const int dim = axis_of(c.attribute[0].i, far.rank);
  refuse_indices(c, index, dim, far.shape[dim], false, stream);
  return dim;
}

// ---- moves

void read(const Meeting& m, const Operand& far, const Operand& near, Stream stream) {
  with_bytes(dtype_of(near), [&](auto like) {
    using Word = decltype(like);
    each(stream, m.walk.n, Reads<Word>{m, Reader<Word>(far), static_cast<Word*>(near.data)});
  });
}

template <class T, class... Others>
constexpr bool one_of = (__is_same(T, Others) || ...);
template <bool add, class T>
void written(const Meetings& m, const Operand& near, const Operand& far, Stream stream) {
  each(stream, m.free.n * m.along.n, Writes<T, add>{m, Reader<T>(near), static_cast<T*>(far.data)});
}
void write(const Call& c, Meetings m, const LinesAt& lines, const Operand& index, bool add, const Operand& near,
           const Operand& far, Stream stream) {
  if (m.free.n == 0 || m.along.n == 0) return;
  m.sorted = first_of_lines(lines, static_cast<const int64_t*>(index.data), false, lines.n, stream,
                            [&](int64_t n, auto like) { return scratch<decltype(like)>(c, n); });
  const Dtype t = dtype_of(far);
  if (!add) return with_bytes(t, [&](auto like) { written<false, decltype(like)>(m, near, far, stream); });
  with_element(t, [&](auto like) {
    using T = decltype(like);
    if constexpr (one_of<T, float, double, int64_t, int32_t, uint8_t, Boolean>) written<true, T>(m, near, far, stream);
  });
}

void write_elements(const Call& c, bool add, Stream stream) {
  const Operand index = on_device(c, with_an_axis(c.in[1]), stream), near = with_an_axis(c.in[2]);
  const Operand far = with_an_axis(c.out[0]);
  const bool nothing = numel(index) == 0;
  const int dim = nothing ? 0 : refused_elements(c, index, far, stream);
  if (c.in[0].data != c.out[0].data) copied(c.in[0], c.out[0], stream);
  if (nothing) return;
  Meetings m;
  for (int d = 0; d < index.rank; d++) {
    const int64_t steps[2] = {near.kind == Operand::device ? near.strides[d] : 0, far.strides[d]};
    if (d == dim) m.along.add(index.shape[d], steps);
    else m.free.add(index.shape[d], steps);
  }
  m.selected.add(far.shape[dim], &far.strides[dim]);
  write(c, m, lines_along(index, dim), index, add, near, far, stream);
}

}  // namespace

void index(const Call& c, Stream stream) {
  const Operand &far = c.in[0], &near = c.out[0];
  const Selection s(c, 1, far, c.attribute[1].i != 0, stream);
  const int b = s.space.rank, rank = s.rank_of_near(far);
  Meeting m(s.index);
  auto add = [&](int64_t length, int64_t of_index, int axis, int64_t of_far) {
    const int64_t steps[3] = {of_index, stride_at(near, axis, rank), of_far};
    m.walk.add(length, steps);
  };
  for (int d = 0; d < s.dim; d++) add(far.shape[d], 0, d, far.strides[d]);
  for (int d = 0; d < b; d++) add(s.space.shape[d], stride_at(s.index, d, b), s.dim + d, 0);
  for (int d = s.dim + s.k; d < far.rank; d++) add(far.shape[d], 0, d - s.k + b, far.strides[d]);
  m.selected = s.selected;
  m.wrapped = s.wraps ? far.shape[s.dim] : 0;
  read(m, far, near, stream);
}

void gather(const Call& c, Stream stream) {
  if (numel(c.out[0]) == 0) return;
  const Operand near = with_an_axis(c.out[0]), far = with_an_axis(c.in[0]), index = with_an_axis(c.in[1]);
  const int dim = refused_elements(c, index, far, stream);
  Meeting m(index);
  for (int d = 0; d < index.rank; d++) {
    const int64_t steps[3] = {index.strides[d], near.strides[d], d == dim ? 0 : far.strides[d]};
    m.walk.add(index.shape[d], steps);
  }
  m.selected.add(far.shape[dim], &far.strides[dim]);
  read(m, far, near, stream);
}

void index_put(const Call& c, Stream stream) {
  const Operand &near = c.in[1], &far = c.out[0];
  Selection s(c, 2, far, c.attribute[2].i != 0, stream);
  if (s.k == 1) s.join(c, 2, far, stream);  // equal places are found by their numbers
  if (c.in[0].data != far.data) copied(c.in[0], far, stream);
  const int b = s.space.rank, rank = s.rank_of_near(far);
  Meetings m;
  m.one_line = true;
  auto add = [&](int d, int axis) {
    const int64_t steps[2] = {stride_at(near, axis, rank), far.strides[d]};
    m.free.add(far.shape[d], steps);
  };
  for (int d = 0; d < s.dim; d++) add(d, d);
  for (int d = s.dim + s.k; d < far.rank; d++) add(d, d - s.k + b);
  for (int d = 0; d < b; d++) {
    const int64_t step = stride_at(near, s.dim + d, rank);
    m.along.add(s.space.shape[d], &step);
  }
  m.selected = s.selected;
  LinesAt one;
  one.n = s.space.n;
  one.step = 1;
  write(c, m, one, s.index, c.attribute[1].i != 0, near, far, stream);
}

void scatter(const Call& c, Stream stream) { write_elements(c, false, stream); }
void scatter_add(const Call& c, Stream stream) { write_elements(c, true, stream); }

}  // namespace tg::cuda
