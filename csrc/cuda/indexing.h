// Reading and writing by index. Elements meet in an index space: there the indices and the tensor beside them (`near`: the result of a
// read, the values of a write) have strides, and the indexed tensor (`far`) has those of the axes that no index addresses; the place
// that the index names adds the rest.
#pragma once
#include "cuda/kernels.h"
#include "cuda/sorting.h"
#include "math/convert.h"

namespace tg::cuda {

struct Meeting {
  Walk<3> walk;  // index, near, far
  Reader<int64_t> index;
  int64_t wrapped = 0;  // what is added to a negative index
  Walk<1> selected;     // far over the axes that are addressed
  explicit Meeting(const Operand& index) : index(index) {}

  // False where the index is out of range: that has been refused, and nothing may come of it.
  TG_BODY bool find(int64_t i, int64_t* place, int64_t* near, int64_t* far) const {
    int64_t at[3];
    walk.offsets(i, at);
    int64_t j = index[at[0]];
    if (j < 0) j += wrapped;
    if (j < 0 || j >= selected.n) return false;
    *place = j;
    *near = at[1];
    *far = at[2] + selected.offset(j);
    return true;
  }
};

template <class Word>
struct Reads {
  Meeting m;
  Reader<Word> far;
  Word* near;
  TG_BODY void operator()(int64_t i) const {
    int64_t place, to, from;
    if (m.find(i, &place, &to, &from)) near[to] = far[from];
  }
};

// places[i] = places[i] * length + index[i]: a place on several axes, axis by axis; -1 where an index is out of range.
struct JoinPlaces {
  Walk<1> walk;
  Reader<int64_t> index;
  int64_t length, wrapped;
  bool first;
  int64_t* places;
  TG_BODY void operator()(int64_t i) const {
    int64_t j = index[walk.offset(i)];
    if (j < 0) j += wrapped;
    const int64_t before = first ? 0 : places[i];
    places[i] = before < 0 || j < 0 || j >= length ? -1 : before * length + j;
  }
};

// ---- writes: each line of indices sorted by place (sorting.h), so that elements which meet in one place stand together, in the order of
// the index. The thread of the first of them takes them all.

template <class T>
TG_BODY void add_to(T& sum, T term) {
  if constexpr (__is_same(T, Boolean)) sum.byte = sum.byte || term.byte;
  else if constexpr (lane<T>::floating) sum = sum + term;
  else sum = static_cast<T>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(term));
}

// Elements (free, along): those that differ in the free axes never meet.
struct Meetings {
  bool one_line = false;  // of indices for all of the free axes; else one for each
  Walk<2> free;           // near, far
  Walk<1> along;          // near over the axes of the index
  Walk<1> selected;       // far over the axes that are addressed
  Runs<uint64_t> sorted;
};

// add: the terms are added one by one, in order; else the last one is written.
template <class T, bool add>
struct Writes {
  Meetings m;
  Reader<T> near;
  T* far;
  TG_BODY static int64_t place(uint64_t key) { return int64_t(key ^ (uint64_t(1) << 63)); }  // math/sort_key.h
  TG_BODY void operator()(int64_t i) const {
    const int64_t n = m.along.n;
    const int64_t line = m.one_line ? i % m.free.n : i / n, p = m.one_line ? i / m.free.n : i - line * n;
    const uint64_t* key = m.sorted.items.key + (m.one_line ? 0 : line * n);
    const uint32_t* index = m.sorted.items.index + (m.one_line ? 0 : line * n);
    const uint64_t own = key[p];
    if (p > 0 && key[p - 1] == own) return;
    const int64_t j = place(own);
    if (j < 0 || j >= m.selected.n) return;  // has been refused
    int64_t at[2];
    m.free.offsets(line, at);
    T* to = far + at[1] + m.selected.offset(j);
    int64_t q = p;
    if constexpr (add) {
      T sum = *to;
      do add_to(sum, near[at[0] + m.along.offset(index[q])]);
      while (++q < n && key[q] == own);
      *to = sum;
    } else {
      while (q + 1 < n && key[q + 1] == own) q++;
      *to = near[at[0] + m.along.offset(index[q])];
    }
  }
};

}  // namespace tg::cuda
