// The value of one element in another dtype.
//   floating -> integer  truncates; NaN is 0; int32 and int64 saturate, the others keep low bits of the int64
//   anything -> bool     is x != 0 (so NaN is true)
//   anything -> floating rounds once, to nearest even
#pragma once
#include <concepts>
#include <cstdint>
#include <limits>

#include "core/dtype.h"
#include "core/half.h"

namespace tg {

// Element types that C++ lacks, or (bool) whose every byte it would have to trust.
struct Boolean {
  uint8_t byte;
};
struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

inline int64_t truncate(double x) {
  if (!(x < 0x1p63)) return x != x ? 0 : std::numeric_limits<int64_t>::max();
  return x < -0x1p63 ? std::numeric_limits<int64_t>::min() : static_cast<int64_t>(x);
}

// An integer as a double that rounds to 16 bits as the integer itself would: beyond 2^53 a low bit stands for
// the rest.
template <class Int>
double sticky(Int x) {
  if constexpr (sizeof(Int) < 8) {
    return static_cast<double>(x);
  } else {
    const bool exact = x >= -(Int{1} << 53) && x <= Int{1} << 53;
    return static_cast<double>(exact ? x : (x & ~Int{0x7ff}) | (x & 0x7ff ? 0x400 : 0));
  }
}

template <class To, class From>
To convert(From x) {
  if constexpr (std::same_as<To, From> && !std::same_as<To, Boolean>) {
    return x;
  } else if constexpr (std::same_as<From, Boolean>) {
    return x.byte ? convert<To>(uint8_t{1}) : convert<To>(uint8_t{0});
  } else if constexpr (std::same_as<From, Half>) {
    return convert<To>(half_to_float(x.bits));
  } else if constexpr (std::same_as<From, BFloat>) {
    return convert<To>(bfloat_to_float(x.bits));
  } else if constexpr (std::same_as<To, Boolean>) {
    return Boolean{x != From(0)};
  } else if constexpr (std::same_as<To, Half> || std::same_as<To, BFloat>) {
    double value;
    if constexpr (std::floating_point<From>) value = static_cast<double>(x);
    else value = sticky(x);
    return To{std::same_as<To, Half> ? float_to_half(value) : float_to_bfloat(value)};
  } else if constexpr (std::floating_point<From> && std::integral<To>) {
    const int64_t whole = truncate(static_cast<double>(x));
    if constexpr (std::same_as<To, int32_t>)
      return static_cast<int32_t>(whole > INT32_MAX ? INT32_MAX : whole < INT32_MIN ? INT32_MIN : whole);
    else return static_cast<To>(whole);
  } else {
    return static_cast<To>(x);
  }
}

// Calls f with a value of the C++ type of an element of `t`.
template <class F>
auto with_element(Dtype t, F f) {
  switch (t) {
    case Dtype::Float32: return f(float{});
    case Dtype::Float64: return f(double{});
    case Dtype::Int64: return f(int64_t{});
    case Dtype::Int32: return f(int32_t{});
    case Dtype::UInt8: return f(uint8_t{});
    case Dtype::Bool: return f(Boolean{});
    case Dtype::Int8: return f(int8_t{});
    case Dtype::Int16: return f(int16_t{});
    case Dtype::UInt16: return f(uint16_t{});
    case Dtype::UInt32: return f(uint32_t{});
    case Dtype::Float16: return f(Half{});
    default: return f(BFloat{});
  }
}

}  // namespace tg
