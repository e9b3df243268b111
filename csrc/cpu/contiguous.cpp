#include "cpu/aside.h"
#include "cpu/contiguous.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/pool.h"
#include "cpu/strided.h"

namespace tg {
namespace {

// One matrix of elements, (rows, columns), each side with its own strides.
template <class T>
struct Block {
  int64_t rows, columns;
  T* to;
  int64_t to_row, to_column;
  const T* from;
  int64_t from_row, from_column;
};

// Columns of `from` and rows of `to` are contiguous. Square tiles, a cache line a side, go through a buffer,
// so that each line of either side is touched once, however badly the strides map to the cache.
template <class T>
void transpose(const Block<T>& b) {
  constexpr int64_t tile = sizeof(T) < 4 ? 16 : 64 / sizeof(T);
  T buffer[tile][tile];
  for (int64_t r = 0; r < b.rows; r += tile) {
    const int64_t rows = std::min(tile, b.rows - r);
    for (int64_t c = 0; c < b.columns; c += tile) {
      const int64_t columns = std::min(tile, b.columns - c);
      const T* from = b.from + r + c * b.from_column;
      T* to = b.to + r * b.to_row + c;
      if (rows == tile && columns == tile) {
        for (int64_t j = 0; j < tile; j++) std::memcpy(buffer[j], from + j * b.from_column, sizeof buffer[j]);
        for (int64_t i = 0; i < tile; i++)
          for (int64_t j = 0; j < tile; j++) to[i * b.to_row + j] = buffer[j][i];
      } else {
        for (int64_t i = 0; i < rows; i++)
          for (int64_t j = 0; j < columns; j++) to[i * b.to_row + j] = from[i + j * b.from_column];
      }
    }
  }
}

template <class T>
void copy_block(Block<T> b) {
  if (b.to_column == 1 && b.from_row == -1 && b.rows > 1) {  // the rows are walked the other way, along `from`
    b.to += (b.rows - 1) * b.to_row;
    b.from -= b.rows - 1;
    b.to_row = -b.to_row;
    b.from_row = 1;
  }
  if (b.to_column == 1 && b.from_row == 1 && b.from_column != 1 && b.from_column != 0 && b.rows >= 8)
    return transpose(b);
  constexpr int size_index = std::countr_zero(sizeof(T));
  const MoveTable& move = *isa().move;
  for (int64_t i = 0; i < b.rows; i++) {
    T* to = b.to + i * b.to_row;
    const T* from = b.from + i * b.from_row;
    if (b.to_column == 1 && b.from_column == 1) {
      std::memcpy(to, from, static_cast<size_t>(b.columns) * sizeof(T));
    } else if (b.to_column == 1 && b.from_column == 0) {
      move.fill[size_index](to, from, b.columns);
    } else if (b.to_column == 1 && b.from_column == -1) {
      move.reverse[size_index](to, from, b.columns);
    } else {
      for (int64_t j = 0; j < b.columns; j++) to[j * b.to_column] = from[j * b.from_column];
    }
  }
}

struct Axis {
  int64_t length, to, from;
};

template <class T>
void copy_axes(const Axis* axes, int rank, T* to, const T* from) {
  if (rank <= 2) {
    const Axis row = rank == 2 ? axes[0] : Axis{1, 0, 0}, column = axes[rank - 1];
    return copy_block<T>({row.length, column.length, to, row.to, column.to, from, row.from, column.from});
  }
  for (int64_t i = 0; i < axes->length; i++) copy_axes(axes + 1, rank - 1, to + i * axes->to, from + i * axes->from);
}

// Copies large tensors in slabs of the longest axis.
struct Slabs {
  int size, rank, axis;
  int64_t length[kMaxRank], to_stride[kMaxRank], from_stride[kMaxRank];
  std::byte* to;
  const std::byte* from;

  static void copy(void* ctx, int64_t first, int64_t last) {
    const Slabs& s = *static_cast<const Slabs*>(ctx);
    int64_t length[kMaxRank];
    std::copy_n(s.length, s.rank, length);
    length[s.axis] = last - first;
    copy_elements(s.size, s.rank, length, s.to + first * s.to_stride[s.axis] * s.size, s.to_stride,
                  s.from + first * s.from_stride[s.axis] * s.size, s.from_stride);
  }
};

}  // namespace

void copy_elements(int size, int rank, const int64_t* length, std::byte* to, const int64_t* to_stride,
                   const std::byte* from, const int64_t* from_stride) {
  // The innermost axis is the one along which `to` is densest; axes that both sides walk as one are joined.
  Axis axes[kMaxRank];
  int n = 0;
  for (int i = 0; i < rank; i++) {
    if (length[i] == 0) return;
    if (length[i] == 1) continue;
    const Axis axis{length[i], to_stride[i], from_stride[i]};
    int at = n++;
    for (; at > 0 && std::abs(axes[at - 1].to) < std::abs(axis.to); at--) axes[at] = axes[at - 1];
    axes[at] = axis;
  }
  int kept = 0;
  for (int i = 0; i < n; i++) {
    Axis* last = axes + kept - 1;
    if (kept && last->to == axes[i].to * axes[i].length && last->from == axes[i].from * axes[i].length)
      *last = {last->length * axes[i].length, axes[i].to, axes[i].from};
    else axes[kept++] = axes[i];
  }
  if (kept == 0) axes[kept++] = {1, 1, 1};
  // A transposed copy wants the densest axis of `from` next to it.
  if (kept > 2 && axes[kept - 1].from != 1 && axes[kept - 1].from != 0)
    for (int i = 0; i < kept - 2; i++)
      if (axes[i].from == 1) std::swap(axes[i], axes[kept - 2]);
  switch (size) {
    case 1: return copy_axes(axes, kept, reinterpret_cast<uint8_t*>(to), reinterpret_cast<const uint8_t*>(from));
    case 2: return copy_axes(axes, kept, reinterpret_cast<uint16_t*>(to), reinterpret_cast<const uint16_t*>(from));
    case 4: return copy_axes(axes, kept, reinterpret_cast<uint32_t*>(to), reinterpret_cast<const uint32_t*>(from));
    default: return copy_axes(axes, kept, reinterpret_cast<uint64_t*>(to), reinterpret_cast<const uint64_t*>(from));
  }
}

void copy(const Tensor& to, const Tensor& from) {
  const int64_t n = to.numel();
  if (n == 0 || same_view(to, from)) return;
  const Loops loops = shared_loops({&from, 1}, to);
  Slabs s;
  s.size = static_cast<int>(size_of(to.dtype));
  s.rank = loops.rank;
  s.to = to.data();
  s.from = from.data();
  s.axis = 0;
  for (int i = 0; i < loops.rank; i++) {
    s.length[i] = loops.length[i];
    s.from_stride[i] = loops.stride[0][i];
    s.to_stride[i] = loops.stride[1][i];
    if (s.length[i] > s.length[s.axis]) s.axis = i;
  }
  const bool transposed = s.from_stride[s.rank - 1] != s.to_stride[s.rank - 1] && s.from_stride[s.rank - 1] != 0;
  const int64_t rest = n / s.length[s.axis];  // elements per step of the axis that is cut
  const double nanoseconds = static_cast<double>(rest * s.size) * (transposed ? 0.1 : 0.03);
  parallel_range(s.length[s.axis], nanoseconds, Slabs::copy, &s);
}

Tensor contiguous(const Tensor& t) {
  if (t.contiguous()) return t;
  Tensor c = aside(t.shape, t.dtype);
  copy(c, t);
  return c;
}

}  // namespace tg
