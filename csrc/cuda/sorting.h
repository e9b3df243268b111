// The first elements of lines in the order of their keys (math/sort_key.h), equal ones in the order of their indices: a total order, so
// the result is unique. Tiles of a line are ranked by counting; then runs merge two by two, each element finding its place in the
// result by a search in the other run. Where only `keep` elements are wanted no run is longer.
#pragma once
#include "cuda/walk.h"
#include "math/sort_key.h"

namespace tg::cuda {

// `count` lines of n elements: line l begins at begin(l), its elements are `step` apart.
struct LinesAt {
  Walk<1> begin;
  int64_t n = 1, step = 0;
};
inline LinesAt lines_along(const Operand& o, int axis) {
  LinesAt l;
  l.begin = walk_axes(o, o.rank ? ((1u << o.rank) - 1) & ~(1u << axis) : 0);
  if (o.rank) l.n = o.shape[axis], l.step = o.strides[axis];
  return l;
}

template <class Key>
struct Items {
  Key* key;
  uint32_t* index;
  TG_BODY void set(int64_t at, Key k, uint32_t i) const {
    key[at] = k;
    index[at] = i;
  }
};

// Runs of `run` elements of a line, the last shorter, each as its first `keep` elements in order, one behind the other.
template <class Key>
struct Runs {
  int64_t n, run, keep;
  Items<Key> items;
  TG_BODY int64_t count() const { return (n + run - 1) / run; }
  TG_BODY int64_t room() const { return run < keep ? run : keep; }
  TG_BODY int64_t length(int64_t r) const {
    const int64_t left = n - r * run, most = room();
    return left < most ? left : most;
  }
  TG_BODY int64_t all() const { return (count() - 1) * room() + length(count() - 1); }  // of a line
  TG_BODY int64_t at(int64_t line, int64_t r) const { return line * all() + r * room(); }
};

// ---- short lines: a thread counts what comes before its element

template <class T>
struct RankFew {
  LinesAt lines;
  const T* x;
  KeyOf<T> flip;
  Runs<KeyOf<T>> to;
  TG_BODY void operator()(int64_t i) const {
    const int64_t line = i / lines.n, own = i - line * lines.n;
    const T* row = x + lines.begin.offset(line);
    const KeyOf<T> key = key_of(row[own * lines.step], flip);
    int64_t rank = 0;
    for (int64_t j = 0; j < lines.n; j++) {
      const KeyOf<T> other = key_of(row[j * lines.step], flip);
      rank += other < key || (other == key && j < own);
    }
    if (rank < to.keep) to.items.set(to.at(line, 0) + rank, key, uint32_t(own));
  }
};

// ---- tiles: likewise, in shared memory

template <class T>
struct RankTiles {
  using Key = KeyOf<T>;
  static constexpr int threads = 256, tile = 512;
  struct Shared {
    Key key[tile];
  };
  struct Own {};
  LinesAt lines;
  const T* x;
  Key flip;
  Runs<Key> to;  // of `tile` elements

  TG_BODY int64_t steps() const { return 1; }
  TG_BODY int in_tile(int64_t block) const {
    const int64_t left = lines.n - block % to.count() * tile;
    return int(left < tile ? left : tile);
  }
  TG_BODY void begin(int64_t, int, Own&) const {}
  TG_BODY void load(int64_t block, int64_t, int thread, Shared& shared) const {
    const int64_t line = block / to.count(), first = block % to.count() * tile;
    const T* row = x + lines.begin.offset(line);
    const int n = in_tile(block);
    for (int i = thread; i < n; i += threads) shared.key[i] = key_of(row[(first + i) * lines.step], flip);
  }
  TG_BODY void work(int64_t block, int64_t, int thread, const Shared& shared, Own&) const {
    const int64_t line = block / to.count(), r = block % to.count();
    const int n = in_tile(block);
    for (int i = thread; i < n; i += threads) {
      const Key key = shared.key[i];
      int rank = 0;
      for (int j = 0; j < i; j++) rank += shared.key[j] <= key;
      for (int j = i + 1; j < n; j++) rank += shared.key[j] < key;
      if (rank < to.keep) to.items.set(to.at(line, r) + rank, key, uint32_t(r * tile + i));
    }
  }
  TG_BODY void end(int64_t, int, Own&) const {}
};

// ---- merges: of equal keys those of the left run come first

template <class Key>
struct MergeRuns {
  Runs<Key> from, to;
  TG_BODY void operator()(int64_t i) const {
    const int64_t line = i / from.all(), in_line = i - line * from.all();
    const int64_t r = in_line / from.room(), place = in_line - r * from.room(), other = r ^ 1;
    const Key key = from.items.key[i];
    int64_t before = 0;
    if (other < from.count()) {
      const Key* keys = from.items.key + from.at(line, other);
      int64_t end = from.length(other);
      while (before < end) {
        const int64_t middle = (before + end) / 2;
        const bool first = r < other ? keys[middle] < key : keys[middle] <= key;
        if (first) before = middle + 1;
        else end = middle;
      }
    }
    if (place + before < to.room()) to.items.set(to.at(line, r / 2) + place + before, key, from.items.index[i]);
  }
};

// The first `keep` of each line, (lines, min(keep, n)). take.operator()<U>(n): room for n elements.
template <class T, class Take>
Runs<KeyOf<T>> first_of_lines(const LinesAt& lines, const T* x, bool descending, int64_t keep, Stream stream,
                              Take take) {
  using Key = KeyOf<T>;
  constexpr int64_t few = 64;
  const Key flip = descending ? ~Key{0} : Key{0};
  const int64_t count = lines.begin.n, n = lines.n;
  if (keep > n) keep = n;
  auto room = [&](Runs<Key> runs) {
    const int64_t items = count * runs.all();
    runs.items.key = take(items, Key{});
    runs.items.index = take(items, uint32_t{});
    return runs;
  };
  Runs<Key> runs{n, n <= few ? few : RankTiles<T>::tile, keep, {}};
  runs = room(runs);
  if (n <= few) {
    each(stream, count * n, RankFew<T>{lines, x, flip, runs});
    return runs;
  }
  teams(stream, count * runs.count(), RankTiles<T>{lines, x, flip, runs});
  Runs<Key> spare{};
  while (runs.count() > 1) {
    Runs<Key> to{n, 2 * runs.run, keep, spare.items};
    if (!to.items.key || keep < n) to = room(to);  // of runs that are cut short the next has another size
    each(stream, count * runs.all(), MergeRuns<Key>{runs, to});
    spare = runs;
    runs = to;
  }
  return runs;
}

}  // namespace tg::cuda
