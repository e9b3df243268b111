// Reading and writing by index. Elements meet in an index space: there the indices and the tensor beside them (`near`: the result of a
// read, the values of a write) have strides, and the indexed tensor (`far`) has those of the axes that no index addresses; the place
// that the index names adds the rest.
#pragma once
#include "cuda/kernels.h"
#include "cuda/walk.h"

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

}  // namespace tg::cuda
