// native_nonzero, native_count_nonzero and native_searchsorted: finding places.
#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/contiguous.h"
#include "core/by_dtype.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"
#include "ops/refusals.h"

namespace tg {
namespace {

// ---- what is not zero

int64_t count_true(const uint8_t* mask, int64_t n) {
  int64_t total = 0;
  for (int64_t i = 0; i < n;) {
    uint8_t lanes[16] = {};  // at most 255 each
    const int64_t rounds = std::min<int64_t>((n - i) / 16, 255);
    if (rounds == 0) {
      for (; i < n; i++) total += mask[i] != 0;
      break;
    }
    for (int64_t r = 0; r < rounds; r++, i += 16)
      for (int j = 0; j < 16; j++) lanes[j] = static_cast<uint8_t>(lanes[j] + (mask[i + j] != 0));
    for (uint8_t lane : lanes) total += lane;
  }
  return total;
}

// Long masks are counted and listed in blocks.
constexpr int64_t kBlock = 1 << 14;
int64_t blocks(int64_t n) { return (n + kBlock - 1) / kBlock; }

// to[0 .. found) = the places from `first` to `last` that are true; there is room for no more than these.
void list_true(const uint8_t* mask, int64_t first, int64_t last, int64_t* to, int64_t found) {
  int64_t k = 0, i = first;
  for (; i + 8 <= last; i += 8) {
    uint64_t word;
    std::memcpy(&word, mask + i, 8);
    if (word == 0) continue;
    if (k + 8 > found) break;  // the loop below writes no element too many
    for (int j = 0; j < 8; j++) {
      to[k] = i + j;
      k += mask[i + j] != 0;
    }
  }
  for (; i < last && k < found; i++)
    if (mask[i]) to[k++] = i;
}

// at[0] holds places in the whole tensor and becomes the coordinate on the last axis, at[-n] .. those on the others.
template <class U>
void coordinates(int64_t* last, int64_t n, const Dims& shape, int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) {
    int64_t* to = last + i;
    U place = static_cast<U>(*to);
    for (int axis = shape.size() - 1; axis > 0; axis--, to -= n) {
      const U length = static_cast<U>(shape[axis]), rest = place / length;
      *to = static_cast<int64_t>(place - rest * length);
      place = rest;
    }
    *to = static_cast<int64_t>(place);
  }
}

// ---- searchsorted: how many elements of a sorted row come before a value. NaN is the greatest.

// An element of NaN comes before no value; a value of NaN needs a search of its own.
template <class T, bool right>
bool before(T element, T value) {
  return right ? element <= value : element < value;
}

// A value of NaN: behind all other elements, or behind those of NaN as well.
template <class T, bool right>
int64_t place_of_nan(const T* row, int64_t n) {
  return right ? n : std::partition_point(row, row + n, [](T element) { return element == element; }) - row;
}

constexpr int kAtOnce = 16;  // searches side by side: each waits for memory, but not for the others

template <class T, class Index, bool right>
void search(const T* row, int64_t n, const T* values, Index* to, int64_t count) {
  for (int64_t start = 0; start < count; start += kAtOnce) {
    const int m = static_cast<int>(std::min<int64_t>(kAtOnce, count - start));
    T value[kAtOnce];
    int64_t at[kAtOnce] = {};
    for (int i = 0; i < kAtOnce; i++) value[i] = values[start + std::min(i, m - 1)];
    int64_t left = n;
    for (; left > 1; left -= left / 2) {
      const T* middle = row + left / 2 - 1;
      for (int i = 0; i < kAtOnce; i++)
        at[i] += left / 2 & -static_cast<int64_t>(before<T, right>(middle[at[i]], value[i]));
    }
    for (int i = 0; i < m; i++) {
      int64_t place = at[i] + (left && before<T, right>(row[at[i]], value[i]));
      if (value[i] != value[i]) [[unlikely]]
        place = place_of_nan<T, right>(row, n);
      to[start + i] = static_cast<Index>(place);
    }
  }
}

template <class T, class Index, bool right>
void search_rows(const Call& c) {
  const Tensor rows = contiguous(c.in[0]), values = contiguous(c.in[1]);
  const int64_t n = rows.shape.back(), total = values.numel();
  const int64_t per_row = rows.rank() == 1 ? total : values.shape.back();
  double steps = 2;
  for (int64_t m = n; m > 1; m /= 2) steps += 1;
  split(total, 0.6 * steps, [&](int64_t first, int64_t last) {
    while (first < last) {
      const int64_t row = first / per_row, end = std::min(last, (row + 1) * per_row);
      search<T, Index, right>(rows.data<T>() + row * n, n, values.data<T>() + first, c.out[0].data<Index>() + first,
                              end - first);
      first = end;
    }
  });
}

}  // namespace

void k_count_nonzero(const Call& c) {
  const Tensor mask = contiguous(c.in[0]);
  const auto* bytes = mask.data<uint8_t>();
  const int64_t n = mask.numel();
  std::vector<int64_t> found(static_cast<size_t>(blocks(n)));
  split(blocks(n), 0.05 * kBlock, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; b++)
      found[static_cast<size_t>(b)] = count_true(bytes + b * kBlock, std::min(kBlock, n - b * kBlock));
  });
  int64_t total = 0;
  for (int64_t f : found) total += f;
  *c.out[0].data<int64_t>() = total;
}

void k_nonzero(const Call& c) {
  const Tensor mask = contiguous(c.in[0]);
  const Dims& shape = mask.shape;
  const auto* bytes = mask.data<uint8_t>();
  const int64_t size = mask.numel(), n = c.attrs.integer(0);
  std::vector<int64_t> start(static_cast<size_t>(blocks(size)) + 1);
  split(blocks(size), 0.05 * kBlock, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; b++)
      start[static_cast<size_t>(b) + 1] = count_true(bytes + b * kBlock, std::min(kBlock, size - b * kBlock));
  });
  for (size_t b = 1; b < start.size(); b++) start[b] += start[b - 1];
  if (start.back() != n) refuse(c.op, Check::of_count(n), {0, {start.back()}});
  if (n == 0 || shape.empty()) return;
  int64_t* to = c.out[0].data<int64_t>() + (shape.size() - 1) * n;
  split(blocks(size), 0.5 * kBlock, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; b++) {
      const int64_t begin = start[static_cast<size_t>(b)], end = start[static_cast<size_t>(b) + 1];
      list_true(bytes, b * kBlock, std::min(size, (b + 1) * kBlock), to + begin, end - begin);
      if (shape.size() == 1) continue;
      if (size <= UINT32_MAX) coordinates<uint32_t>(to, n, shape, begin, end);
      else coordinates<uint64_t>(to, n, shape, begin, end);
    }
  });
}

void k_searchsorted(const Call& c) {
  if (c.out[0].numel() == 0) return;
  const bool right = c.attrs.boolean(0), narrow = c.attrs.boolean(1);
  with_element(c.in[0].dtype, [&](auto like) {
    using T = decltype(like);
    if constexpr (std::floating_point<T> || std::integral<T>) {
      if (narrow) right ? search_rows<T, int32_t, true>(c) : search_rows<T, int32_t, false>(c);
      else right ? search_rows<T, int64_t, true>(c) : search_rows<T, int64_t, false>(c);
    }
  });
}

}  // namespace tg
