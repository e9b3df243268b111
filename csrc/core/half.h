// float16 and bfloat16 as bits: exact widening, narrowing to nearest even straight from double (one rounding).
#pragma once
#include <bit>
#include <cstdint>

namespace tg {

// Round a double to a format of `mantissa` explicit bits and exponent bias `bias`, packed below a sign at bit 15.
inline uint16_t narrow_to_16(double value, int mantissa, int bias) {
  const uint64_t b = std::bit_cast<uint64_t>(value);
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
  uint64_t bits = (significand >> shift) + (static_cast<uint64_t>(exponent) << mantissa);
  if (rest > half || (rest == half && (bits & 1))) bits++;  // a carry runs into the exponent, up to infinity
  return sign | static_cast<uint16_t>(bits >= inf ? inf : bits);
}
inline uint16_t float_to_half(double v) { return narrow_to_16(v, 10, 15); }
inline uint16_t float_to_bfloat(double v) { return narrow_to_16(v, 7, 127); }

inline float bfloat_to_float(uint16_t h) { return std::bit_cast<float>(static_cast<uint32_t>(h) << 16); }
inline float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ff) << 13);
  if (rest >= 0x400) return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
  const float magnitude = static_cast<float>(rest) * 0x1p-24f;  // exact
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

}  // namespace tg
