// The value of one element in another dtype. Freestanding.
//   floating -> integer  truncates; NaN is 0; int32 and int64 saturate, the others keep low bits of the int64
//   anything -> bool     is x != 0 (so NaN is true)
//   anything -> floating rounds once, to nearest even
#pragma once
#include "lane.h"

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

// ---- float16 and bfloat16 as bits: exact widening, narrowing to nearest even straight from double (one rounding)
// Round a double to a format of `mantissa` explicit bits and exponent bias `bias`, packed below a sign at bit 15.
TG_FN uint16_t narrow_to_16(double value, int mantissa, int bias) {
  const uint64_t b = static_cast<uint64_t>(bits(value));
  const uint16_t sign = static_cast<uint16_t>(b >> 48 & 0x8000);
  const int exponent_bits = 15 - mantissa;
  const uint16_t inf = static_cast<uint16_t>(((1u << exponent_bits) - 1) << mantissa);
  const int e = static_cast<int>(b >> 52 & 0x7ff);
  const uint64_t fraction = b & ((uint64_t{1} << 52) - 1);
  if (e == 0x7ff) return sign | inf | (fraction ? uint16_t(1u << (mantissa - 1)) : uint16_t(0));
  if (e == 0) return sign;  // a double denormal is far below half of the smallest result
  int exponent = e - 1023 + bias;
  uint64_t significand = fraction | uint64_t{1} << 52;
  int shift = 52 - mantissa;
  if (exponent <= 0) {  // denormal result
    shift += 1 - exponent;
    exponent = 0;
    if (shift > 54) return sign;
  } else {
    significand &= ~(uint64_t{1} << 52);
  }
  const uint64_t half = uint64_t{1} << (shift - 1), rest = significand & ((half << 1) - 1);
  uint64_t narrow = (significand >> shift) + (static_cast<uint64_t>(exponent) << mantissa);
  if (rest > half || (rest == half && (narrow & 1))) narrow++;  // a carry runs into the exponent, up to infinity
  return sign | static_cast<uint16_t>(narrow >= inf ? inf : narrow);
}
TG_FN uint16_t float_to_half(double v) { return narrow_to_16(v, 10, 15); }
TG_FN uint16_t float_to_bfloat(double v) { return narrow_to_16(v, 7, 127); }

TG_FN float bfloat_to_float(uint16_t h) {
  return from_bits<float>(static_cast<int32_t>(static_cast<uint32_t>(h) << 16));
}
TG_FN float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) return from_bits<float>(static_cast<int32_t>(sign | 0x7f800000u | (rest & 0x3ff) << 13));
  if (rest >= 0x400) return from_bits<float>(static_cast<int32_t>(sign | ((rest << 13) + (112u << 23))));
  const float magnitude = static_cast<float>(rest) * 0x1p-24f;  // exact
  return from_bits<float>(static_cast<int32_t>(sign) | bits(magnitude));
}

// ---- conversions
template <class T>
inline constexpr bool is_real = __is_same(T, float) || __is_same(T, double);

TG_FN int64_t truncate(double x) {
  if (!(x < 0x1p63)) return x != x ? 0 : INT64_MAX;
  return x < -0x1p63 ? INT64_MIN : static_cast<int64_t>(x);
}

// An integer as a double that rounds to 16 bits as the integer itself would: beyond 2^53 a low bit stands for
// the rest.
template <class Int>
TG_FN double sticky(Int x) {
  if constexpr (sizeof(Int) < 8) {
    return static_cast<double>(x);
  } else {
    const bool exact = x >= -(Int{1} << 53) && x <= Int{1} << 53;
    return static_cast<double>(exact ? x : (x & ~Int{0x7ff}) | (x & 0x7ff ? 0x400 : 0));
  }
}

template <class To, class From>
TG_FN To convert(From x) {
  if constexpr (__is_same(To, From) && !__is_same(To, Boolean)) {
    return x;
  } else if constexpr (__is_same(From, Boolean)) {
    return x.byte ? convert<To>(uint8_t{1}) : convert<To>(uint8_t{0});
  } else if constexpr (__is_same(From, Half)) {
    return convert<To>(half_to_float(x.bits));
  } else if constexpr (__is_same(From, BFloat)) {
    return convert<To>(bfloat_to_float(x.bits));
  } else if constexpr (__is_same(To, Boolean)) {
    return Boolean{x != From(0)};
  } else if constexpr (__is_same(To, Half) || __is_same(To, BFloat)) {
    double value;
    if constexpr (is_real<From>) value = static_cast<double>(x);
    else value = sticky(x);
    return To{__is_same(To, Half) ? float_to_half(value) : float_to_bfloat(value)};
  } else if constexpr (is_real<From> && !is_real<To>) {
    const int64_t whole = truncate(static_cast<double>(x));
    if constexpr (__is_same(To, int32_t))
      return static_cast<int32_t>(whole > INT32_MAX ? INT32_MAX : whole < INT32_MIN ? INT32_MIN : whole);
    else return static_cast<To>(whole);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace tg
