// Rows called on every ISA and number of threads and for several layouts of their operands: each time the same bits.
#pragma once
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/contiguous.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace tg::test {

inline constexpr int64_t sizes[] = {0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 65, 127, 128, 129, 1000};
using Tensors = std::vector<Tensor>;

template <class T>
constexpr Dtype dtype_of() {
  if constexpr (std::is_same_v<T, float>) return Dtype::Float32;
  else if constexpr (std::is_same_v<T, double>) return Dtype::Float64;
  else if constexpr (std::is_same_v<T, int64_t>) return Dtype::Int64;
  else if constexpr (std::is_same_v<T, int32_t>) return Dtype::Int32;
  else return Dtype::UInt8;
}

// Numbers of mixed size and sign, some of them zeros of either sign.
template <class T>
Tensor numbers(const Dims& shape, unsigned seed) {
  const Tensor t = empty(shape, dtype_of<T>());
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < t.numel(); i++) {
    const unsigned kind = engine() % 16;
    t.data<T>()[i] = kind == 0 ? T(0) : kind == 1 ? T(-0.0) : T(normal(engine) * std::exp2(double(engine() % 5) - 2));
  }
  return t;
}

inline Tensor classes(int64_t rows, int64_t n, int64_t ignore, unsigned seed) {
  const Tensor t = empty({rows}, Dtype::Int64);
  std::mt19937 engine(seed);
  for (int64_t i = 0; i < rows; i++)
    t.data<int64_t>()[i] = engine() % 5 == 0 ? ignore : int64_t(engine() % unsigned(n));
  return t;
}

enum Layout { plain, reversed, spread, layouts };
// The same values: in order; with the axes' order in memory reversed; twice as far apart.
inline Tensor laid_out(const Tensor& t, Layout layout) {
  if (!t.defined()) return t;
  Dims memory = t.shape, order;
  for (int i = 0; i < t.rank(); i++) order.push_back(layout == reversed ? t.rank() - 1 - i : i);
  for (int i = 0; i < t.rank(); i++) memory[i] = t.shape[order[i]];
  if (layout == spread) memory.push_back(2);
  Tensor view = empty(memory, t.dtype);
  if (layout == spread) view = select("test", view, t.rank(), 1);
  if (layout == reversed) view = permute("test", view, order);
  copy(view, t);
  return view;
}

inline Tensors call(OpId id, const Tensors& in, const Attrs& attrs) {
  Tensor out[kMaxOutputs];
  dispatch::call(op(id), in, attrs, out);
  Tensors defined;
  for (const Tensor& t : out)
    if (t.defined()) defined.push_back(contiguous(t));
  return defined;
}

template <class T>
bool same_elements(const Tensor& a, const Tensor& b, std::string* where) {
  for (int64_t i = 0; i < a.numel(); i++)
    if (!same_bits(a.data<T>()[i], b.data<T>()[i])) {
      *where = " differs at " + std::to_string(i) + ": " + shown(a.data<T>()[i]) + " for " + shown(b.data<T>()[i]);
      return false;
    }
  return true;
}

inline void check_same(const Tensor& got, const Tensor& expected, const std::string& what) {
  std::string where = " has shape " + to_string(got.shape) + " for " + to_string(expected.shape);
  bool same = got.shape == expected.shape && got.dtype == expected.dtype;
  if (same) {
    switch (got.dtype) {
      case Dtype::Float32: same = same_elements<float>(got, expected, &where); break;
      case Dtype::Float64: same = same_elements<double>(got, expected, &where); break;
      case Dtype::Int64: same = same_elements<int64_t>(got, expected, &where); break;
      case Dtype::Int32: same = same_elements<int32_t>(got, expected, &where); break;
      default: same = same_elements<uint8_t>(got, expected, &where);
    }
  }
  record(same, __FILE__, __LINE__, what + where);
}

// The op gives `expected` on every ISA, number of threads and layout. Outputs that overwrite inputs get fresh ones.
inline void everywhere(const std::string& what, OpId id, const Tensors& in, const Attrs& attrs,
                       const Tensors& expected) {
  for (const Isa* each : available_isas()) {
    set_isa(each->name);
    for (int threads : {1, 2, 3, 4, 8})
      for (int layout = plain; layout < layouts; layout++) {
        if (layout != plain && threads != 3) continue;
        set_num_threads(threads);
        Tensors operands;
        for (const Tensor& t : in) operands.push_back(laid_out(t, Layout(layout)));
        const Tensors got = call(id, operands, attrs);
        const std::string where = op(id).name + " " + what + " [" + each->name + ", " + std::to_string(threads) +
                                  " threads, layout " + std::to_string(layout) + "]";
        CHECK_EQ(got.size(), expected.size());
        for (size_t k = 0; k < got.size() && k < expected.size(); k++)
          check_same(got[k], expected[k], where + " output " + std::to_string(k));
      }
  }
  set_num_threads(1);
}
inline void near(double got, double expected, double tolerance, const char* what) {
  record(std::abs(got - expected) <= tolerance * std::max(1.0, std::abs(expected)), __FILE__, __LINE__,
         std::string(what) + ": " + shown(got) + " for " + shown(expected));
}

}  // namespace tg::test
