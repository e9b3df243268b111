// What sorting and selection share. Elements of equal keys (math/sort_key.h) are ordered by their indices: a total order, so the
// result is unique and neither the algorithm nor the sharing of its work shows in it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/by_dtype.h"
#include "core/memory.h"
#include "cpu/pool.h"
#include "cpu/rows_driver.h"
#include "math/sort_key.h"
#include "ops/op.h"

namespace tg {

template <class Key>
struct KeyRange {
  Key least, greatest;
  // Binary digits that tell the keys apart once `least` is taken off.
  int width() const {
    const uint64_t span = greatest - least;
    return span ? 64 - __builtin_clzll(span) : 0;
  }
};
template <class T>
KeyRange<KeyOf<T>> key_range(const T* x, int64_t n, KeyOf<T> flip) {  // n >= 1
  using Key = KeyOf<T>;
  Key least = ~Key{0}, greatest = 0;
  for (int64_t i = 0; i < n; i++) {
    const Key k = key_of(x[i], flip);
    least = k < least ? k : least;
    greatest = k > greatest ? k : greatest;
  }
  return {least, greatest};
}

inline constexpr int64_t kLongLine = 1 << 15;  // elements of a line that is shared by the threads

// order[p] = the index of the element at place p of the sorted line. The elements with lower keys are counted, by 32 bits
// and without a branch that depends on the values; then equal ones stand in line.
inline constexpr int kFew = 64;
template <class T>
void order_few(const T* x, int n, KeyOf<T> flip, int32_t* order) {  // 1 <= n <= kFew
  typedef int32_t Vector __attribute__((vector_size(16)));
  constexpr int lanes = 4;
  KeyRange<KeyOf<T>> range{0, 0};
  if constexpr (sizeof(T) == 8) range = key_range(x, n, flip);
  const int rest = std::max(range.width() - 32, 0);  // low bits that do not count at first
  Vector digits[kFew / lanes];
  for (int i = 0; i < n; i++) {
    const uint32_t upper = static_cast<uint32_t>((key_of(x[i], flip) - range.least) >> rest);
    digits[i / lanes][i % lanes] = static_cast<int32_t>(upper ^ 0x80000000u);  // signed: an instruction everywhere
  }
  const int vectors = (n + lanes - 1) / lanes;
  for (int i = n; i < vectors * lanes; i++) digits[i / lanes][i % lanes] = std::numeric_limits<int32_t>::max();
  uint8_t met[kFew] = {};
  for (int i = 0; i < n; i++) {
    const Vector own = digits[i / lanes][i % lanes] - Vector{};
    Vector lower = {};
    for (int v = 0; v < vectors; v++) lower -= digits[v] < own;
    const int32_t before = lower[0] + lower[1] + lower[2] + lower[3];
    order[before + met[before]++] = i;
  }
  if (!rest) return;
  for (int p = 1; p < n; p++) {  // those with equal digits, by their whole keys
    const int32_t index = order[p];
    int at = p;
    for (; at > 0 && key_of(x[index], flip) < key_of(x[order[at - 1]], flip); at--) order[at] = order[at - 1];
    order[at] = index;
  }
}

struct Block {  // of memory that is not initialised
  explicit Block(size_t bytes) : data(allocate(bytes)), bytes(bytes) {}
  ~Block() { release(data, bytes); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  void* data;
  size_t bytes;
};

// f(part, first, last) over 0..n-1 cut into `parts`
template <class F>
void over_parts(int64_t n, int parts, F f) {
  struct Work {
    int64_t n, step;
    F* f;
  } work{n, (n + parts - 1) / parts, &f};
  auto run = [](void* ctx, int64_t part) {
    const Work& w = *static_cast<const Work*>(ctx);
    (*w.f)(static_cast<int>(part), std::min(w.n, part * w.step), std::min(w.n, (part + 1) * w.step));
  };
  if (parts == 1) run(&work, 0);
  else parallel(parts, run, &work);
}

// x[0..n) sorted, with the indices that the elements had; on several threads if n is large.
template <class T>
void sort_line(const T* x, int64_t n, bool descending, T* values, int64_t* indices);

// The lines of a call's input, each contiguous, and where their values and indices go: the outputs themselves, or, if the
// outputs have several elements along another axis than the last, tensors that finish() transposes into them.
struct ContiguousLines {
  const Call& call;
  Dims order;  // the axes of the input, the one of the lines at the end
  Tensor x, values, indices;
  int64_t n, lines;  // elements of a line, lines

  ContiguousLines(const Call& c, int dim_attribute);
  // f(r, line) for every line; on several threads, unless the lines are so few and long that each is shared out itself.
  template <class T, class F>
  void each(double nanoseconds, F f) const {
    const T* data = x.data<T>();
    auto some = [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; r++) f(r, data + r * n);
    };
    if (n >= kLongLine && lines < 2 * num_threads()) some(0, lines);
    else split(lines, nanoseconds * static_cast<double>(n) + 5, some);
  }
  void finish() const;
};

}  // namespace tg
