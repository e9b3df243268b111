// Functions that are called with a value of the C++ type of an element (math/convert.h) of a dtype.
#pragma once
#include "core/dtype.h"
#include "math/convert.h"

namespace tg {

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

// Where elements are ordered: a dtype that computes; bool is 0 or 1.
template <class F>
auto with_sortable(Dtype t, F f) {
  switch (t) {
    case Dtype::Float32: return f(float{});
    case Dtype::Float64: return f(double{});
    case Dtype::Int64: return f(int64_t{});
    case Dtype::Int32: return f(int32_t{});
    default: return f(uint8_t{});
  }
}

}  // namespace tg
