// Rows as math/softmax.h and math/loss.h want them, laid over the threads of a team (lines.h).
#pragma once
#include "cuda/kernels.h"
#include "cuda/lines.h"
#include "cuda/walk.h"

namespace tg::cuda {

template <class T>
struct Strided {
  T* data;
  int64_t step;
  TG_BODY T& operator[](int64_t i) const { return data[i * step]; }
};

template <class Team, class T>
struct TeamRow {
  using V = T;
  using S = T;
  struct One {};  // element at a time
  const Team& team;
  int64_t n;

  template <class P>
  TG_BODY T get(const P& p, int64_t i, One) const {
    return p[i];
  }
  template <class P>
  TG_BODY void put(const P& p, int64_t i, One, T v) const {
    p[i] = v;
  }
  template <class P>
  TG_BODY T shared(const P& p, int64_t i, One) const {
    return p[i];
  }
  TG_BODY bool is_at(int64_t i, int64_t place) const { return i == place; }
  template <class F>
  TG_BODY void each(F f) const {
    team.each(n, [&](int64_t i) { f(i, One{}); });
  }
  template <class Step>
  TG_BODY T sum(Step step) const {
    return team.reduce(n, T(0), [&](T acc, int64_t i) { return step(acc, i, One{}); }, [](T a, T b) { return a + b; });
  }
  template <class Value>
  TG_BODY T largest(Value value) const {
    auto larger = [](T a, T b) { return b > a ? b : a; };
    return team.reduce(n, -T(__builtin_inf()), [&](T acc, int64_t i) { return larger(acc, value(i, One{})); }, larger);
  }
};

// The lines of N operands of one shape along an axis.
template <int N>
struct Lines {
  Walk<N> kept;
  int64_t n = 1, step[N] = {};
  bool across = false;
};
template <int N>
Lines<N> lines_along(const Operand* const (&operands)[N], int64_t axis) {
  Lines<N> l;
  const int rank = operands[0]->rank;
  if (axis < 0) axis += rank;
  for (int d = 0; d < rank; d++) {
    int64_t steps[N];
    for (int k = 0; k < N; k++) steps[k] = operands[k]->strides[d];
    if (d == axis) {
      l.n = operands[0]->shape[d];
      for (int k = 0; k < N; k++) l.step[k] = steps[k];
    } else {
      l.kept.add(operands[0]->shape[d], steps);
    }
  }
  l.across = cuda::across(l.kept, l.step[0]);
  return l;
}

}  // namespace tg::cuda
