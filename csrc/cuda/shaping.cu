// cat, pad, tril and triu: elements move, none is computed.
#include "cuda/kernels.h"
#include "cuda/walk.h"

namespace tg::cuda {
namespace {

// An element of the output is one of the input, or `value` where it lies outside.
template <class Word>
struct Pad {
  int rank;
  int64_t length[kAbiRank], before[kAbiRank], inside[kAbiRank], stride[kAbiRank];  // inside: of the input
  Reader<Word> x;
  Word value;
  Word* to;
  TG_BODY void operator()(int64_t i) const {
    int64_t place = i, at = 0;
    bool there = true;
    for (int d = rank - 1; d >= 0; d--) {
      const int64_t next = place / length[d], own = place - next * length[d] - before[d];
      there = there && own >= 0 && own < inside[d];
      at += own * stride[d];
      place = next;
    }
    to[i] = there ? x[at] : value;
  }
};

template <class Word>
struct Triangle {
  Walk<2> walk;
  int64_t rows, columns, diagonal;
  bool upper;
  const Word* x;
  Word* to;
  TG_BODY void operator()(int64_t i) const {
    const int64_t all = i / columns, column = i - all * columns, beyond = column - all % rows - diagonal;
    int64_t at[2];
    walk.offsets(i, at);
    to[at[1]] = (upper ? beyond >= 0 : beyond <= 0) ? x[at[0]] : Word(0);
  }
};

void triangle(const Call& c, bool upper, Stream stream) {
  const Operand &x = c.in[0], &to = c.out[0];
  if (numel(to) == 0) return;
  const int64_t rows = to.shape[to.rank - 2], columns = to.shape[to.rank - 1], given = c.attribute[0].i;
  const int64_t diagonal = given < -rows ? -rows : given > columns ? columns : given;
  const Operand* both[2] = {&x, &to};
  with_bytes(dtype_of(to), [&](auto like) {
    using Word = decltype(like);
    each(stream, numel(to),
         Triangle<Word>{walk_over<2>(to.rank, to.shape, both), rows, columns, diagonal, upper,
                        static_cast<const Word*>(x.data), static_cast<Word*>(to.data)});
  });
}

}  // namespace

void cat(const Call& c, Stream stream) {
  Operand part = c.out[0];
  if (numel(part) == 0) return;
  const int axis = axis_of(c.attribute[0].i, part.rank);
  const int64_t bytes = part.strides[axis] * size_of(dtype_of(part));
  for (int k = 0; k < c.inputs; k++) {
    if (numel(c.in[k]) == 0) continue;
    part.shape[axis] = c.in[k].shape[axis];
    copied(c.in[k], part, stream);
    part.data = static_cast<unsigned char*>(part.data) + part.shape[axis] * bytes;
  }
}

void pad(const Call& c, Stream stream) {
  const Operand &x = c.in[0], &to = c.out[0];
  const Operand value = filling(c.attribute[1], dtype_of(to));
  with_bytes(dtype_of(to), [&](auto like) {
    using Word = decltype(like);
    Pad<Word> body{to.rank, {}, {}, {}, {}, Reader<Word>(x), Reader<Word>(value).number, static_cast<Word*>(to.data)};
    for (int d = 0; d < to.rank; d++) {
      const int k = 2 * (to.rank - 1 - d);  // the list begins with the last axis
      body.length[d] = to.shape[d];
      body.before[d] = k < c.listed ? c.list[k] : 0;
      body.inside[d] = x.shape[d];
      body.stride[d] = x.strides[d];
    }
    each(stream, numel(to), body);
  });
}

void tril(const Call& c, Stream stream) { triangle(c, false, stream); }
void triu(const Call& c, Stream stream) { triangle(c, true, stream); }

}  // namespace tg::cuda
