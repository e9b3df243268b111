// How rows look at values and refuse some of them, before they write.
#pragma once
#include "cuda/device.h"
#include "cuda/kernels.h"
#include "cuda/walk.h"

namespace tg::cuda {

// The first of the places that are noted, by any of the threads.
TG_BODY void note_first(uint64_t* note, uint64_t place) {
#if defined(__CUDA_ARCH__)
  atomicMin(reinterpret_cast<unsigned long long*>(note), place);
#else
  uint64_t first = __atomic_load_n(note, __ATOMIC_RELAXED);
  while (place < first && !__atomic_compare_exchange_n(note, &first, place, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
#endif
}

template <class Bad>
struct NoteFirst {
  Bad bad;
  uint64_t* note;
  TG_BODY void operator()(int64_t i) const {
    if (bad(i)) note_first(note, uint64_t(i));
  }
};

// Throws what say(i) returns, a Refusal or Refused, where i is the first of n places for which the body bad(i) is true. Of a captured
// call the plan asks later (Call::note): then the call goes on, whatever the values are.
template <class Bad, class Say>
void refuse_where(const Call& c, int64_t n, const Bad& bad, Stream stream, Say say) {
  if (n == 0) return;
  uint64_t first = kNothing;
  uint64_t* note = c.captured ? c.note : scratch<uint64_t>(c, 1);
  if (!c.captured) put(note, &first, sizeof first, stream);
  each(stream, n, NoteFirst<Bad>{bad, note});
  if (c.captured) return;
  device::to_host(c, &first, note, sizeof first);
  if (first != kNothing) throw say(int64_t(first));
}

// Of integers of an operand, those that bad(value) is true for are refused.
template <class T, class Bad>
struct BadInteger {
  Walk<1> walk;
  Reader<T> x;
  Bad bad;
  TG_BODY bool operator()(int64_t i) const { return bad(int64_t(x[walk.offset(i)])); }
};
template <class T = int64_t, class Bad>
void refuse_integers(const Call& c, const Operand& x, const Check& check, const Bad& bad, Stream stream) {
  const BadInteger<T, Bad> body{walk_axes(x, (1u << x.rank) - 1), Reader<T>(x), bad};
  auto say = [&](int64_t i) {
    T value = body.x.number;
    if (body.x.data) device::to_host(c, &value, body.x.data + body.walk.offset(i), sizeof value);
    Refused r{check, {}};
    r.note.place = uint64_t(i);
    r.note.value = int64_t(value);
    return r;
  };
  if (body.x.data) refuse_where(c, numel(x), body, stream, say);
  else if (bad(int64_t(body.x.number))) throw say(0);
}

// Without the axes along which elements repeat.
inline Operand distinct(Operand o) {
  for (int d = 0; d < o.rank; d++)
    if (o.strides[d] == 0 && o.shape[d] > 1) o.shape[d] = 1;
  return o;
}

struct OutOfRange {
  int64_t low, length;
  TG_BODY bool operator()(int64_t j) const { return j < low || j >= length; }
};
inline void refuse_indices(const Call& c, const Operand& index, int axis, int64_t length, bool wraps, Stream stream) {
  const Check check = Check::of_index(axis, length, wraps);
  refuse_integers(c, distinct(index), check, OutOfRange{check.low, length}, stream);
}

}  // namespace tg::cuda
