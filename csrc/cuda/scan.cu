// cumsum and cumprod: each line is one chain from the left, in float64 for both floating dtypes and modulo 2^64 for integers
// (docs/arithmetic.md). The lines are side by side; a line alone is one thread's.
#include "cuda/kernels.h"
#include "cuda/walk.h"

namespace tg::cuda {
namespace {

struct Plus {
  static constexpr int start = 0;
  template <class A>
  TG_BODY A operator()(A a, A b) const {
    return a + b;
  }
};
struct Times {
  static constexpr int start = 1;
  template <class A>
  TG_BODY A operator()(A a, A b) const {
    return a * b;
  }
};

template <class T, class A>
struct Chain {
  Walk<2> begin;  // of each line: x, y
  int64_t n, x_step, y_step;
  const T* x;
  T* y;
};

// Lines whose elements are far apart: threads side by side walk lines side by side.
template <class T, class A, class Step>
struct ScanLines {
  Chain<T, A> c;
  TG_BODY void operator()(int64_t line) const {
    int64_t at[2];
    c.begin.offsets(line, at);
    const T* x = c.x + at[0];
    T* y = c.y + at[1];
    A acc = A(Step::start);
    for (int64_t i = 0; i < c.n; i++) {
      acc = Step()(acc, A(x[i * c.x_step]));
      y[i * c.y_step] = T(acc);
    }
  }
};

// Lines whose elements lie side by side go through shared memory, `columns` of `threads` lines at a time.
template <class T, class A, class Step>
struct ScanRows {
  static constexpr int threads = 128, columns = 16;
  struct Shared {
    T tile[threads][columns + 1];
  };
  struct Own {
    A acc;
  };
  Chain<T, A> c;
  TG_BODY int64_t steps() const { return (c.n + columns - 1) / columns + 1; }  // the last one writes only
  TG_BODY void begin(int64_t, int, Own& own) const { own.acc = A(Step::start); }
  TG_BODY void load(int64_t block, int64_t step, int thread, Shared& shared) const {
    const int column = thread % columns;
    for (int r = thread / columns; r < threads; r += threads / columns) {
      const int64_t line = block * threads + r, i = step * columns + column;
      if (line >= c.begin.n) break;
      int64_t at[2];
      c.begin.offsets(line, at);
      T& here = shared.tile[r][column];
      if (step > 0 && i - columns < c.n) c.y[at[1] + (i - columns) * c.y_step] = here;
      if (i < c.n) here = c.x[at[0] + i * c.x_step];
    }
  }
  TG_BODY void work(int64_t block, int64_t step, int thread, Shared& shared, Own& own) const {
    if (block * threads + thread >= c.begin.n) return;
    const int64_t left = c.n - step * columns;
    const int count = int(left < columns ? left : columns);
    for (int i = 0; i < count; i++) {
      T& here = shared.tile[thread][i];
      own.acc = Step()(own.acc, A(here));
      here = T(own.acc);
    }
  }
  TG_BODY void end(int64_t, int, Own&) const {}
};

template <class T, class A, class Step>
void scanned(const Call& c, Stream stream) {
  const Operand &x = c.in[0], &y = c.out[0];
  const int axis = axis_of(c.attribute[0].i, x.rank);
  Chain<T, A> chain{{}, 1, 0, 0, static_cast<const T*>(x.data), static_cast<T*>(y.data)};
  for (int d = 0; d < x.rank; d++) {
    const int64_t steps[2] = {x.strides[d], y.strides[d]};
    if (d == axis) chain.n = x.shape[d], chain.x_step = steps[0], chain.y_step = steps[1];
    else chain.begin.add(x.shape[d], steps);
  }
  constexpr int lines = ScanRows<T, A, Step>::threads;
  if (chain.x_step == 1 && chain.n > 1) teams(stream, (chain.begin.n + lines - 1) / lines, ScanRows<T, A, Step>{chain});
  else each(stream, chain.begin.n, ScanLines<T, A, Step>{chain});
}

template <class Step>
void scan(const Call& c, Stream stream) {
  if (numel(c.out[0]) == 0) return;
  switch (dtype_of(c.out[0])) {
    case Dtype::Float32: return scanned<float, double, Step>(c, stream);
    case Dtype::Float64: return scanned<double, double, Step>(c, stream);
    default: return scanned<uint64_t, uint64_t, Step>(c, stream);
  }
}

}  // namespace

void cumsum(const Call& c, Stream stream) { scan<Plus>(c, stream); }
void cumprod(const Call& c, Stream stream) { scan<Times>(c, stream); }

}  // namespace tg::cuda
