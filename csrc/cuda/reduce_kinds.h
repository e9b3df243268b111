// The kinds of reductions (reduce.h) that rows of the table ask for.
#pragma once
#include "cuda/kernels.h"
#include "cuda/reduce.h"
#include "math/reduce.h"

namespace tg::cuda {

// What becomes of a total: itself, total / by, its root, 0 where it is infinite, its logarithm added to the center.
enum class End { plain, divided, root, finite, log_added };

// A kind of math/reduce.h over floating numbers; dot: of two tensors.
template <Reduce K, class T>
struct Floats {
  static constexpr int inputs = K == Reduce::dot ? 2 : 1;
  using Acc = T;
  const T *x = nullptr, *y = nullptr;
  const T* centers = nullptr;  // null: 0
  T* out = nullptr;
  End end = End::plain;
  T by = T(1);
  TG_BODY T start() const { return reduce_start<K, T>(); }
  TG_BODY T center(int64_t o) const { return centers ? centers[o] : T(0); }
  TG_BODY T step(T acc, const int64_t* at, int64_t, T center) const {
    return reduce_step<K>(acc, x[at[0]], K == Reduce::dot ? y[at[inputs - 1]] : T(0), center);
  }
  TG_BODY T join(T a, T b) const { return reduce_join<K>(a, b); }
  TG_BODY void finish(int64_t o, T total) const {
    switch (end) {
      case End::plain: break;
      case End::divided: total = total / by; break;
      case End::root: total = sqrt(total); break;
      case End::finite:
        if (abs(total) == T(__builtin_inf())) total = T(0);
        break;
      case End::log_added: total = centers[o] + log(total); break;
    }
    out[o] = total;
  }
};

struct NoCenter {};

// Of integers, which may wrap around: sums and products in any order.
template <bool product>
struct Wholes {
  static constexpr int inputs = 1;
  using Acc = uint64_t;
  const uint64_t* x;
  uint64_t* out;
  TG_BODY uint64_t start() const { return product; }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY uint64_t join(uint64_t a, uint64_t b) const { return product ? a * b : a + b; }
  TG_BODY uint64_t step(uint64_t acc, const int64_t* at, int64_t, NoCenter) const { return join(acc, x[at[0]]); }
  TG_BODY void finish(int64_t o, uint64_t total) const { out[o] = total; }
};
template <class T>
struct WholeExtremum {
  static constexpr int inputs = 1;
  using Acc = T;
  bool least;
  T first;  // what all others are beyond
  const T* x;
  T* out;
  TG_BODY T start() const { return first; }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY T join(T a, T b) const { return least ? minimum(a, b) : maximum(a, b); }
  TG_BODY T step(T acc, const int64_t* at, int64_t, NoCenter) const { return join(acc, x[at[0]]); }
  TG_BODY void finish(int64_t o, T total) const { out[o] = total; }
};

// The place of the first greatest or least element; NaN beats everything.
template <class T>
struct ArgExtremum {
  static constexpr int inputs = 1;
  struct Acc {
    T value;
    int64_t index;  // -1: none so far
  };
  bool least;
  const T* x;
  int64_t* out;
  TG_BODY Acc start() const { return {T(0), -1}; }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY bool beats(T a, T b) const { return (least ? a < b : a > b) || (a != a && b == b); }
  TG_BODY Acc join(Acc a, Acc b) const {
    if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
    if (beats(a.value, b.value)) return a;
    if (beats(b.value, a.value)) return b;
    return a.index < b.index ? a : b;
  }
  TG_BODY Acc step(Acc acc, const int64_t* at, int64_t i, NoCenter) const { return join(acc, {x[at[0]], i}); }
  TG_BODY void finish(int64_t o, Acc best) const { out[o] = best.index; }
};

// Is there an element other than 0, or is there none that is 0? Elements are words, of whose bits `sign` does not count.
template <class Word>
struct Truth {
  static constexpr int inputs = 1;
  using Acc = uint32_t;
  bool all;
  Word sign;
  const Word* x;
  uint8_t* out;
  TG_BODY uint32_t start() const { return 0; }
  TG_BODY NoCenter center(int64_t) const { return {}; }
  TG_BODY uint32_t join(uint32_t a, uint32_t b) const { return a | b; }
  TG_BODY uint32_t step(uint32_t met, const int64_t* at, int64_t, NoCenter) const {
    const bool zero = Word(x[at[0]] & Word(~sign)) == 0;
    return met | uint32_t(zero == all);
  }
  TG_BODY void finish(int64_t o, uint32_t met) const { out[o] = uint8_t(met != uint32_t(all)); }
};

// ---- from a call

// Over the `axes` of the operands, which have one shape; false where no single step leads along these axes.
template <int inputs>
bool reduction_over(const Operand* const (&operands)[inputs], uint32_t axes, int64_t batch, Reduction<inputs>* r) {
  const Operand& x = *operands[0];
  Walk<inputs> along;
  for (int d = 0; d < x.rank; d++) {
    int64_t steps[inputs];
    for (int k = 0; k < inputs; k++) steps[k] = operands[k]->strides[d];
    (axes >> d & 1 ? along : r->kept).add(x.shape[d], steps);
  }
  r->outputs = r->kept.n;
  r->n = along.n;
  for (int k = 0; k < inputs; k++) r->step[k] = along.stride[k][0];
  r->by_rows = x.rank == 0 || (axes >> (x.rank - 1) & 1);
  if (!r->by_rows) r->shard = shard_rows(batch ? batch : r->n);
  return along.rank <= 1;
}

// A contiguous copy whose `axes`, which are renamed accordingly, lie side by side, before the axes that follow the last of them.
inline Operand gathered(const Call& c, const Operand& x, uint32_t* axes, Stream stream) {
  int after = x.rank;  // the axes from here on are kept
  while (after > 0 && !(*axes >> (after - 1) & 1)) after--;
  Operand from = x;
  from.rank = 0;
  auto take = [&](int d) {
    from.shape[from.rank] = x.shape[d];
    from.strides[from.rank++] = x.strides[d];
  };
  for (int d = 0; d < after; d++)
    if (!(*axes >> d & 1)) take(d);
  const int before = from.rank;
  for (int d = 0; d < after; d++)
    if (*axes >> d & 1) take(d);
  for (int d = after; d < x.rank; d++) take(d);
  *axes = (1u << after) - (1u << before);
  return contiguous(c, from, stream);
}

template <class Kind>
void reduce(const Call& c, uint32_t axes, Kind kind, Stream stream) {
  static_assert(Kind::inputs == 1);
  auto take = [&](int64_t bytes) { return scratch<unsigned char>(c, bytes); };
  Reduction<1> r;
  if (!reduction_over<1>({&c.in[0]}, axes, c.batch, &r) && r.outputs > 0 && r.n > 0) {
    const Operand x = gathered(c, c.in[0], &axes, stream);
    kind.x = static_cast<decltype(kind.x)>(x.data);
    r = {};
    reduction_over<1>({&x}, axes, c.batch, &r);
  }
  reduce(r, kind, stream, take);
}

template <Reduce K, class T>
Floats<K, T> floats(const Call& c, T* out) {
  Floats<K, T> kind;
  kind.x = static_cast<const T*>(c.in[0].data);
  kind.out = out;
  return kind;
}
template <class T>
T* result(const Call& c) {
  return static_cast<T*>(c.out[0].data);
}

inline int64_t elements_over(const Call& c, uint32_t axes) {
  int64_t n = 1;
  for (int d = 0; d < c.in[0].rank; d++)
    if (axes >> d & 1) n *= c.in[0].shape[d];
  return n;
}

}  // namespace tg::cuda
