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
constexpr int64_t kFewWanted = 16;

// Leaves the k first, the k-th at the end; k <= some.size().
void keep_first(Candidates& some, int64_t k) {
  std::nth_element(some.begin(), some.begin() + k - 1, some.end());
  some.resize(static_cast<size_t>(k));
}

// f(key, index) for the elements of x[first..last) whose keys are below that of `limit`, which f may lower. Comparing the
// values themselves, which takes the fewest instructions, passes over most blocks; NaN is looked into.
template <class T, class F>
void below(const T* x, int64_t first, int64_t last, KeyOf<T> flip, const Candidate& limit, F f) {
  using Key = KeyOf<T>;
  constexpr int64_t block = 32;
  for (int64_t i = first; i < last; i += block) {
    const int64_t end = std::min(last, i + block);
    const T bound = x[limit.index];
    Key some = 0;
    if (flip)
      for (int64_t j = i; j < end; j++) some |= static_cast<Key>(!(x[j] <= bound));
    else
      for (int64_t j = i; j < end; j++) some |= static_cast<Key>(!(x[j] >= bound));
    if (!some) continue;
    for (int64_t j = i; j < end; j++) {
      const Key key = key_of(x[j], flip);
      if (key < limit.key) f(key, j);
    }
  }
}

// Adds the k first of x[first..last) to `best`, 1 <= k <= kFewWanted: they are kept in order.
template <class T>
void add_few(const T* x, int64_t first, int64_t last, int64_t k, KeyOf<T> flip, Candidates& best) {
  using Key = KeyOf<T>;
  Candidate some[kFewWanted];
  int64_t held = 0;
  Candidate limit{};
  auto insert = [&](Key key, int64_t index) {
    int64_t at = held < k ? held++ : k - 1;
    for (; at > 0 && key < some[at - 1].key; at--) some[at] = some[at - 1];
    some[at] = {key, index};
    limit = some[held - 1];
  };
  const int64_t filled = std::min(last, first + k);
  for (int64_t i = first; i < filled; i++) insert(key_of(x[i], flip), i);
  below(x, filled, last, flip, limit, insert);
  best.insert(best.end(), some, some + held);
}

// Adds the k first of x[first..last) to `best`, k >= 1. Once k are known, only keys below the greatest of them count: an
// equal one has a higher index.
template <class T>
void add_first(const T* x, int64_t first, int64_t last, int64_t k, KeyOf<T> flip, Candidates& best) {
  using Key = KeyOf<T>;
  if (k <= kFewWanted) return add_few(x, first, last, k, flip, best);
  const size_t room = static_cast<size_t>(2 * k);
  Candidates some;
  some.reserve(room + 1);
  Candidate limit{};
  auto tighten = [&] {
    keep_first(some, k);
    limit = some.back();
  };
  const int64_t filled = std::min(last, first + k);
  for (int64_t i = first; i < filled; i++) some.push_back({key_of(x[i], flip), i});
  if (filled < last) tighten();
  below(x, filled, last, flip, limit, [&](Key key, int64_t index) {
    some.push_back({key, index});
    if (some.size() > room) tighten();
  });
  if (static_cast<int64_t>(some.size()) > k) keep_first(some, k);
  best.insert(best.end(), some.begin(), some.end());
}

template <class T>
void first_of_line(const T* x, int64_t n, int64_t k, bool largest, T* values, int64_t* indices) {
  using Key = KeyOf<T>;
  const Key flip = largest ? ~Key{0} : Key{0};
  if (n <= kFew) {
    int32_t order[kFew];
    order_few(x, static_cast<int>(n), flip, order);
    for (int64_t p = 0; p < k; p++) {
      values[p] = x[order[p]];
      indices[p] = order[p];
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
    const int parts = num_threads();  // asked once: another thread of the program may set it
    std::vector<Candidates> found(static_cast<size_t>(parts));
    over_parts(n, parts, [&](int part, int64_t first, int64_t last) {
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

// The index of the k-th smallest, k >= 0: the bucket of keys that holds it, then the place within the bucket. Elements that
// somebody changes meanwhile may lead to another one, but not out of bounds.
template <class T>
int64_t kth_of_line(const T* x, int64_t n, int64_t k) {
  using Key = KeyOf<T>;
  const int digits = n < kLongLine ? 8 : 10;
  const int64_t buckets = int64_t{1} << digits;
  const int parts = n < kLongLine ? 1 : num_threads();
  // The keys of a short line are kept; those of a long one would cost more memory traffic than their computation.
  const Block block(n < kLongLine ? static_cast<size_t>(n) * sizeof(Key) : 0);
  Key* const kept = n < kLongLine ? static_cast<Key*>(block.data) : nullptr;
  std::vector<KeyRange<Key>> ranges(static_cast<size_t>(parts), {~Key{0}, Key{0}});
  over_parts(n, parts, [&](int part, int64_t first, int64_t last) {
    KeyRange<Key> range{~Key{0}, Key{0}};
    for (int64_t i = first; i < last; i++) {
      const Key key = key_of(x[i], Key{0});
      if (kept) kept[i] = key;
      range = {std::min(range.least, key), std::max(range.greatest, key)};
    }
    ranges[static_cast<size_t>(part)] = range;
  });
  KeyRange<Key> range = ranges[0];
  for (const KeyRange<Key>& r : ranges) range = {std::min(range.least, r.least), std::max(range.greatest, r.greatest)};
  const int shift = std::max(range.width() - digits, 0);
  const Key least = range.least;
  const auto key_at = [=](int64_t i) { return kept ? kept[i] : key_of(x[i], Key{0}); };
  const auto bucket_of = [=](int64_t i) { return static_cast<int64_t>((key_at(i) - least) >> shift) & (buckets - 1); };

  std::vector<uint32_t> counts(static_cast<size_t>(parts * buckets), 0);
  over_parts(n, parts, [&](int part, int64_t first, int64_t last) {
    uint32_t* count = counts.data() + part * buckets;
    for (int64_t i = first; i < last; i++) count[bucket_of(i)]++;
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
    const Candidate* const end = to + in_bucket(part, bucket);
    for (int64_t i = first; i < last; i++)
      if (bucket_of(i) == bucket && to != end) *to++ = {key_at(i), i};
  });
  if (shift > 0) std::nth_element(held.begin(), held.begin() + k, held.end());  // else all keys are equal
  return held[static_cast<size_t>(k)].index;
}

template <class T>
int64_t kth_place(const T* x, int64_t n, int64_t k) {
  if (n > kFew) return kth_of_line(x, n, k);
  int32_t order[kFew];
  order_few(x, static_cast<int>(n), KeyOf<T>{0}, order);
  return order[k];
}

template <class T>
int64_t median_place(const T* x, int64_t n, bool skip_nan) {
  int64_t nans = 0;
  for (int64_t i = 0; i < n; i++) nans += x[i] != x[i];
  if (nans && !skip_nan) return std::find_if(x, x + n - 1, [](T v) { return v != v; }) - x;
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
