// native_index, native_index_put, gather, scatter and scatter_add. They differ in which way elements move and in which
// axes share an index; one walk serves them all.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "cpu/contiguous.h"
#include "core/by_dtype.h"
#include "cpu/kernels.h"
#include "cpu/pool.h"
#include "cpu/rows_driver.h"
#include "ops/refusals.h"

namespace tg {
namespace {

// An axis of the index space and the strides along it, in elements, of the index, of the tensor beside it (`near`: the
// result of a read, the values of a write) and of the indexed tensor (`far`, without what the index contributes).
struct Axis {
  int64_t length, index, near, far;
  bool free;  // two elements that differ here never meet in one place of the indexed tensor
};

struct Walk {
  int rank = 0;
  Axis axis[kMaxRank];
  const int64_t* index = nullptr;
  int64_t places = 0;  // the index selects far + j * step, 0 <= j < places
  int64_t step = 0;
  bool ready = false;           // no index is negative or out of range
  int64_t wrapped = 0;          // what is added to a negative index: `places`, or 0 where it is refused
  int64_t first = 0, last = 0;  // the places that belong to this walk; others write the rest
  std::byte *near = nullptr, *far = nullptr;

  // Axes come in the order of the index space. One of length 1 is dropped, one that continues the last is joined.
  void add(const Axis& a) {
    if (a.length == 1) return;
    Axis* before = axis + rank - 1;
    if (rank && before->free == a.free && before->index == a.index * a.length && before->near == a.near * a.length &&
        before->far == a.far * a.length)
      *before = {before->length * a.length, a.index, a.near, a.far, a.free};
    else axis[rank++] = a;
  }
  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= axis[i].length;
    return n;
  }
};

enum class Move { read, write, add };

template <class T>
void add_to(T& sum, T term) {
  if constexpr (std::same_as<T, Boolean>) sum.byte = sum.byte || term.byte;
  else if constexpr (std::integral<T>) sum = static_cast<T>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(term));
  else if constexpr (std::floating_point<T>) sum = sum + term;
}

template <class T, Move move>
void put(T& far, T& near) {
  if constexpr (move == Move::read) near = far;
  else if constexpr (move == Move::write) far = near;
  else add_to(far, near);
}

// At least 16 bytes. Short rows go without a call, in steps of 16, the last of which may repeat some bytes.
inline void copy_row(std::byte* to, const std::byte* from, int64_t bytes) {
  if (bytes > 256) {
    std::memcpy(to, from, static_cast<size_t>(bytes));
    return;
  }
  for (int64_t i = 0; i + 16 < bytes; i += 16) std::memcpy(to + i, from + i, 16);
  std::memcpy(to + bytes - 16, from + bytes - 16, 16);
}

// One index for a whole row.
template <class T, Move move>
void put_row(const Axis& a, T* near, T* far) {
  if constexpr (move == Move::add) {
    if (a.near == 1 && a.far == 1) {
      for (int64_t i = 0; i < a.length; i++) add_to(far[i], near[i]);
    } else {
      for (int64_t i = 0; i < a.length; i++) add_to(far[i * a.far], near[i * a.near]);
    }
  } else {
    const int64_t bytes = a.length * static_cast<int64_t>(sizeof(T));
    if (move == Move::write && a.near == 0 && a.far == 1) {
      std::fill_n(far, a.length, *near);
    } else if (a.near != 1 || a.far != 1 || bytes < 16) {
      for (int64_t i = 0; i < a.length; i++) put<T, move>(far[i * a.far], near[i * a.near]);
    } else {
      T *to = move == Move::read ? near : far, *from = move == Move::read ? far : near;
      copy_row(reinterpret_cast<std::byte*>(to), reinterpret_cast<const std::byte*>(from), bytes);
    }
  }
}

constexpr int64_t kChunk = 256;  // indices that are looked at together, so that memory answers for many at once

bool all_inside(const int64_t* index, int64_t n, int64_t places) {
  uint64_t signs = 0;
  for (int64_t i = 0; i < n; i++) {
    const auto j = static_cast<uint64_t>(index[i]);
    signs |= j | (static_cast<uint64_t>(places - 1) - j);
  }
  return signs >> 63 == 0;
}

// The places that n indices name: the indices themselves where all are good as they are, else a copy in `buffer`. Null if
// one is out of range, which a walk that writes does not meet.
const int64_t* places_of(const Walk& w, const int64_t* index, int64_t stride, int64_t n, int64_t* buffer) {
  if (stride == 1 && (w.ready || all_inside(index, n, w.places))) return index;
  for (int64_t i = 0; i < n; i++) {
    const int64_t j = index[i * stride] + (index[i * stride] >> 63 & w.wrapped);
    if (j < 0 || j >= w.places) return nullptr;
    buffer[i] = j;
  }
  return buffer;
}

// Of elements start .. start + n - 1 of an axis, whose places are `at`, those that belong to this walk.
template <class T, Move move>
void put_own(const Walk& w, const Axis& a, const int64_t* at, int64_t start, int64_t n, T* near, T* far) {
  const auto first = static_cast<uint64_t>(w.first), own = static_cast<uint64_t>(w.last - w.first);
  int64_t to[kChunk], which[kChunk], k = 0;
  for (int64_t i = 0; i < n; i++) {
    to[k] = at[i] * w.step + (start + i) * a.far;
    which[k] = (start + i) * a.near;
    k += static_cast<uint64_t>(at[i]) - first < own;
  }
  for (int64_t i = 0; i < k; i++) put<T, move>(far[to[i]], near[which[i]]);
}

template <class T, Move move>
void put_elements(const Walk& w, const Axis& a, const int64_t* at, int64_t start, int64_t n, T* near, T* far) {
  if (w.last - w.first != w.places) return put_own<T, move>(w, a, at, start, n, near, far);
  near += start * a.near;
  if (move == Move::add && a.near == 0 && a.far == 0 && w.step == 1) {
    T term = *near;
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; i++) put<T, move>(far[at[i]], term);
  } else if (a.near == 1 && a.far == 0 && w.step == 1) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; i++) put<T, move>(far[at[i]], near[i]);
  } else {
    const int64_t step = w.step, beside = a.near, along = a.far;
    far += start * along;
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; i++) put<T, move>(far[at[i] * step + i * along], near[i * beside]);
  }
}

// Does the indexed axis reach beyond the nearest caches?
template <class T>
bool is_far(const Walk& w) {
  return w.places * std::abs(w.step) * static_cast<int64_t>(sizeof(T)) >= 1 << 20;
}

// Asks for the memory of n rows of `bytes` bytes ahead of their use.
template <class T, Move move>
void prefetch(const Walk& w, const int64_t* at, int64_t n, const T* far, int64_t bytes) {
  if (!is_far<T>(w)) return;
  for (int64_t i = 0; i < n; i++)
    for (int64_t b = 0; b < bytes; b += 64)
      __builtin_prefetch(reinterpret_cast<const std::byte*>(far + at[i] * w.step) + b, move == Move::read ? 0 : 1);
}

// Reads as long as indices are good as they are. False at one that is not.
template <class T>
bool read_on(const int64_t* index, int64_t n, int64_t places, T* near, const T* far) {
#pragma GCC unroll 4
  for (int64_t i = 0; i < n; i++) {
    const auto j = static_cast<uint64_t>(index[i]);
    if (j >= static_cast<uint64_t>(places)) [[unlikely]]
      return false;
    near[i] = far[j];
  }
  return true;
}

// Visits the elements of the last two axes.
template <class T, Move move>
bool block(const Walk& w, const Axis& a, const Axis& b, const int64_t* index, T* near, T* far) {
  int64_t buffer[kChunk];
  if (b.index == 0) {
    const bool short_row = b.near == 1 && b.far == 1 && b.length * static_cast<int64_t>(sizeof(T)) <= 256;
    for (int64_t start = 0; start < a.length; start += kChunk) {
      const int64_t n = std::min(kChunk, a.length - start);
      const int64_t* at = places_of(w, index + start * a.index, a.index, n, buffer);
      if (!at) return false;
      if (short_row) prefetch<T, move>(w, at, n, far, b.length * static_cast<int64_t>(sizeof(T)));
      for (int64_t i = 0; i < n; i++)
        if (at[i] >= w.first && at[i] < w.last)
          put_row<T, move>(b, near + (start + i) * a.near, far + (start + i) * a.far + at[i] * w.step);
    }
    return true;
  }
  int64_t r = 0;
  if (move == Move::read && b.index == 1 && b.near == 1 && b.far == 0 && w.step == 1 && !is_far<T>(w))
    while (r < a.length && read_on(index + r * a.index, b.length, w.places, near + r * a.near, far + r * a.far)) r++;
  // Short rows whose indices lie one after the other are looked at together.
  const bool joined = b.index == 1 && a.index == b.length && b.length <= kChunk;
  const int64_t together = joined ? kChunk / b.length : 1;
  for (; r < a.length; r += together) {
    const int64_t rows = std::min(together, a.length - r);
    for (int64_t start = 0; start < b.length; start += kChunk) {
      const int64_t n = std::min(kChunk, b.length - start);
      const int64_t* at = places_of(w, index + r * a.index + start * b.index, b.index, rows * n, buffer);
      if (!at) return false;
      if (rows == 1) prefetch<T, move>(w, at, n, far + r * a.far + start * b.far, 1);
      for (int64_t i = 0; i < rows; i++)
        put_elements<T, move>(w, b, at + i * n, start, n, near + (r + i) * a.near, far + (r + i) * a.far);
    }
  }
  return true;
}

template <class T, Move move>
bool visit(const Walk& w, int axis, const int64_t* index, T* near, T* far) {
  const Axis& a = w.axis[axis];
  if (axis + 2 == w.rank) return block<T, move>(w, a, w.axis[axis + 1], index, near, far);
  bool good = true;
  for (int64_t i = 0; i < a.length; i++)
    good &= visit<T, move>(w, axis + 1, index + i * a.index, near + i * a.near, far + i * a.far);
  return good;
}

// From `first` to `last` along the axis `cut` only.
Walk part(const Walk& w, int size, int cut, int64_t first, int64_t last) {
  Walk p = w;
  Axis& a = p.axis[cut];
  a.length = last - first;
  p.index += first * a.index;
  p.near += first * a.near * size;
  p.far += first * a.far * size;
  return p;
}

template <class T, Move move>
bool visit(const Walk& w) {
  return visit<T, move>(w, 0, w.index, reinterpret_cast<T*>(w.near), reinterpret_cast<T*>(w.far));
}

// A guess of the time per element on one thread.
template <class T>
double nanoseconds(const Walk& w) {
  const Axis& a = w.axis[w.rank - 1];
  const double one = a.index == 0 && a.length > 1 ? 0.05 * sizeof(T) + 4 / static_cast<double>(a.length) : 0.8;
  return w.size() * sizeof(T) > (1 << 20) ? 2 * one : one;
}

int longest(const Walk& w, bool only_free) {
  int found = -1;
  for (int i = 0; i < w.rank; i++)
    if ((w.axis[i].free || !only_free) && (found < 0 || w.axis[i].length > w.axis[found].length)) found = i;
  return found;
}

template <class T>
bool read(const Walk& w) {
  const int cut = longest(w, false);
  const int64_t length = w.axis[cut].length;
  std::atomic<bool> good{true};
  split(length, nanoseconds<T>(w) * static_cast<double>(w.size() / length), [&](int64_t first, int64_t last) {
    if (!visit<T, Move::read>(part(w, sizeof(T), cut, first, last))) good.store(false, std::memory_order_relaxed);
  });
  return good.load(std::memory_order_relaxed);
}

// Every place is written by one thread alone, in the order of the index: threads share out a free axis, or, where that
// is too short and there are many of them, the places of the indexed axis, each passing over the indices not its own.
template <class T, Move move>
void write(const Walk& w) {
  const double total = nanoseconds<T>(w) * static_cast<double>(w.size());
  const int64_t threads = std::min<int64_t>(num_threads(), static_cast<int64_t>(total / 20'000));
  const int cut = longest(w, true);
  const int64_t length = cut < 0 ? 0 : w.axis[cut].length;
  const bool inner = cut == w.rank - 1;
  if (threads > 1 && !inner && length >= 2 * threads)
    return split(length, total / static_cast<double>(length),
                 [&](int64_t first, int64_t last) { visit<T, move>(part(w, sizeof(T), cut, first, last)); });
  // A share of the columns costs another look at every index, which must be little beside what it moves.
  const int64_t least = (w.axis[w.rank - 1].index ? 32 : 128) / static_cast<int64_t>(sizeof(T));
  const bool columns = inner && length >= least * threads;
  if (threads < 2 || (!columns && threads < 4)) return static_cast<void>(visit<T, move>(w));
  const int64_t n = columns ? length : w.places, unit = columns ? least : 1;
  const int64_t share = ((n + threads - 1) / threads + unit - 1) / unit * unit;
  split((n + share - 1) / share, 20'000, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t first = task * share, last = std::min(n, first + share);
      Walk p = columns ? part(w, sizeof(T), cut, first, last) : w;
      if (!columns) {
        p.first = first;
        p.last = last;
      }
      visit<T, move>(p);
    }
  });
}

// f(T{}) with a plain type of as many bytes as an element has
template <class F>
auto with_size(Dtype t, F f) {
  switch (size_of(t)) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

// ---- indices

// The same indices without the axes along which they repeat.
Tensor distinct(Tensor index) {
  for (int i = 0; i < index.rank(); i++)
    if (index.strides[i] == 0 && index.shape[i] > 1) index.shape[i] = 1;
  return contiguous(index);
}

int64_t allowance(bool wrap, int64_t length) { return wrap ? length : 0; }

[[noreturn]] void out_of_range(const Call& c, const Tensor& index, int axis, int64_t length, bool wrap) {
  const Tensor all = distinct(index);
  const int64_t *j = all.data<int64_t>(), *end = j + all.numel(), low = -allowance(wrap, length);
  while (j != end && *j >= low && *j < length) j++;
  Note note;
  if (j != end) note.value = *j;
  refuse(c.op, Check::of_index(axis, length, wrap), note);
}

// Refuses indices out of range. Is every one good as it is, without wrapping?
bool check(const Call& c, const Tensor& index, int axis, int64_t length, bool wrap) {
  const Tensor all = distinct(index);
  const int64_t *j = all.data<int64_t>(), add = allowance(wrap, length);
  std::atomic<bool> good{true}, plain{true};
  split(all.numel(), 0.3, [&](int64_t first, int64_t last) {
    if (all_inside(j + first, last - first, length)) return;
    plain.store(false, std::memory_order_relaxed);
    for (int64_t i = first; i < last; i++)
      if (j[i] < -add || j[i] >= length) good.store(false, std::memory_order_relaxed);
  });
  if (!good.load(std::memory_order_relaxed)) out_of_range(c, index, axis, length, wrap);
  return plain.load(std::memory_order_relaxed);
}

// ---- native_index, native_index_put: k index tensors for the axes dim .. dim + k - 1 of `far`

struct Selection {
  Tensor index;  // (B): positions on the one axis, or for several axes distances from the least place
  int64_t places, step, offset = 0;
  bool wrap, ready = false;

  Selection(const Call& c, size_t first, const Tensor& far, int dim, const Dims& common, bool wrap, bool checked_later)
      : wrap(wrap) {
    const size_t k = c.in.size() - first;
    if (k == 1) {
      index = contiguous(c.in[first]);
      places = far.shape[dim];
      step = far.strides[dim];
      if (!checked_later || places == 0 || far.numel() == 0) ready = check(c, index, dim, places, wrap);
      return;
    }
    index = empty(common, Dtype::Int64);
    int64_t reach = 0;
    for (size_t j = 0; j < k; j++) {
      const int axis = dim + static_cast<int>(j);
      const int64_t length = far.shape[axis], stride = far.strides[axis];
      check(c, c.in[first + j], axis, length, wrap);
      if (length == 0) continue;
      reach += (length - 1) * std::abs(stride);
      offset += std::min<int64_t>(0, (length - 1) * stride);
    }
    places = reach + 1;
    step = 1;
    if (index.numel() == 0) return;
    for (size_t j = 0; j < k; j++) {
      const int axis = dim + static_cast<int>(j);
      const Tensor one = contiguous(expand(c.op.name.c_str(), c.in[first + j], common));
      const int64_t *from = one.data<int64_t>(), length = far.shape[axis], stride = far.strides[axis];
      int64_t* to = index.data<int64_t>();
      const int64_t start = j ? 0 : -offset;
      split(index.numel(), 0.7, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
          to[i] = (from[i] + (from[i] >> 63 & length)) * stride + (j ? to[i] : start);
      });
    }
    this->wrap = false;
    ready = true;
  }
};

// The shape that the index tensors from input `first` on have in common; the rule has seen that there is one.
Dims common_shape(const Call& c, size_t first) {
  Dims shape = c.in[first].shape;
  for (size_t j = first + 1; j < c.in.size(); j++) shape = broadcast(c.op.name.c_str(), shape, c.in[j].shape);
  return shape;
}

// near: (far's axes before dim, B, those behind the selected ones)
Walk selection_walk(const Selection& s, const Tensor& near, const Tensor& far, int dim, int k) {
  Walk w;
  const int b = s.index.rank();
  for (int i = 0; i < dim; i++) w.add({far.shape[i], 0, near.strides[i], far.strides[i], true});
  for (int i = 0; i < b; i++) w.add({s.index.shape[i], s.index.strides[i], near.strides[dim + i], 0, false});
  for (int i = dim + k; i < far.rank(); i++) w.add({far.shape[i], 0, near.strides[i - k + b], far.strides[i], true});
  w.index = s.index.data<int64_t>();
  w.places = w.last = s.places;
  w.step = s.step;
  w.ready = s.ready;
  w.wrapped = allowance(s.wrap, s.places);
  w.near = near.data();
  w.far = far.data() + s.offset * size_of(far.dtype);
  return w;
}

// Kernels take two axes at a time: those that are lacking have the length 1.
void complete(Walk& w) {
  while (w.rank < 2) {
    const int last = w.rank++;
    w.axis[last] = {1, 0, 0, 0, true};
    if (last) std::swap(w.axis[0], w.axis[1]);
  }
}

// ---- gather, scatter, scatter_add: an index for every element

Tensor with_an_axis(const Tensor& t) { return t.rank() ? t : as_strided(t, {1}, {1}, t.offset); }

Walk element_walk(const Tensor& index, const Tensor& near, const Tensor& far, int dim) {
  Walk w;
  for (int i = 0; i < index.rank(); i++)
    w.add({index.shape[i], index.strides[i], near.strides[i], i == dim ? 0 : far.strides[i], i != dim});
  w.index = index.data<int64_t>();
  w.places = w.last = far.shape[dim];
  w.step = far.strides[dim];
  w.near = near.data();
  w.far = far.data();
  complete(w);
  return w;
}

template <Move move>
void write_elements(const Call& c) {
  const Tensor &input = c.in[0], &out = c.out[0];
  const bool nothing = c.in[1].numel() == 0;
  const int dim = normalize_axis(c.op.name.c_str(), c.attrs.integer(0), input.rank());
  const Tensor index = with_an_axis(c.in[1]), source = with_an_axis(c.in[2]), far = with_an_axis(out);
  if (!nothing) check(c, index, dim, far.shape[dim], false);
  copy(out, input);
  if (nothing) return;
  Walk w = element_walk(index, source, far, dim);
  w.ready = true;
  if constexpr (move == Move::add) with_element(out.dtype, [&](auto like) { write<decltype(like), move>(w); });
  else with_size(out.dtype, [&](auto like) { write<decltype(like), move>(w); });
}

}  // namespace

void k_index(const Call& c) {
  const Tensor &input = c.in[0], &out = c.out[0];
  const int dim = normalize_axis(c.op.name.c_str(), c.attrs.integer(0), input.rank());
  const bool wrap = c.attrs.boolean(1);
  const Selection s(c, 1, input, dim, common_shape(c, 1), wrap, true);
  if (out.numel() == 0) return;
  Walk w = selection_walk(s, out, input, dim, static_cast<int>(c.in.size()) - 1);
  complete(w);
  if (!with_size(out.dtype, [&](auto like) { return read<decltype(like)>(w); }))
    out_of_range(c, s.index, dim, s.places, wrap);
}

void k_index_put(const Call& c) {
  const Tensor &input = c.in[0], &out = c.out[0];
  const int dim = normalize_axis(c.op.name.c_str(), c.attrs.integer(0), input.rank());
  const int k = static_cast<int>(c.in.size()) - 2;
  const Dims common = common_shape(c, 2);
  const Selection s(c, 2, out, dim, common, c.attrs.boolean(2), false);
  Dims shape(out.shape.begin(), dim);
  for (int64_t n : common) shape.push_back(n);
  for (int i = dim + k; i < out.rank(); i++) shape.push_back(out.shape[i]);
  copy(out, input);
  if (count(shape) == 0) return;
  Walk w = selection_walk(s, expand(c.op.name.c_str(), c.in[1], shape), out, dim, k);
  complete(w);
  if (c.attrs.boolean(1)) with_element(out.dtype, [&](auto like) { write<decltype(like), Move::add>(w); });
  else with_size(out.dtype, [&](auto like) { write<decltype(like), Move::write>(w); });
}

void k_gather(const Call& c) {
  const Tensor& out = c.out[0];
  if (out.numel() == 0) return;
  const int dim = normalize_axis(c.op.name.c_str(), c.attrs.integer(0), c.in[0].rank());
  const Tensor far = with_an_axis(c.in[0]), index = with_an_axis(c.in[1]);
  const int64_t places = far.shape[dim];
  if (places == 0) check(c, index, dim, places, false);
  const Walk w = element_walk(index, with_an_axis(out), far, dim);
  if (!with_size(out.dtype, [&](auto like) { return read<decltype(like)>(w); }))
    out_of_range(c, index, dim, places, false);
}

void k_scatter(const Call& c) { write_elements<Move::write>(c); }
void k_scatter_add(const Call& c) { write_elements<Move::add>(c); }

}  // namespace tg
