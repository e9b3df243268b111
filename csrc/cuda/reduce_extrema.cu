// Extrema and their places, and truth.
#include <limits>

#include "cuda/reduce_kinds.h"

namespace tg::cuda {
namespace {

template <class T>
void whole_extremum(const Call& c, bool least, Stream stream) {
  using Limits = std::numeric_limits<T>;
  reduce(c, c.axes,
         WholeExtremum<T>{least, least ? Limits::max() : Limits::lowest(), static_cast<const T*>(c.in[0].data),
                          result<T>(c)},
         stream);
}
template <Reduce K>
void extremum(const Call& c, Stream stream) {
  constexpr bool least = K == Reduce::min;
  switch (dtype_of(c.in[0])) {
    case Dtype::Float32: return reduce(c, c.axes, floats<K>(c, result<float>(c)), stream);
    case Dtype::Float64: return reduce(c, c.axes, floats<K>(c, result<double>(c)), stream);
    case Dtype::Int64: return whole_extremum<int64_t>(c, least, stream);
    case Dtype::Int32: return whole_extremum<int32_t>(c, least, stream);
    default: return whole_extremum<uint8_t>(c, least, stream);  // bool is 0 or 1
  }
}

template <class T>
void place_of(const Call& c, bool least, Stream stream) {
  reduce(c, c.axes, ArgExtremum<T>{least, static_cast<const T*>(c.in[0].data), result<int64_t>(c)}, stream);
}
void arg_extremum(const Call& c, bool least, Stream stream) {
  switch (dtype_of(c.in[0])) {
    case Dtype::Float32: return place_of<float>(c, least, stream);
    case Dtype::Float64: return place_of<double>(c, least, stream);
    case Dtype::Int64: return place_of<int64_t>(c, least, stream);
    case Dtype::Int32: return place_of<int32_t>(c, least, stream);
    default: return place_of<uint8_t>(c, least, stream);
  }
}

template <class Word>
void meets(const Call& c, bool all, Word sign, Stream stream) {
  reduce(c, c.axes, Truth<Word>{all, sign, static_cast<const Word*>(c.in[0].data), result<uint8_t>(c)}, stream);
}
void truth(const Call& c, bool all, Stream stream) {
  switch (dtype_of(c.in[0])) {
    case Dtype::Float32: return meets<uint32_t>(c, all, uint32_t{1} << 31, stream);
    case Dtype::Float64: return meets<uint64_t>(c, all, uint64_t{1} << 63, stream);
    case Dtype::Int64: return meets<uint64_t>(c, all, 0, stream);
    case Dtype::Int32: return meets<uint32_t>(c, all, 0, stream);
    default: return meets<uint8_t>(c, all, 0, stream);
  }
}

}  // namespace

void amax(const Call& c, Stream stream) { extremum<Reduce::max>(c, stream); }
void amin(const Call& c, Stream stream) { extremum<Reduce::min>(c, stream); }
void argmax(const Call& c, Stream stream) { arg_extremum(c, false, stream); }
void argmin(const Call& c, Stream stream) { arg_extremum(c, true, stream); }
void any(const Call& c, Stream stream) { truth(c, false, stream); }
void all(const Call& c, Stream stream) { truth(c, true, stream); }

}  // namespace tg::cuda
