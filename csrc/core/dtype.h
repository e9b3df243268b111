// Element types. The first six compute; the others are storage that is cast before any arithmetic.
#pragma once
#include <cstdint>

#include "core/error.h"

namespace tg {

enum class Dtype : uint8_t {
  Float32,
  Float64,
  Int64,
  Int32,
  UInt8,
  Bool,
  // storage only
  Int8,
  Int16,
  UInt16,
  UInt32,
  Float16,
  BFloat16,
};
inline constexpr int kDtypes = 12;
inline constexpr int kComputeDtypes = 6;

struct DtypeInfo {
  const char* name;
  int size;  // bytes
  bool floating;
  const char* interface;  // numpy's typestr, nullptr where numpy has no such type
};

inline constexpr DtypeInfo kDtypeInfo[kDtypes] = {
    {"float32", 4, true, "<f4"}, {"float64", 8, true, "<f8"}, {"int64", 8, false, "<i8"},
    {"int32", 4, false, "<i4"},  {"uint8", 1, false, "|u1"},  {"bool", 1, false, "|b1"},
    {"int8", 1, false, "|i1"},   {"int16", 2, false, "<i2"},  {"uint16", 2, false, "<u2"},
    {"uint32", 4, false, "<u4"}, {"float16", 2, true, "<f2"}, {"bfloat16", 2, true, nullptr},
};

inline const DtypeInfo& info(Dtype t) { return kDtypeInfo[static_cast<int>(t)]; }
inline const char* name(Dtype t) { return info(t).name; }
inline int64_t size_of(Dtype t) { return info(t).size; }
inline bool is_floating(Dtype t) { return info(t).floating; }
inline bool is_compute(Dtype t) { return static_cast<int>(t) < kComputeDtypes; }

// bool < integers < floating: a tensor with dimensions outranks a 0-d tensor or Python number of the same or a
// lower category (PyTorch's rule).
enum class Category : uint8_t { Bool, Integer, Floating };
inline Category category(Dtype t) {
  return t == Dtype::Bool ? Category::Bool : is_floating(t) ? Category::Floating : Category::Integer;
}

// The type that holds both (PyTorch's promotion lattice).
Dtype promote(Dtype a, Dtype b);

// What Python floats become where no tensor says otherwise: float32, or float64 once set so. One for the process.
Dtype default_dtype();
void set_default_dtype(Dtype t);

// May a result of type `from` be written into `to` in place? (PyTorch: never down a category.)
inline bool can_cast(Dtype from, Dtype to) { return category(from) <= category(to); }

}  // namespace tg
