// Sorting along an axis: stable, so NaN and equal values keep their order. Lines of up to 64 elements are ranked by counting,
// longer ones sorted by the digits of their keys, least digit first. Lines along another axis than the last are
// transposed there and back.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/memory.h"
#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/pool.h"
#include "cpu/rows_driver.h"
#include "cpu/sort_keys.h"

namespace tg {
namespace {

constexpr double kNanoseconds = 10;  // per element
constexpr int64_t kShortLine = 4096;

// Up to 32 bits of a key above the index of its element.
using Item = uint64_t;
uint32_t index_of(Item item) { return static_cast<uint32_t>(item); }
uint32_t digits_of(Item item) { return static_cast<uint32_t>(item >> 32); }

// Sorts the items by the low `width` bits of their digits, going back and forth between two arrays; returns the one that
// holds the result. Each part counts its own digits, then puts its items behind those of the parts before it.
Item* radix_sort(Item* from, Item* to, int64_t n, int width, int parts) {
  const int most = n < kShortLine ? 8 : 11;  // bits of a digit
  const int passes = (width + most - 1) / most;
  if (passes == 0) return from;
  const int digit = (width + passes - 1) / passes, values = 1 << digit;
  const Block block(static_cast<size_t>(parts * values) * sizeof(uint32_t));
  uint32_t* const place = static_cast<uint32_t*>(block.data);
  for (int pass = 0; pass < passes; pass++) {
    const int shift = 32 + pass * digit;
    const auto value = [=](Item item) {
      return static_cast<uint32_t>(item >> shift) & static_cast<uint32_t>(values - 1);
    };
    over_parts(n, parts, [=](int part, int64_t first, int64_t last) {
      uint32_t* count = place + part * values;
      std::fill_n(count, values, 0u);
      for (int64_t i = first; i < last; i++) count[value(from[i])]++;
    });
    uint32_t total = 0;
    for (int v = 0; v < values; v++)
      for (int part = 0; part < parts; part++) total += std::exchange(place[part * values + v], total);
    over_parts(n, parts, [=](int part, int64_t first, int64_t last) {
      uint32_t* next = place + part * values;
      for (int64_t i = first; i < last; i++) to[next[value(from[i])]++] = from[i];
    });
    std::swap(from, to);
  }
  return from;
}

// Items whose digits are equal may differ in the rest of their keys.
template <class T>
void sort_ties(Item* items, int64_t n, const T* x, KeyOf<T> flip) {
  const auto key = [=](Item item) { return key_of(x[index_of(item)], flip); };
  const auto before = [=](Item a, Item b) { return key(a) < key(b); };
  for (int64_t i = 0; i + 1 < n; i++) {
    if (digits_of(items[i]) != digits_of(items[i + 1])) continue;
    const int64_t first = i;
    while (i + 1 < n && digits_of(items[i]) == digits_of(items[i + 1])) i++;
    if (i - first < 16) {
      for (int64_t k = first + 1; k <= i; k++) {
        const Item item = items[k];
        int64_t at = k;
        for (; at > first && before(item, items[at - 1]); at--) items[at] = items[at - 1];
        items[at] = item;
      }
    } else if (!std::is_sorted(items + first, items + i + 1, before)) {
      std::stable_sort(items + first, items + i + 1, before);
    }
  }
}

template <class T>
void sort_few(const T* x, int n, KeyOf<T> flip, T* values, int64_t* indices) {
  int32_t order[kFew];
  order_few(x, n, flip, order);
  for (int p = 0; p < n; p++) {
    values[p] = x[order[p]];
    indices[p] = order[p];
  }
}

}  // namespace

ContiguousLines::ContiguousLines(const Call& c, int dim_attribute) : call(c), x(c.in[0]) {
  const char* op = c.op.name.c_str();
  values = c.out[0], indices = c.out[1];
  n = 1, lines = 1;
  if (x.rank() == 0) return;
  const int axis = normalize_axis(op, c.attrs.integer(dim_attribute), x.rank());
  n = x.shape[axis];
  for (int i = 0; i < x.rank(); i++)
    if (i != axis) {
      lines *= x.shape[i];
      order.push_back(i);
    }
  order.push_back(axis);
  x = contiguous(permute(op, x, order));
  if (axis + 1 < x.rank() && values.numel() != lines) {
    const Dims shape = permute(op, values, order).shape;
    values = empty(shape, values.dtype);
    indices = empty(shape, indices.dtype);
  }
}

void ContiguousLines::finish() const {
  if (values.storage == call.out[0].storage) return;
  copy(permute(call.op.name.c_str(), call.out[0], order), values);
  copy(permute(call.op.name.c_str(), call.out[1], order), indices);
}

template <class T>
void sort_line(const T* x, int64_t n, bool descending, T* values, int64_t* indices) {
  using Key = KeyOf<T>;
  const Key flip = descending ? ~Key{0} : Key{0};
  if (n <= kFew) return sort_few(x, static_cast<int>(n), flip, values, indices);
  const KeyRange<Key> range = key_range(x, n, flip);
  // In a short line few elements share the upper digits, and the others are told apart by comparing.
  const int width = range.width(), sorted_by = n < kShortLine ? 24 : 32, rest = std::max(width - sorted_by, 0);
  const int parts = n < kLongLine ? 1 : num_threads();
  const Block block(2 * static_cast<size_t>(n) * sizeof(Item));
  Item* const items = static_cast<Item*>(block.data);
  over_parts(n, parts, [&](int, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++)
      items[i] = static_cast<Item>((key_of(x[i], flip) - range.least) >> rest) << 32 | static_cast<Item>(i);
  });
  Item* const sorted = radix_sort(items, items + n, n, width - rest, parts);
  if (rest) sort_ties(sorted, n, x, flip);
  over_parts(n, parts, [&](int, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      indices[i] = index_of(sorted[i]);
      values[i] = x[index_of(sorted[i])];
    }
  });
}

#define TG_SORT_LINE(T) template void sort_line(const T*, int64_t, bool, T*, int64_t*);
TG_SORT_LINE(float)
TG_SORT_LINE(double)
TG_SORT_LINE(int64_t)
TG_SORT_LINE(int32_t)
TG_SORT_LINE(uint8_t)
#undef TG_SORT_LINE

void k_sort(const Call& c) {
  if (c.out[0].numel() == 0) return;
  const ContiguousLines l(c, 0);
  const bool descending = c.attrs.boolean(1);
  with_sortable(l.x.dtype, [&](auto t) {
    using T = decltype(t);
    T* values = l.values.template data<T>();
    int64_t* indices = l.indices.data<int64_t>();
    l.each<T>(kNanoseconds,
              [&](int64_t r, const T* line) { sort_line(line, l.n, descending, values + r * l.n, indices + r * l.n); });
  });
  l.finish();
}

}  // namespace tg
