// The k first or the k-th of each line, without sorting it. Lines of up to 64 elements are ranked by counting.
#include <algorithm>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/sort_keys.h"

namespace tg {
namespace {

struct Candidate {
  uint64_t key;
  int64_t index;
  bool operator<(const Candidate& o) const { return key < o.key || (key == o.key && index < o.index); }
};
using Candidates = std::vector<Candidate>;

// ---- the first k

// Leaves the k first; k < some.size().
void keep_first(Candidates& some, int64_t k) {
  std::nth_element(some.begin(), some.begin() + k - 1, some.end());
  some.resize(static_cast<size_t>(k));
}

// Adds the k first of x[first..last) to `best`, k >= 1. Once k are known, only keys below the greatest of them count: an
// equal one has a higher index.
template <class T>
void add_first(const T* x, int64_t first, int64_t last, int64_t k, KeyOf<T> flip, Candidates& best) {
  using Key = KeyOf<T>;
  constexpr int64_t block = 32;
  const size_t room = static_cast<size_t>(2 * k + block);
  Candidates some;
  some.reserve(room + block);
  int64_t i = first;
  for (; i < last && i < first + k; i++) some.push_back({key_of(x[i], flip), i});
  auto limit_of = [&] {
    if (static_cast<int64_t>(some.size()) > k) keep_first(some, k);
    return static_cast<Key>(std::max_element(some.begin(), some.end())->key);
  };
  Key limit = i < last ? limit_of() : Key{0};
  for (; i < last; i += block) {
    const int64_t end = std::min(last, i + block);
    Key below = 0;
    for (int64_t j = i; j < end; j++) below |= key_of(x[j], flip) < limit;
    if (!below) continue;
    for (int64_t j = i; j < end; j++) {
      const Key key = key_of(x[j], flip);
      if (key < limit) some.push_back({key, j});
    }
    if (some.size() > room) limit = limit_of();
  }
  if (static_cast<int64_t>(some.size()) > k) keep_first(some, k);
  best.insert(best.end(), some.begin(), some.end());
}

template <class T>
void first_of_line(const T* x, int64_t n, int64_t k, bool largest, T* values, int64_t* indices) {
  using Key = KeyOf<T>;
  const Key flip = largest ? ~Key{0} : Key{0};
  if (n <= kFew) {
    int32_t rank[kFew];
    ranks(x, static_cast<int>(n), flip, rank);
    for (int64_t i = 0; i < n; i++)
      if (rank[i] < k) {
        values[rank[i]] = x[i];
        indices[rank[i]] = i;
      }
    return;
  }
  if (k > n / 8) {
    const Block block(static_cast<size_t>(n) * (sizeof(T) + sizeof(int64_t)));
    int64_t* const all_indices = static_cast<int64_t*>(block.data);
    T* const all_values = reinterpret_cast<T*>(all_indices + n);
    sort_line(x, n, largest, all_values, all_indices);
    std::copy_n(all_values, k, values);
    std::copy_n(all_indices, k, indices);
    return;
  }
  Candidates best;
  if (n < kLongLine) {
    add_first(x, 0, n, k, flip, best);
  } else {
    std::vector<Candidates> found(static_cast<size_t>(num_threads()));
    over_parts(n, num_threads(), [&](int part, int64_t first, int64_t last) {
      if (first < last) add_first(x, first, last, k, flip, found[static_cast<size_t>(part)]);
    });
    for (const Candidates& some : found) best.insert(best.end(), some.begin(), some.end());
    if (static_cast<int64_t>(best.size()) > k) keep_first(best, k);
  }
  std::sort(best.begin(), best.end());
  for (int64_t i = 0; i < k; i++) {
    indices[i] = best[static_cast<size_t>(i)].index;
    values[i] = x[indices[i]];
  }
}

// ---- the k-th

// The index of the k-th smallest, k >= 0: the bucket of keys that holds it, then the place within the bucket.
template <class T>
int64_t kth_of_line(const T* x, int64_t n, int64_t k) {
  using Key = KeyOf<T>;
  constexpr int digits = 10, buckets = 1 << digits;
  const int parts = n < kLongLine ? 1 : num_threads();
  std::vector<KeyRange<Key>> ranges(static_cast<size_t>(parts), {~Key{0}, Key{0}});
  over_parts(n, parts, [&](int part, int64_t first, int64_t last) {
    if (first < last) ranges[static_cast<size_t>(part)] = key_range(x + first, last - first, Key{0});
  });
  KeyRange<Key> range = ranges[0];
  for (const KeyRange<Key>& r : ranges) range = {std::min(range.least, r.least), std::max(range.greatest, r.greatest)};
  const int shift = std::max(range.width() - digits, 0);
  const auto bucket_of = [=](T v) { return static_cast<int64_t>((key_of(v, Key{0}) - range.least) >> shift); };

  std::vector<uint32_t> counts(static_cast<size_t>(parts * buckets), 0);
  over_parts(n, parts, [&](int part, int64_t first, int64_t last) {
    uint32_t* count = counts.data() + part * buckets;
    for (int64_t i = first; i < last; i++) count[bucket_of(x[i])]++;
  });
  auto in_bucket = [&](int part, int64_t b) { return int64_t{counts[static_cast<size_t>(part * buckets + b)]}; };
  int64_t bucket = 0, size = 0;
  for (;; bucket++, k -= size) {
    size = 0;
    for (int part = 0; part < parts; part++) size += in_bucket(part, bucket);
    if (k < size) break;
  }
  Candidates held(static_cast<size_t>(size));
  over_parts(n, parts, [&](int part, int64_t first, int64_t last) {
    Candidate* to = held.data();
    for (int before = 0; before < part; before++) to += in_bucket(before, bucket);
    for (int64_t i = first; i < last; i++)
      if (bucket_of(x[i]) == bucket) *to++ = {key_of(x[i], Key{0}), i};
  });
  if (shift > 0) std::nth_element(held.begin(), held.begin() + k, held.end());  // else all keys are equal
  return held[static_cast<size_t>(k)].index;
}

template <class T>
int64_t kth_place(const T* x, int64_t n, int64_t k) {
  if (n > kFew) return kth_of_line(x, n, k);
  int32_t rank[kFew];
  ranks(x, static_cast<int>(n), KeyOf<T>{0}, rank);
  int64_t i = 0;
  while (rank[i] != k) i++;
  return i;
}

template <class T>
int64_t median_place(const T* x, int64_t n, bool skip_nan) {
  int64_t nans = 0;
  for (int64_t i = 0; i < n; i++) nans += x[i] != x[i];
  if (nans && !skip_nan) return std::find_if(x, x + n, [](T v) { return v != v; }) - x;
  return kth_place(x, n, std::max<int64_t>(n - nans - 1, 0) / 2);
}

}  // namespace

void k_topk(const Call& c) {
  const ContiguousLines l(c, 1);
  const int64_t k = l.x.rank() ? c.attrs.integer(0) : 1;  // of a number, itself
  if (k == 0) return;
  const bool largest = c.attrs.boolean(2);
  with_sortable(l.x.dtype, [&](auto t) {
    using T = decltype(t);
    T* values = l.values.template data<T>();
    int64_t* indices = l.indices.data<int64_t>();
    l.each<T>(2,
              [&](int64_t r, const T* line) { first_of_line(line, l.n, k, largest, values + r * k, indices + r * k); });
  });
  l.finish();
}

void k_kthvalue(const Call& c) {
  const ContiguousLines l(c, 1);
  const bool skip_nan = c.attrs.boolean(3);
  with_sortable(l.x.dtype, [&](auto t) {
    using T = decltype(t);
    T* values = l.values.template data<T>();
    int64_t* indices = l.indices.data<int64_t>();
    l.each<T>(3, [&](int64_t r, const T* line) {
      indices[r] = c.attrs.has(0) ? kth_place(line, l.n, c.attrs.integer(0) - 1) : median_place(line, l.n, skip_nan);
      values[r] = line[indices[r]];
    });
  });
  l.finish();
}

}  // namespace tg
