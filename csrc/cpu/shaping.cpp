// cat, pad, tril and triu: elements move, none is computed.
#include <algorithm>
#include <cstring>

#include "cpu/contiguous.h"
#include "core/by_dtype.h"
#include "cpu/kernels.h"
#include "cpu/strided.h"

namespace tg {
namespace {

constexpr int64_t kFewRows = 16;
constexpr int64_t kManyBytes = 256 * 1024;

// memcpy, without a call for a few bytes: two moves that may overlap.
inline void move(std::byte* to, const std::byte* from, size_t n) {
  auto ends = [&](auto word) {
    auto last = word;
    std::memcpy(&word, from, sizeof word);
    std::memcpy(&last, from + n - sizeof word, sizeof word);
    std::memcpy(to, &word, sizeof word);
    std::memcpy(to + n - sizeof word, &last, sizeof word);
  };
  struct Sixteen {
    uint64_t words[2];
  };
  if (n > 32 || n < 4) std::memcpy(to, from, n);
  else if (n >= 16) ends(Sixteen{});
  else if (n >= 8) ends(uint64_t{});
  else ends(uint32_t{});
}

// Contiguous tensors side by side: each row of the output is a block of every input.
struct Rows {
  struct Block {
    const std::byte* from;
    size_t bytes, at;  // of one row; where it begins in a row of the output
  };
  std::byte* to;
  size_t bytes;  // of one row of the output
  Few<Block> blocks;

  // Rows of one element of each of N inputs.
  template <class T, size_t N>
  static void interleave(void* ctx, int64_t first, int64_t last) {
    const Rows& rows = *static_cast<const Rows*>(ctx);
    const T* from[N];
    for (size_t i = 0; i < N; i++) from[i] = reinterpret_cast<const T*>(rows.blocks[i].from);
    T* to = reinterpret_cast<T*>(rows.to);
    for (int64_t row = first; row < last; row++)
      for (size_t i = 0; i < N; i++) to[row * static_cast<int64_t>(N) + static_cast<int64_t>(i)] = from[i][row];
  }
  template <class T>
  auto interleaves() const -> void (*)(void*, int64_t, int64_t) {
    if (bytes != blocks.size() * sizeof(T)) return run;
    for (size_t i = 0; i < blocks.size(); i++)
      if (blocks[i].bytes != sizeof(T)) return run;
    switch (blocks.size()) {
      case 2: return interleave<T, 2>;
      case 3: return interleave<T, 3>;
      case 4: return interleave<T, 4>;
      default: return run;
    }
  }

  static void run(void* ctx, int64_t first, int64_t last) {
    const Rows& rows = *static_cast<const Rows*>(ctx);
    for (int64_t row = first; row < last; row++) {
      const auto r = static_cast<size_t>(row);
      std::byte* to = rows.to + r * rows.bytes;
      for (size_t i = 0; i < rows.blocks.size(); i++) {
        const Block& b = rows.blocks[i];
        move(to + b.at, b.from + r * b.bytes, b.bytes);
      }
    }
  }
};

// A matrix of a batch: rows of `columns` elements, those of row i from column i + diagonal on (or before) kept.
struct Triangle {
  std::byte* to;
  const std::byte* from;  // null: `to` has the elements already
  int64_t rows, columns, diagonal;
  bool upper;
  size_t size;

  static void run(void* ctx, int64_t first, int64_t last) {
    const Triangle& t = *static_cast<const Triangle*>(ctx);
    for (int64_t row = first; row < last; row++) {
      // The border between the two parts of the row, clipped; `diagonal` is within -rows .. columns.
      const int64_t border = std::clamp<int64_t>(row % t.rows + t.diagonal + (t.upper ? 0 : 1), 0, t.columns);
      const size_t begin = static_cast<size_t>(row * t.columns) * t.size;
      const size_t left = static_cast<size_t>(border) * t.size, all = static_cast<size_t>(t.columns) * t.size;
      std::byte* to = t.to + begin;
      if (t.upper) {
        std::memset(to, 0, left);
        if (t.from) std::memcpy(to + left, t.from + begin + left, all - left);
      } else {
        if (t.from) std::memcpy(to, t.from + begin, left);
        std::memset(to + left, 0, all - left);
      }
    }
  }
};

void triangle(const Call& c, bool upper) {
  const Tensor& out = c.out[0];
  if (out.numel() == 0) return;
  const bool in_place = same_view(c.in[0], out), dense = out.contiguous();
  const Tensor to = dense ? out : empty(out.shape, out.dtype, out.device());
  const Tensor from = contiguous(c.in[0]);
  const int64_t rows = out.shape[out.rank() - 2], columns = out.shape.back();
  const int64_t diagonal = std::clamp(c.attrs.integer(0), -rows, columns);
  Triangle t{to.data(), in_place && dense ? nullptr : from.data(), rows, columns, diagonal,
             upper,     static_cast<size_t>(size_of(out.dtype))};
  parallel_range(out.numel() / columns, 4 + static_cast<double>(columns * size_of(out.dtype)) * 0.03, Triangle::run,
                 &t);
  if (!dense) copy(out, to);
}

}  // namespace

void k_cat(const Call& c) {
  const Tensor& out = c.out[0];
  if (out.numel() == 0) return;
  const int axis = normalize_axis(c.op.name.c_str(), c.attrs.integer(0), out.rank());
  const int64_t step = out.strides[axis];  // elements behind the axis
  const int64_t rows = out.numel() / (step * out.shape[axis]), bytes = step * out.shape[axis] * size_of(out.dtype);
  bool dense = rows > kFewRows || out.numel() * size_of(out.dtype) < kManyBytes;
  for (const Tensor& t : c.in) dense = dense && t.contiguous();
  if (!dense) {
    int64_t at = 0;
    for (const Tensor& t : c.in) {
      if (t.numel() == 0) continue;
      copy(slice("cat", out, axis, at, t.shape[axis], 1), t);
      at += t.shape[axis];
    }
    return;
  }
  Rows r{out.data(), static_cast<size_t>(bytes), {}};
  r.blocks.resize(c.in.size());
  size_t at = 0, n = 0;
  for (const Tensor& t : c.in) {
    if (t.numel() == 0) continue;
    const size_t block = static_cast<size_t>(step * t.shape[axis] * size_of(out.dtype));
    r.blocks[n++] = {t.data(), block, at};
    at += block;
  }
  r.blocks.resize(n);
  const auto run = size_of(out.dtype) == 4   ? r.interleaves<uint32_t>()
                   : size_of(out.dtype) == 8 ? r.interleaves<uint64_t>()
                                             : Rows::run;
  parallel_range(rows, static_cast<double>(n) + static_cast<double>(bytes) * 0.03, run, &r);
}

void k_pad(const Call& c) {
  const Dims& pad = c.attrs.list;
  Tensor to = c.out[0], from = c.in[0];
  const Tensor value = empty({}, to.dtype);
  with_element(to.dtype, [&](auto like) {
    const Attr& v = c.attrs.values[1];
    using T = decltype(like);
    *value.data<T>() = v.kind == Attr::Kind::Float ? convert<T>(v.f) : convert<T>(v.i);
  });
  // Axis by axis, the slabs before and behind the input are filled, and what lies between them goes on.
  for (int k = 0; k < pad.size() / 2; k++) {
    const int axis = to.rank() - 1 - k;
    const int64_t before = pad[2 * k], after = pad[2 * k + 1];
    const int64_t skipped = std::max<int64_t>(-before, 0), cut = std::max<int64_t>(-after, 0);
    from = slice("pad", from, axis, skipped, from.shape[axis] - skipped - cut, 1);
    if (before > 0) copy(slice("pad", to, axis, 0, before, 1), value);
    if (after > 0) copy(slice("pad", to, axis, to.shape[axis] - after, after, 1), value);
    to = slice("pad", to, axis, std::max<int64_t>(before, 0), from.shape[axis], 1);
  }
  copy(to, from);
}

void k_tril(const Call& c) { triangle(c, false); }
void k_triu(const Call& c) { triangle(c, true); }

}  // namespace tg
