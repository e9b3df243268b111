// sort, topk and kthvalue.
#include "cuda/sorting.h"

#include "cuda/kernels.h"

namespace tg::cuda {
namespace {

// Where the elements of a line of the results lie.
struct Results {
  Walk<1> begin;
  int64_t n, step;
  Results(const Operand& o, int axis) : begin(lines_along(o, axis).begin), n(1), step(0) {
    if (o.rank) n = o.shape[axis], step = o.strides[axis];
  }
};

template <class T>
struct Emit {
  LinesAt lines;
  const T* x;
  Runs<KeyOf<T>> sorted;
  Results out;
  T* values;
  int64_t* indices;
  TG_BODY void operator()(int64_t i) const {
    const int64_t line = i / out.n, place = i - line * out.n;
    const int64_t index = sorted.items.index[sorted.at(line, 0) + place];
    const int64_t to = out.begin.offset(line) + place * out.step;
    values[to] = x[lines.begin.offset(line) + index * lines.step];
    indices[to] = index;
  }
};

// One element of each line: the k-th, or for k < 0 the median, the lower of two, of a line without NaN or of its other values; else
// the first NaN.
template <class T>
struct Pick {
  LinesAt lines;
  const T* x;
  Runs<KeyOf<T>> sorted;
  int64_t k;
  bool skip_nan;
  T* values;
  int64_t* indices;
  TG_BODY void operator()(int64_t line) const {
    const T* row = x + lines.begin.offset(line);
    const uint32_t* index = sorted.items.index + sorted.at(line, 0);
    int64_t place = k;
    if (k < 0) {
      int64_t numbers = lines.n;
      if constexpr (lane<T>::floating) {
        int64_t least = 0;  // NaN stands behind all numbers
        while (least < numbers) {
          const int64_t middle = (least + numbers) / 2;
          const T v = row[index[middle] * lines.step];
          if (v != v) numbers = middle;
          else least = middle + 1;
        }
      }
      place = numbers < lines.n && !skip_nan ? numbers : numbers > 0 ? (numbers - 1) / 2 : 0;
    }
    values[line] = row[index[place] * lines.step];
    indices[line] = index[place];
  }
};

template <class T>
Runs<KeyOf<T>> sorted(const Call& c, const LinesAt& lines, bool descending, int64_t keep, Stream stream) {
  return first_of_lines(lines, static_cast<const T*>(c.in[0].data), descending, keep, stream,
                        [&](int64_t n, auto like) { return scratch<decltype(like)>(c, n); });
}

void first(const Call& c, int axis, bool descending, Stream stream) {
  const Results out(c.out[0], axis);
  const LinesAt lines = lines_along(c.in[0], axis);
  if (numel(c.out[0]) == 0) return;
  with_sortable(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    each(stream, lines.begin.n * out.n,
         Emit<T>{lines, static_cast<const T*>(c.in[0].data), sorted<T>(c, lines, descending, out.n, stream), out,
                 static_cast<T*>(c.out[0].data), static_cast<int64_t*>(c.out[1].data)});
  });
}

}  // namespace

void sort(const Call& c, Stream stream) {
  first(c, axis_of(c.attribute[0].i, c.in[0].rank), c.attribute[1].i != 0, stream);
}
void topk(const Call& c, Stream stream) {
  first(c, axis_of(c.attribute[1].i, c.in[0].rank), c.attribute[2].i != 0, stream);
}
void kthvalue(const Call& c, Stream stream) {
  const LinesAt lines = lines_along(c.in[0], axis_of(c.attribute[1].i, c.in[0].rank));
  const bool given = c.attribute[0].kind != Attribute::none;
  const int64_t k = given ? c.attribute[0].i : lines.n;
  if (numel(c.out[0]) == 0) return;
  with_sortable(dtype_of(c.in[0]), [&](auto t) {
    using T = decltype(t);
    each(stream, lines.begin.n,
         Pick<T>{lines, static_cast<const T*>(c.in[0].data), sorted<T>(c, lines, false, k, stream), given ? k - 1 : -1,
                 c.attribute[3].i != 0, static_cast<T*>(c.out[0].data), static_cast<int64_t*>(c.out[1].data)});
  });
}

}  // namespace tg::cuda
