#include "core/dtype.h"

#include <atomic>

namespace tg {
namespace {
std::atomic<Dtype> current_default{Dtype::Float32};
}  // namespace

Dtype default_dtype() { return current_default.load(std::memory_order_relaxed); }
void set_default_dtype(Dtype t) {
  if (t != Dtype::Float32 && t != Dtype::Float64)
    fail(ErrorKind::Type, "[set_default_dtype] got ", name(t), ", expected float32 or float64");
  current_default.store(t, std::memory_order_relaxed);
}

Dtype promote(Dtype a, Dtype b) {
  if (a == b) return a;
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (is_floating(a)) {
    if (a == Dtype::Float64 || b == Dtype::Float64) return Dtype::Float64;
    return Dtype::Float32;  // float32 with a half type, or float16 with bfloat16
  }
  // Two different integer types: signed wins when it is wider, otherwise the next signed type that holds both.
  auto bits = [](Dtype t) { return static_cast<int>(size_of(t)) * 8; };
  auto is_signed = [](Dtype t) { return t != Dtype::UInt8 && t != Dtype::UInt16 && t != Dtype::UInt32; };
  const int need = is_signed(a) == is_signed(b) ? (bits(a) > bits(b) ? bits(a) : bits(b))
                   : is_signed(a)               ? (bits(a) > bits(b) ? bits(a) : 2 * bits(b))
                                                : (bits(b) > bits(a) ? bits(b) : 2 * bits(a));
  if (!is_signed(a) && !is_signed(b)) return need == 8 ? Dtype::UInt8 : need == 16 ? Dtype::UInt16 : Dtype::UInt32;
  return need <= 8 ? Dtype::Int8 : need <= 16 ? Dtype::Int16 : need <= 32 ? Dtype::Int32 : Dtype::Int64;
}

}  // namespace tg
