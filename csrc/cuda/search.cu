// nonzero, count_nonzero and searchsorted: finding places.
#include "cuda/refuse.h"

namespace tg::cuda {
namespace {

// ---- what is not zero: counted and listed in blocks

constexpr int64_t kBlock = 64;

struct Mask {
  Walk<1> walk;
  const uint8_t* data;
  explicit Mask(const Operand& o) : walk(walk_axes(o, (1u << o.rank) - 1)), data(static_cast<const uint8_t*>(o.data)) {}
  TG_BODY int64_t blocks() const { return (walk.n + kBlock - 1) / kBlock; }
  TG_BODY int64_t end(int64_t block) const { return (block + 1) * kBlock < walk.n ? (block + 1) * kBlock : walk.n; }
  TG_BODY bool operator[](int64_t i) const { return data[walk.offset(i)] != 0; }
};

struct CountTrue {
  Mask mask;
  int64_t* counts;
  TG_BODY void operator()(int64_t block) const {
    int64_t found = 0;
    for (int64_t i = block * kBlock; i < mask.end(block); i++) found += mask[i];
    counts[block] = found;
  }
};

// counts[i] becomes the sum of those before it; total: of all n. One block of threads, each with a share.
struct SumBefore {
  static constexpr int threads = 1024;
  struct Shared {
    int64_t sums[threads];
  };
  struct Own {};
  int64_t n;
  int64_t *counts, *total;
  TG_BODY int64_t steps() const { return 1; }
  TG_BODY int64_t first(int thread) const {
    const int64_t share = (n + threads - 1) / threads, at = thread * share;
    return at < n ? at : n;
  }
  TG_BODY void begin(int64_t, int, Own&) const {}
  TG_BODY void load(int64_t, int64_t, int thread, Shared& shared) const {
    int64_t sum = 0;
    for (int64_t i = first(thread); i < first(thread + 1); i++) sum += counts[i];
    shared.sums[thread] = sum;
  }
  TG_BODY void work(int64_t, int64_t, int thread, const Shared& shared, Own&) const {
    int64_t sum = 0;
    for (int t = 0; t < thread; t++) sum += shared.sums[t];
    for (int64_t i = first(thread); i < first(thread + 1); i++) {
      const int64_t here = counts[i];
      counts[i] = sum;
      sum += here;
    }
    if (thread == threads - 1) *total = sum;
  }
  TG_BODY void end(int64_t, int, Own&) const {}
};

// to(rank, n): the coordinates of what is true, in order.
struct ListTrue {
  Mask mask;
  const int64_t* before;
  int rank;
  int64_t shape[kAbiRank];
  int64_t n;
  int64_t* to;
  TG_BODY void operator()(int64_t block) const {
    int64_t k = before[block];
    for (int64_t i = block * kBlock; i < mask.end(block); i++) {
      if (!mask[i]) continue;
      if (k >= n) return;  // has been refused
      int64_t place = i;
      for (int d = rank - 1; d >= 0; d--) {
        const int64_t next = d ? place / shape[d] : 0;
        to[d * n + k] = place - next * shape[d];
        place = next;
      }
      k++;
    }
  }
};

// The number of true elements before each block; total: of all.
int64_t* count_before(const Call& c, const Mask& mask, int64_t* total, Stream stream) {
  const int64_t blocks = mask.blocks();
  auto* counts = scratch<int64_t>(c, blocks ? blocks : 1);
  each(stream, blocks, CountTrue{mask, counts});
  teams(stream, 1, SumBefore{blocks, counts, total});
  return counts;
}

struct IsNot {
  int64_t expected;
  TG_BODY bool operator()(int64_t x) const { return x != expected; }
};

Operand one_integer(int64_t* data) {
  Operand o;
  o.kind = Operand::device;
  o.dtype = static_cast<int32_t>(Dtype::Int64);
  o.data = data;
  return o;
}

// ---- searchsorted: how many elements of a sorted row come before a value. NaN is the greatest.

template <class T>
struct Search {
  Walk<1> rows;  // where each begins
  const T* sorted;
  int64_t n, step, per_row;
  bool right, narrow;
  Walk<1> walk;  // of the values
  Reader<T> values;
  void* to;

  TG_BODY bool before(T element, T value) const { return right ? element <= value : element < value; }
  TG_BODY int64_t place(const T* row, T value) const {
    if (value != value) {  // behind all others, or behind those of NaN as well
      if (right) return n;
      int64_t first = 0;
      for (int64_t left = n; left > 0;) {
        const T middle = row[(first + left / 2) * step];
        if (middle == middle) first += left / 2 + 1, left -= left / 2 + 1;
        else left /= 2;
      }
      return first;
    }
    int64_t at = 0, left = n;
    for (; left > 1; left -= left / 2)
      if (before(row[(at + left / 2 - 1) * step], value)) at += left / 2;
    return at + (left && before(row[at * step], value));
  }
  TG_BODY void operator()(int64_t i) const {
    const int64_t found = place(sorted + rows.offset(rows.rank ? i / per_row : 0), values[walk.offset(i)]);
    if (narrow) static_cast<int32_t*>(to)[i] = int32_t(found);
    else static_cast<int64_t*>(to)[i] = found;
  }
};

template <class T>
void searched(const Call& c, Stream stream) {
  const Operand &row = c.in[0], &values = c.in[1];
  const uint32_t all = (1u << row.rank) - 1, last = 1u << (row.rank - 1);
  Search<T> body{walk_axes(row, all & ~last),
                 static_cast<const T*>(row.data),
                 row.shape[row.rank - 1],
                 row.strides[row.rank - 1],
                 values.rank ? values.shape[values.rank - 1] : 1,
                 c.attribute[0].i != 0,
                 c.attribute[1].i != 0,
                 walk_axes(values, (1u << values.rank) - 1),
                 Reader<T>(values),
                 c.out[0].data};
  each(stream, numel(c.out[0]), body);
}

}  // namespace

void count_nonzero(const Call& c, Stream stream) {
  count_before(c, Mask(c.in[0]), static_cast<int64_t*>(c.out[0].data), stream);
}

void nonzero(const Call& c, Stream stream) {
  const Operand& x = c.in[0];
  const Mask mask(x);
  const int64_t n = c.attribute[0].i;
  auto* total = scratch<int64_t>(c, 1);
  const int64_t* before = count_before(c, mask, total, stream);
  refuse_integers(c, one_integer(total), Check::of_count(n), IsNot{n}, stream);
  if (n == 0 || x.rank == 0) return;
  ListTrue body{mask, before, x.rank, {}, n, static_cast<int64_t*>(c.out[0].data)};
  for (int d = 0; d < x.rank; d++) body.shape[d] = x.shape[d];
  each(stream, mask.blocks(), body);
}

void searchsorted(const Call& c, Stream stream) {
  switch (dtype_of(c.in[0])) {
    case Dtype::Float32: return searched<float>(c, stream);
    case Dtype::Float64: return searched<double>(c, stream);
    case Dtype::Int64: return searched<int64_t>(c, stream);
    case Dtype::Int32: return searched<int32_t>(c, stream);
    default: return searched<uint8_t>(c, stream);
  }
}

}  // namespace tg::cuda
