#include "core/shape.h"

#include <algorithm>

namespace tg {

std::string to_string(const Dims& d) {
  std::string s = "(";
  for (int i = 0; i < d.size(); i++) s += (i ? ", " : "") + std::to_string(d[i]);
  return s + (d.size() == 1 ? ",)" : ")");
}

int64_t count(const Dims& shape) {
  int64_t n = 1;
  bool zero = false, overflow = false;
  for (int64_t v : shape) {
    if (v < 0) fail(ErrorKind::Runtime, "a dimension cannot be negative: shape ", shape);
    if (v == 0) zero = true;
    else overflow |= __builtin_mul_overflow(n, v, &n);
  }
  // Beside a 0 too, as PyTorch and NumPy: every partial product of a tensor's lengths then fits.
  if (overflow) fail(ErrorKind::Memory, "shape ", shape, " has more elements than a 64-bit integer can count");
  return zero ? 0 : n;
}

Dims contiguous_strides(const Dims& shape) {
  Dims s = shape;
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; i--) {
    s[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return s;
}

Dims broadcast(const char* op, const Dims& a, const Dims& b) {
  const int rank = std::max(a.size(), b.size());
  Dims out = Dims::filled(rank, 1);
  for (int i = 1; i <= rank; i++) {
    const int64_t x = i <= a.size() ? a[a.size() - i] : 1, y = i <= b.size() ? b[b.size() - i] : 1;
    if (x != y && x != 1 && y != 1)
      fail(ErrorKind::Runtime, "[", op, "] shapes ", a, " and ", b, " cannot be broadcast: at dimension -", i, " got ",
           x, " and ", y, ", expected equal lengths or 1; reshape or unsqueeze one of them");
    out[rank - i] = x == 1 ? y : x;
  }
  return out;
}

int normalize_axis(const char* op, int64_t axis, int rank) {
  const int span = std::max(rank, 1);
  if (axis < -span || axis >= span)
    fail(ErrorKind::Index, "[", op, "] dim ", axis, " is out of range: expected ", -span, " to ", span - 1,
         " for a tensor of ", rank, " dimensions");
  return static_cast<int>(axis < 0 ? axis + span : axis);
}

}  // namespace tg
