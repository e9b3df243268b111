// Running sums and products along one axis. Each line is one chain, from the left: in float64 for both floating dtypes,
// each partial result rounded once, and modulo 2^64 for integers. The lines are shared out.
#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"

namespace tg {
namespace {

constexpr double kNanoseconds = 0.7;  // per element
constexpr int64_t kColumns = 256;     // lines that lie side by side and are walked together
constexpr int kRows = 4;              // lines one after the other that hide each other's latency

// y(R, n) from x(R, n), both contiguous
template <int R, class T, class Acc, class Step>
void scan_rows(int64_t n, const T* x, T* y, Acc start, Step step) {
  Acc acc[R];
  for (int r = 0; r < R; r++) acc[r] = start;
  for (int64_t i = 0; i < n; i++)
    for (int r = 0; r < R; r++) {
      acc[r] = step(acc[r], static_cast<Acc>(x[r * n + i]));
      y[r * n + i] = static_cast<T>(acc[r]);
    }
}

// `columns` of y(n, inner) from x(n, inner)
template <class T, class Acc, class Step>
void scan_columns(int64_t n, int64_t inner, int64_t columns, const T* x, T* y, Acc start, Step step) {
  Acc acc[kColumns];
  for (int64_t c = 0; c < columns; c++) acc[c] = start;
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = 0; c < columns; c++) {
      acc[c] = step(acc[c], static_cast<Acc>(x[i * inner + c]));
      y[i * inner + c] = static_cast<T>(acc[c]);
    }
}

template <class T, class Acc, class Step>
void scan(const Lines& l, const T* x, T* y, Acc start, Step step) {
  const double line = kNanoseconds * static_cast<double>(l.n) + 2;
  if (l.inner == 1) {
    split(l.outer, line, [&](int64_t r, int64_t last) {
      for (; r + kRows <= last; r += kRows) scan_rows<kRows>(l.n, x + r * l.n, y + r * l.n, start, step);
      for (; r < last; r++) scan_rows<1>(l.n, x + r * l.n, y + r * l.n, start, step);
    });
    return;
  }
  const int64_t strips = (l.inner + kColumns - 1) / kColumns, plane = l.n * l.inner;
  split(l.outer * strips, line * static_cast<double>(l.inner < kColumns ? l.inner : kColumns),
        [&](int64_t first, int64_t last) {
          for (int64_t task = first; task < last; task++) {
            const int64_t column = task % strips * kColumns, at = task / strips * plane + column;
            const int64_t left = l.inner - column;
            scan_columns(l.n, l.inner, left < kColumns ? left : kColumns, x + at, y + at, start, step);
          }
        });
}

template <class Step>
void scan(const Call& c, int start, Step step) {
  if (c.out[0].numel() == 0) return;
  const Tensor x = contiguous(c.in[0]);
  const Lines l(x.shape, normalize_axis(c.op.name.c_str(), c.attrs.integer(0), x.rank()));
  if (x.dtype == Dtype::Int64)
    return scan(l, x.data<uint64_t>(), c.out[0].data<uint64_t>(), static_cast<uint64_t>(start), step);
  with_floating(x.dtype, [&](auto t) {
    using T = decltype(t);
    scan(l, x.data<T>(), c.out[0].data<T>(), static_cast<double>(start), step);
  });
}

}  // namespace

void k_cumsum(const Call& c) {
  scan(c, 0, [](auto a, auto b) { return a + b; });
}
void k_cumprod(const Call& c) {
  scan(c, 1, [](auto a, auto b) { return a * b; });
}

}  // namespace tg
