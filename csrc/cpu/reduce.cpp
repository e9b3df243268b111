// Reductions over any axes: arranges the operand as rows or columns, shares the work out, and knows the integers.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/aside.h"
#include "cpu/contiguous.h"
#include "cpu/kernels.h"
#include "cpu/rows_driver.h"
#include "math/order.h"

namespace tg {
namespace {

// The operand as (outer, n, inner), n reduced. by_rows: the last axis is among the reduced, row order, inner == 1 and unit
// stride along n; otherwise batch order and unit stride along inner.
struct Arranged {
  Tensor x;
  bool by_rows;
  int64_t outer = 1, outer_stride = 0, n = 1, n_stride = 1, inner = 1, inner_stride = 1;
  int64_t batch = 0;  // > 0: a subtree of so many
};

// Length and stride of the axes first..last-1 of x walked as one, in order; false where no single stride does it. The
// length is right either way: the strides of a tensor without elements may be any.
bool walk_as_one(const Tensor& x, int first, int last, int64_t* length, int64_t* stride) {
  *length = 1, *stride = 1;
  bool one = true;
  for (int i = last - 1; i >= first; i--) {
    if (x.shape[i] == 1) continue;
    if (*length == 1) *stride = x.strides[i];
    else if (x.strides[i] != *stride * *length) one = false;
    *length *= x.shape[i];
  }
  return one;
}

bool reduces_all(const Call& c) { return !c.attrs.has(0) || (c.attrs.list.empty() && !no_axes_means_none(c.op.id)); }

Arranged arrange(const Call& c) {
  const Tensor& x = c.in[0];
  const int rank = x.rank();
  bool reduced[kMaxRank];
  for (int i = 0; i < rank; i++) reduced[i] = reduces_all(c);
  if (rank && !reduces_all(c))
    for (int64_t d : c.attrs.list) reduced[normalize_axis(c.op.name.c_str(), d, rank)] = true;
  int after = rank;  // the axes from here on are kept
  while (after > 0 && !reduced[after - 1]) after--;
  Dims order;
  for (int i = 0; i < after; i++)
    if (!reduced[i]) order.push_back(i);
  const int before = order.size();
  for (int i = 0; i < after; i++)
    if (reduced[i]) order.push_back(i);
  for (int i = after; i < rank; i++) order.push_back(i);

  Arranged a{permute(c.op.name.c_str(), x, order), after == rank && rank > 0};
  auto lay = [&] {  // all three lengths, whether or not the strides will do
    const bool outer = walk_as_one(a.x, 0, before, &a.outer, &a.outer_stride);
    const bool n = walk_as_one(a.x, before, after, &a.n, &a.n_stride);
    const bool inner = walk_as_one(a.x, after, rank, &a.inner, &a.inner_stride);
    return outer && n && inner && (a.by_rows ? a.n <= 1 || a.n_stride == 1 : a.inner <= 1 || a.inner_stride == 1);
  };
  if (!lay()) {
    a.x = contiguous(a.x);
    lay();
  }
  if (rank == 0) a.by_rows = true;
  a.batch = c.batch;
  if (a.outer == 0 || a.inner == 0) a.outer = a.n = a.inner = 0;  // no result: no work, whatever the lengths
  return a;
}

template <class T>
T join(Reduce kind, T a, T b) {
  switch (kind) {
    case Reduce::prod: return a * b;
    case Reduce::max: return maximum(a, b);
    case Reduce::min: return minimum(a, b);
    default: return a + b;
  }
}

// pieces(count, width) joined in the binary tree; the result is piece 0. Equal to the counter of math/order.h.
template <class T>
void join_tree(Reduce kind, int64_t count, int64_t width, T* pieces) {
  for (int64_t apart = 1; apart < count; apart *= 2)
    for (int64_t i = 0; i + apart < count; i += 2 * apart)
      for (int64_t c = 0; c < width; c++)
        pieces[i * width + c] = join(kind, pieces[i * width + c], pieces[(i + apart) * width + c]);
}

double nanoseconds_of(Reduce kind, size_t size) {
  return (kind == Reduce::exps ? 0.1 : 0.03) * static_cast<double>(size);
}

// A power of two of blocks or shards: the tree over pieces of it is the top of the tree over its parts.
constexpr int64_t kPiece = 16 * row_lanes * row_shard;
constexpr int64_t kPieceShards = 8;
constexpr int64_t kStrip = 128;  // columns of one task

// Shares out whole rows, `whole(first, last)`, or where those are few and long the pieces of each: `part(r, i, count,
// lanes)` gives the totals of the 16 lanes over the elements i .. i + count - 1 of row r.
template <class T, class Whole, class Part>
void share_rows(Reduce kind, int64_t rows, int64_t n, double cost, T* out, Whole whole, Part part) {
  if (n <= kPiece || rows >= 8) return split(rows, cost * static_cast<double>(n) + 2, whole);
  const int64_t pieces = (n + kPiece - 1) / kPiece;
  const Tensor partial = aside({pieces, row_lanes}, sizeof(T) == 4 ? Dtype::Float32 : Dtype::Float64);
  T* lanes = partial.data<T>();
  for (int64_t r = 0; r < rows; r++) {
    split(pieces, cost * kPiece, [&](int64_t first, int64_t last) {
      for (int64_t p = first; p < last; p++)
        part(r, p * kPiece, p + 1 < pieces ? kPiece : n - p * kPiece, lanes + p * row_lanes);
    });
    join_tree(kind, pieces, row_lanes, lanes);
    for (int half = row_lanes / 2; half > 0; half /= 2)
      for (int l = 0; l < half; l++) lanes[l] = join(kind, lanes[l], lanes[l + half]);
    out[r] = lanes[0];
  }
}

template <class T>
void reduce_rows(Reduce kind, int64_t rows, int64_t n, const T* x, int64_t x_row, const T* center, T* out) {
  const RowsTable<T>& table = isa().rows<T>();
  share_rows(
      kind, rows, n, nanoseconds_of(kind, sizeof(T)), out,
      [&](int64_t first, int64_t last) {
        table.reduce_rows(
            {kind, last - first, n, x + first * x_row, x_row, center ? center + first : nullptr, out + first});
      },
      [&](int64_t r, int64_t i, int64_t count, T* lanes) {
        table.reduce_rows({kind, 1, count, x + r * x_row + i, 0, center ? center + r : nullptr, lanes, false});
      });
}

// (..., n) as rows of unit stride
Tensor rows_of(const Tensor& x) {
  const int64_t n = x.shape.back();
  Tensor flat = x.numel() ? try_view("dot", x, {-1, n}) : Tensor{};
  return flat.defined() && (n == 1 || flat.strides[1] == 1) ? flat : contiguous(x);
}

template <class T>
void dot(const Call& c) {
  const Tensor x = rows_of(c.in[0]), y = rows_of(c.in[1]);
  const int64_t n = c.in[0].shape.back(), rows = c.out[0].numel();
  const int64_t x_row = x.rank() == 2 ? x.strides[0] : n, y_row = y.rank() == 2 ? y.strides[0] : n;
  const T *px = x.data<T>(), *py = y.data<T>();
  T* out = c.out[0].data<T>();
  const RowsTable<T>& table = isa().rows<T>();
  share_rows(
      Reduce::sum, rows, n, 2 * nanoseconds_of(Reduce::sum, sizeof(T)), out,
      [&](int64_t first, int64_t last) {
        table.dot_rows({last - first, n, px + first * x_row, x_row, py + first * y_row, y_row, out + first});
      },
      [&](int64_t r, int64_t i, int64_t count, T* lanes) {
        table.dot_rows({1, count, px + r * x_row + i, 0, py + r * y_row + i, 0, lanes, false});
      });
}

template <class T>
void reduce_columns(Reduce kind, int64_t M, int64_t N, const T* x, int64_t x_row, const T* y, const T* center, T* out,
                    int64_t shard) {
  const RowsTable<T>& table = isa().rows<T>();
  const int64_t piece = kPieceShards * shard;
  const double cost = nanoseconds_of(kind, sizeof(T));
  auto part = [&](int64_t m, int64_t rows, int64_t c, int64_t columns, T* to) {
    table.reduce_columns({kind, rows, columns, shard, x + m * x_row + c, x_row, y ? y + m * N + c : nullptr, N,
                          center ? center + c : nullptr, to});
  };
  if (N >= 4 * kStrip || M <= piece) {
    const int64_t strips = (N + kStrip - 1) / kStrip;
    split(strips, cost * static_cast<double>(M * kStrip), [&](int64_t first, int64_t last) {
      const int64_t from = first * kStrip, to = last * kStrip < N ? last * kStrip : N;
      part(0, M, from, to - from, out + from);
    });
    return;
  }
  const int64_t pieces = (M + piece - 1) / piece;
  const Tensor partial = aside({pieces, N}, sizeof(T) == 4 ? Dtype::Float32 : Dtype::Float64);
  T* sums = partial.data<T>();
  split(pieces, cost * static_cast<double>(piece * N), [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; p++) part(p * piece, p + 1 < pieces ? piece : M - p * piece, 0, N, sums + p * N);
  });
  join_tree(kind, pieces, N, sums);
  std::memcpy(out, sums, static_cast<size_t>(N) * sizeof(T));
}

// out (outer * inner), center likewise
template <class T>
void reduce(Reduce kind, const Arranged& a, const T* center, T* out) {
  const T* x = a.x.data<T>();
  if (a.by_rows) return reduce_rows(kind, a.outer, a.n, x, a.outer_stride, center, out);
  auto one = [&](int64_t o) {
    reduce_columns<T>(kind, a.n, a.inner, x + o * a.outer_stride, a.n_stride, nullptr,
                      center ? center + o * a.inner : nullptr, out + o * a.inner, shard_rows(a.batch ? a.batch : a.n));
  };
  if (a.outer < 8) {
    for (int64_t o = 0; o < a.outer; o++) one(o);
  } else {
    split(a.outer, nanoseconds_of(kind, sizeof(T)) * static_cast<double>(a.n * a.inner) + 20,
          [&](int64_t first, int64_t last) {
            for (int64_t o = first; o < last; o++) one(o);
          });
  }
}

// ---- integers: exact, so any order will do ---------------------------------------------------------------------------
// step(acc, x) over n numbers, many chains side by side, for vectors to hold; `start` changes nothing.
template <class T, class Acc, class Step>
Acc chain_exact(const T* x, int64_t n, Acc start, Step step) {
  constexpr int chains = 16;
  Acc acc[chains];
  for (Acc& a : acc) a = start;
  int64_t i = 0;
  for (; i + chains <= n; i += chains)
    for (int k = 0; k < chains; k++) acc[k] = step(acc[k], Acc(x[i + k]));
  for (; i < n; i++) acc[0] = step(acc[0], Acc(x[i]));
  for (int k = 1; k < chains; k++) acc[0] = step(acc[0], acc[k]);
  return acc[0];
}

// step(acc, x) over the n of each (outer, inner), starting at `start`
template <class T, class Acc, class Step>
void reduce_exact(const Arranged& a, Acc start, Acc* out, Step step) {
  const T* x = a.x.data<T>();
  constexpr int64_t piece = 1 << 16;
  if (a.by_rows && a.outer == 1 && a.n > 2 * piece) {
    const int64_t pieces = (a.n + piece - 1) / piece;
    const Tensor partial = aside({pieces}, Dtype::Int64);  // the widest of Acc
    Acc* part = partial.data<Acc>();
    split(pieces, 0.5 * piece, [&](int64_t first, int64_t last) {
      for (int64_t p = first; p < last; p++) {
        const int64_t begin = p * piece, left = a.n - begin;
        part[p] = chain_exact(x + begin, left < piece ? left : piece, start, step);
      }
    });
    out[0] = start;
    for (int64_t p = 0; p < pieces; p++) out[0] = step(out[0], part[p]);
  } else if (a.by_rows) {
    split(a.outer, 0.5 * static_cast<double>(a.n) + 2, [&](int64_t first, int64_t last) {
      for (int64_t o = first; o < last; o++) out[o] = chain_exact(x + o * a.outer_stride, a.n, start, step);
    });
  } else {
    split(a.outer, 0.5 * static_cast<double>(a.n * a.inner) + 2, [&](int64_t first, int64_t last) {
      for (int64_t o = first; o < last; o++) {
        Acc* to = out + o * a.inner;
        for (int64_t c = 0; c < a.inner; c++) to[c] = start;
        for (int64_t m = 0; m < a.n; m++) {
          const T* row = x + o * a.outer_stride + m * a.n_stride;
          for (int64_t c = 0; c < a.inner; c++) to[c] = step(to[c], Acc(row[c]));
        }
      }
    });
  }
}

template <class T>
void extremum_exact(const Arranged& a, bool least, void* out) {
  if (least)
    reduce_exact<T, T>(a, std::numeric_limits<T>::max(), static_cast<T*>(out), [](T p, T q) { return q < p ? q : p; });
  else
    reduce_exact<T, T>(a, std::numeric_limits<T>::lowest(), static_cast<T*>(out),
                       [](T p, T q) { return q > p ? q : p; });
}

// The place of the first greatest or least element, one by one; NaN beats everything.
template <class T>
void arg_extremum_any(const Arranged& a, bool least, int64_t* out) {
  const T* x = a.x.data<T>();
  const int64_t step = a.by_rows ? 1 : a.n_stride;
  split(a.outer * a.inner, static_cast<double>(a.n) + 2, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; r++) {
      const T* p = x + r / a.inner * a.outer_stride + r % a.inner;
      int64_t best = 0;
      for (int64_t i = 1; i < a.n; i++) {
        const T v = p[i * step], b = p[best * step];
        if ((least ? v < b : v > b) || (v != v && b == b)) best = i;
      }
      out[r] = best;
    }
  });
}

template <class T>
void arg_extremum_float(const Arranged& a, bool least, int64_t* out) {
  const RowsTable<T>& table = isa().rows<T>();
  const T* x = a.x.data<T>();
  if (a.n > int64_t(1) << 30) return arg_extremum_any<T>(a, least, out);
  if (a.by_rows) {
    split(a.outer, 0.2 * static_cast<double>(a.n) + 10, [&](int64_t first, int64_t last) {
      table.arg_rows({least, last - first, a.n, x + first * a.outer_stride, a.outer_stride, out + first});
    });
  } else {
    split(a.outer, 0.2 * static_cast<double>(a.n * a.inner) + 10, [&](int64_t first, int64_t last) {
      for (int64_t o = first; o < last; o++)
        table.arg_columns({least, a.n, a.inner, x + o * a.outer_stride, a.n_stride, out + o * a.inner});
    });
  }
}

void arg_extremum(const Call& c, bool least) {
  const Arranged a = arrange(c);
  int64_t* out = c.out[0].data<int64_t>();
  switch (c.in[0].dtype) {
    case Dtype::Float32: return arg_extremum_float<float>(a, least, out);
    case Dtype::Float64: return arg_extremum_float<double>(a, least, out);
    case Dtype::Int64: return arg_extremum_any<int64_t>(a, least, out);
    case Dtype::Int32: return arg_extremum_any<int32_t>(a, least, out);
    default: return arg_extremum_any<uint8_t>(a, least, out);
  }
}

void extremum(const Call& c, bool least) {
  const Arranged a = arrange(c);
  void* out = c.out[0].data();
  const Reduce kind = least ? Reduce::min : Reduce::max;
  switch (c.in[0].dtype) {
    case Dtype::Float32: return reduce<float>(kind, a, nullptr, static_cast<float*>(out));
    case Dtype::Float64: return reduce<double>(kind, a, nullptr, static_cast<double*>(out));
    case Dtype::Int64: return extremum_exact<int64_t>(a, least, out);
    case Dtype::Int32: return extremum_exact<int32_t>(a, least, out);
    default: return extremum_exact<uint8_t>(a, least, out);  // bool is 0 or 1
  }
}

// ---- truth: is there an element other than 0 (any), is there none that is 0 (all) ----------------------------------------
// Elements as words of their bits, of which `sign` does not count. A word is met where met(word) has a bit.
template <bool zeros, class Word>
struct Meets {
  Word sign;
  Word operator()(Word w) const { return zeros ? static_cast<Word>((w & ~sign) == 0) : static_cast<Word>(w & ~sign); }

  bool anywhere(const Word* x, int64_t n) const {
    constexpr int64_t block = 1024;
    for (int64_t i = 0; i < n; i += block) {
      const int64_t end = n - i < block ? n : i + block;
      Word found = 0;
      for (int64_t j = i; j < end; j++) found |= (*this)(x[j]);
      if (found) return true;
    }
    return false;
  }
  // out[c] = is column c of x(M, N) met? N <= kStrip
  void columns(int64_t M, int64_t N, const Word* x, int64_t x_row, uint8_t* out) const {
    Word found[kStrip] = {};
    for (int64_t m = 0; m < M; m++)
      for (int64_t c = 0; c < N; c++) found[c] |= (*this)(x[m * x_row + c]);
    for (int64_t c = 0; c < N; c++) out[c] = found[c] != 0;
  }
};

template <bool zeros, class Word>
void meets(const Arranged& a, Word sign, uint8_t* out) {
  const Meets<zeros, Word> met{sign};
  const Word* x = a.x.data<Word>();
  const double cost = 0.03 * sizeof(Word);
  if (a.by_rows) {
    // Parts of rows, which meet in `out` afterwards.
    const int64_t part = a.outer >= 8 || a.n <= kPiece ? a.n : kPiece, parts = part ? (a.n + part - 1) / part : 1;
    const Tensor flags = parts > 1 ? aside({a.outer, parts}, Dtype::Bool) : Tensor{};
    uint8_t* flag = parts > 1 ? flags.data<uint8_t>() : out;
    split(a.outer * parts, cost * static_cast<double>(part) + 2, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++) {
        const int64_t at = i % parts * part;
        flag[i] = met.anywhere(x + i / parts * a.outer_stride + at, std::min(part, a.n - at));
      }
    });
    if (parts > 1)
      for (int64_t o = 0; o < a.outer; o++)
        out[o] = std::memchr(flag + o * parts, 1, static_cast<size_t>(parts)) != nullptr;
    return;
  }
  const int64_t strips = (a.inner + kStrip - 1) / kStrip;
  split(a.outer * strips, cost * static_cast<double>(a.n * std::min(a.inner, kStrip)),
        [&](int64_t first, int64_t last) {
          for (int64_t i = first; i < last; i++) {
            const int64_t o = i / strips, c = i % strips * kStrip;
            met.columns(a.n, std::min(kStrip, a.inner - c), x + o * a.outer_stride + c, a.n_stride,
                        out + o * a.inner + c);
          }
        });
}

template <bool zeros>
void truth(const Call& c) {
  const Arranged a = arrange(c);
  uint8_t* out = c.out[0].data<uint8_t>();
  const int64_t n = c.out[0].numel();
  switch (c.in[0].dtype) {
    case Dtype::Float32: meets<zeros, uint32_t>(a, uint32_t{1} << 31, out); break;
    case Dtype::Float64: meets<zeros, uint64_t>(a, uint64_t{1} << 63, out); break;
    case Dtype::Int64: meets<zeros, uint64_t>(a, 0, out); break;
    case Dtype::Int32: meets<zeros, uint32_t>(a, 0, out); break;
    default: meets<zeros, uint8_t>(a, 0, out); break;
  }
  if (zeros)
    for (int64_t i = 0; i < n; i++) out[i] = !out[i];
}

template <class T>
void divide(const Tensor& t, T by) {
  T* p = t.data<T>();
  const int64_t n = t.numel();
  for (int64_t i = 0; i < n; i++) p[i] = p[i] / by;
}

template <class T>
void mean(const Arranged& a, const Tensor& out) {
  reduce<T>(Reduce::sum, a, nullptr, out.data<T>());
  divide(out, static_cast<T>(a.n));
}

}  // namespace

template <class T>
void row_sum(const T* x, int64_t n, T* out) {
  reduce_rows<T>(Reduce::sum, 1, n, x, n, nullptr, out);
}
template void row_sum(const float*, int64_t, float*);
template void row_sum(const double*, int64_t, double*);

template <class T>
void column_reduce(Reduce kind, int64_t M, int64_t N, const T* x, const T* y, const T* center, T* out, int64_t batch) {
  reduce_columns<T>(kind, M, N, x, N, y, center, out, shard_rows(batch ? batch : M));
}
template void column_reduce(Reduce, int64_t, int64_t, const float*, const float*, const float*, float*, int64_t);
template void column_reduce(Reduce, int64_t, int64_t, const double*, const double*, const double*, double*, int64_t);

void k_sum(const Call& c) {
  const Arranged a = arrange(c);
  if (c.in[0].dtype == Dtype::Int64)
    return reduce_exact<uint64_t, uint64_t>(a, 0, c.out[0].data<uint64_t>(),
                                            [](uint64_t p, uint64_t q) { return p + q; });
  with_floating(c.in[0].dtype,
                [&](auto t) { reduce<decltype(t)>(Reduce::sum, a, nullptr, c.out[0].data<decltype(t)>()); });
}

void k_nansum(const Call& c) {
  if (c.in[0].dtype == Dtype::Int64) return k_sum(c);
  const Arranged a = arrange(c);
  with_floating(c.in[0].dtype,
                [&](auto t) { reduce<decltype(t)>(Reduce::present, a, nullptr, c.out[0].data<decltype(t)>()); });
}

void k_prod(const Call& c) {
  const Arranged a = arrange(c);
  if (c.in[0].dtype == Dtype::Int64)
    return reduce_exact<uint64_t, uint64_t>(a, 1, c.out[0].data<uint64_t>(),
                                            [](uint64_t p, uint64_t q) { return p * q; });
  with_floating(c.in[0].dtype,
                [&](auto t) { reduce<decltype(t)>(Reduce::prod, a, nullptr, c.out[0].data<decltype(t)>()); });
}

void k_mean(const Call& c) {
  const Arranged a = arrange(c);
  with_floating(c.in[0].dtype, [&](auto t) { mean<decltype(t)>(a, c.out[0]); });
}

void k_var(const Call& c) {
  const Arranged a = arrange(c);
  with_floating(c.in[0].dtype, [&](auto t) {
    using T = decltype(t);
    const Tensor center = aside(c.out[0].shape, c.out[0].dtype);
    mean<T>(a, center);
    reduce<T>(Reduce::squares, a, center.data<T>(), c.out[0].data<T>());
    const double left = static_cast<double>(a.n) - c.attrs.real(2);
    divide(c.out[0], static_cast<T>(left > 0 ? left : 0));
  });
}

void k_logsumexp(const Call& c) {
  const Arranged a = arrange(c);
  with_floating(c.in[0].dtype, [&](auto t) {
    using T = decltype(t);
    T* out = c.out[0].data<T>();
    const int64_t n = c.out[0].numel();
    reduce<T>(Reduce::max, a, nullptr, out);
    for (int64_t i = 0; i < n; i++)
      if (std::isinf(out[i])) out[i] = 0;  // x - inf would be NaN; exp(x) is 0 or inf by itself
    const Tensor sums = aside(c.out[0].shape, c.out[0].dtype);
    reduce<T>(Reduce::exps, a, out, sums.data<T>());
    isa().rows<T>().add_log(n, sums.data<T>(), out);
  });
}

void k_norm(const Call& c) {
  const Arranged a = arrange(c);
  with_floating(c.in[0].dtype, [&](auto t) {
    using T = decltype(t);
    T* out = c.out[0].data<T>();
    if (c.attrs.real(2) == 1) return reduce<T>(Reduce::absolute, a, nullptr, out);
    const int64_t n = c.out[0].numel();
    const Tensor center = aside(c.out[0].shape, c.out[0].dtype);
    std::fill_n(center.data<T>(), n, T(0));
    reduce<T>(Reduce::squares, a, center.data<T>(), out);
    for (int64_t i = 0; i < n; i++) out[i] = sqrt(out[i]);
  });
}

void k_any(const Call& c) { truth<false>(c); }
void k_all(const Call& c) { truth<true>(c); }

void k_dot(const Call& c) {
  with_floating(c.out[0].dtype, [&](auto t) { dot<decltype(t)>(c); });
}

void k_amax(const Call& c) { extremum(c, false); }
void k_amin(const Call& c) { extremum(c, true); }
void k_argmax(const Call& c) { arg_extremum(c, false); }
void k_argmin(const Call& c) { arg_extremum(c, true); }

}  // namespace tg
