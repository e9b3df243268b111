// Reductions, softmax, losses, batch normalisation and random numbers through the door, on every ISA and number of
// threads and for several layouts of the operands, against csrc/math/reference_rows.h bit for bit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "cpu/contiguous.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "math/reference_rows.h"
#include "ops/dispatch.h"
#include "ops/table.h"

using namespace tg;

namespace {

constexpr int64_t sizes[] = {0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 65, 127, 128, 129, 1000};
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

Tensor classes(int64_t rows, int64_t n, int64_t ignore, unsigned seed) {
  const Tensor t = empty({rows}, Dtype::Int64);
  std::mt19937 engine(seed);
  for (int64_t i = 0; i < rows; i++)
    t.data<int64_t>()[i] = engine() % 5 == 0 ? ignore : int64_t(engine() % unsigned(n));
  return t;
}

enum Layout { plain, reversed, spread, layouts };
// The same values: in order; with the axes' order in memory reversed; twice as far apart.
Tensor laid_out(const Tensor& t, Layout layout) {
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

Tensors call(OpId id, const Tensors& in, const Attrs& attrs) {
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
    if (!test::same_bits(a.data<T>()[i], b.data<T>()[i])) {
      *where = " differs at " + std::to_string(i) + ": " + test::shown(a.data<T>()[i]) + " for " +
               test::shown(b.data<T>()[i]);
      return false;
    }
  return true;
}

void check_same(const Tensor& got, const Tensor& expected, const std::string& what) {
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
  test::record(same, __FILE__, __LINE__, what + where);
}

// The op gives `expected` on every ISA, number of threads and layout. Outputs that overwrite inputs get fresh ones.
void everywhere(const std::string& what, OpId id, const Tensors& in, const Attrs& attrs, const Tensors& expected) {
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

// ---- reductions ------------------------------------------------------------------------------------------------------------
// The elements that go into every output, in logical order: f(output, n, elements).
template <class T, class F>
Dims each_reduced(const Tensor& x, const Dims& axes, F f) {
  bool reduced[kMaxRank] = {};
  for (int64_t a : axes) reduced[a] = true;
  Dims kept, order;
  for (int i = 0; i < x.rank(); i++)
    if (!reduced[i]) kept.push_back(x.shape[i]), order.push_back(i);
  for (int i = 0; i < x.rank(); i++)
    if (reduced[i]) order.push_back(i);
  const Tensor rows = contiguous(permute("test", x, order));
  const int64_t outputs = count(kept);
  int64_t n = 1;
  for (int64_t a : axes) n *= x.shape[int(a)];
  for (int64_t o = 0; o < outputs; o++) f(o, n, rows.data<T>() + o * n);
  return kept;
}

template <class T, class Out, class F>
Tensor reduced(const Tensor& x, const Dims& axes, F f) {
  std::vector<Out> values;
  const Dims shape = each_reduced<T>(x, axes, [&](int64_t, int64_t n, const T* p) { values.push_back(f(n, p)); });
  const Tensor t = empty(shape, dtype_of<Out>());
  for (size_t i = 0; i < values.size(); i++) t.data<Out>()[i] = values[i];
  return t;
}

template <class T>
void check_reductions(const Tensor& x, const Dims& axes) {
  const bool by_row = axes.back() == x.rank() - 1;
  const std::string what = std::string(name(x.dtype)) + " " + to_string(x.shape) + " over " + to_string(axes);
  Attrs a;
  a.add(axes);
  a.add(Attr::boolean(false));
  Attrs with_type = a;
  with_type.add(Attr{});
  everywhere(what, op_sum, {x}, with_type,
             {reduced<T, T>(x, axes, [&](int64_t n, const T* p) { return reference::sum(by_row, n, p, 1); })});
  everywhere(what, op_mean, {x}, with_type,
             {reduced<T, T>(x, axes, [&](int64_t n, const T* p) { return reference::mean(by_row, n, p, 1); })});
  everywhere(what, op_prod, {x}, with_type,
             {reduced<T, T>(x, axes, [&](int64_t n, const T* p) { return reference::prod(by_row, n, p, 1); })});
  Attrs with_correction = a;
  with_correction.add(Attr::real(1));
  everywhere(what, op_var, {x}, with_correction,
             {reduced<T, T>(x, axes, [&](int64_t n, const T* p) { return reference::var(by_row, n, p, 1, 1); })});
  everywhere(what, op_logsumexp, {x}, a,
             {reduced<T, T>(x, axes, [&](int64_t n, const T* p) { return reference::logsumexp(by_row, n, p, 1); })});
  if (x.numel() == 0) return;
  everywhere(what, op_amax, {x}, a,
             {reduced<T, T>(x, axes, [&](int64_t n, const T* p) { return reference::amax(n, p, 1); })});
  everywhere(what, op_amin, {x}, a,
             {reduced<T, T>(x, axes, [&](int64_t n, const T* p) { return reference::amin(n, p, 1); })});
  everywhere(what, op_argmax, {x}, a,
             {reduced<T, int64_t>(x, axes, [&](int64_t n, const T* p) { return reference::argmax(n, p, 1, false); })});
  everywhere(what, op_argmin, {x}, a,
             {reduced<T, int64_t>(x, axes, [&](int64_t n, const T* p) { return reference::argmax(n, p, 1, true); })});
}

template <class T>
void reductions() {
  unsigned seed = 1;
  for (int64_t n : sizes) {
    check_reductions<T>(numbers<T>({n}, seed++), {0});
    check_reductions<T>(numbers<T>({n < 100 ? 37 : 5, n}, seed++), {1});
    check_reductions<T>(numbers<T>({n, n < 100 ? 33 : 3}, seed++), {0});
  }
  for (int64_t n : {1, 3, 130, 300}) check_reductions<T>(numbers<T>({129, n}, seed++), {0});
  check_reductions<T>(numbers<T>({3, 65, 7}, seed++), {1});
  check_reductions<T>(numbers<T>({11, 3, 5}, seed++), {1});
  check_reductions<T>(numbers<T>({5, 7, 9}, seed++), {0, 2});
  check_reductions<T>(numbers<T>({5, 7, 9}, seed++), {0, 1});
  check_reductions<T>(numbers<T>({2, 3, 4, 5}, seed++), {1, 2});
  check_reductions<T>(numbers<T>({2, 3, 4, 5}, seed++), {0, 1, 2, 3});
  for (int64_t n : {1024, 1025, 4096, 5000, 16384, 16385, 70001}) check_reductions<T>(numbers<T>({n}, seed++), {0});
  check_reductions<T>(numbers<T>({2, 40000}, seed++), {1});
  check_reductions<T>(numbers<T>({600000}, seed++), {0});  // worth several threads
  check_reductions<T>(numbers<T>({60000, 7}, seed++), {0});
  check_reductions<T>(numbers<T>({60000, 7}, seed++), {1});
  for (int64_t m : {4096, 4097, 9001}) check_reductions<T>(numbers<T>({m, 3}, seed++), {0});
}
void reductions_float32() { reductions<float>(); }
void reductions_float64() { reductions<double>(); }

template <class T>
void special_values() {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  for (int64_t n : {3, 40, 70})
    for (int variant = 0; variant < 6; variant++) {
      const Tensor x = empty({5, n}, dtype_of<T>());
      for (int64_t i = 0; i < 5 * n; i++) {
        const int64_t at = i % n, row = i / n;
        T& v = x.data<T>()[i];
        switch (variant) {
          case 0: v = at % 2 ? T(0) : T(-0.0); break;
          case 1: v = -inf; break;
          case 2: v = at == row ? inf : T(at); break;
          case 3: v = at == row || at == n - 1 ? nan : T(at); break;
          case 4: v = T(-0.0); break;
          default: v = row == 0 ? nan : at == 1 ? -inf : std::numeric_limits<T>::denorm_min() * T(at);
        }
      }
      check_reductions<T>(x, {0});
      check_reductions<T>(x, {1});
    }
  const Tensor negative = numbers<T>({1}, 1);
  negative.data<T>()[0] = -inf;
  Attrs over0;
  over0.add(Dims{0});
  over0.add(Attr::boolean(false));
  CHECK_BITS(call(op_logsumexp, {negative}, over0)[0].template data<T>()[0], -inf);
  const Tensor zeros = empty({2}, dtype_of<T>());
  zeros.data<T>()[0] = T(-0.0), zeros.data<T>()[1] = T(0);
  CHECK_BITS(call(op_amax, {zeros}, over0)[0].template data<T>()[0], T(0));
  CHECK_EQ(call(op_argmax, {zeros}, over0)[0].template data<int64_t>()[0], 0);
  zeros.data<T>()[1] = nan;
  CHECK_EQ(call(op_argmax, {zeros}, over0)[0].template data<int64_t>()[0], 1);
  CHECK(std::isnan(call(op_amax, {zeros}, over0)[0].template data<T>()[0]));
}
void special_values_float32() { special_values<float>(); }
void special_values_float64() { special_values<double>(); }

template <class T>
void check_integers(const Tensor& x, const Dims& axes) {
  const std::string what = std::string(name(x.dtype)) + " " + to_string(x.shape) + " over " + to_string(axes);
  Attrs a;
  a.add(axes);
  a.add(Attr::boolean(false));
  everywhere(what, op_amax, {x}, a,
             {reduced<T, T>(x, axes, [](int64_t n, const T* p) { return *std::max_element(p, p + n); })});
  everywhere(what, op_amin, {x}, a,
             {reduced<T, T>(x, axes, [](int64_t n, const T* p) { return *std::min_element(p, p + n); })});
  everywhere(
      what, op_argmax, {x}, a,
      {reduced<T, int64_t>(x, axes, [](int64_t n, const T* p) { return int64_t(std::max_element(p, p + n) - p); })});
  everywhere(
      what, op_argmin, {x}, a,
      {reduced<T, int64_t>(x, axes, [](int64_t n, const T* p) { return int64_t(std::min_element(p, p + n) - p); })});
  a.add(Attr{});
  everywhere(what, op_sum, {x}, a, {reduced<T, int64_t>(x, axes, [](int64_t n, const T* p) {
               uint64_t s = 0;
               for (int64_t i = 0; i < n; i++) s += uint64_t(int64_t(p[i]));
               return int64_t(s);
             })});
  everywhere(what, op_prod, {x}, a, {reduced<T, int64_t>(x, axes, [](int64_t n, const T* p) {
               uint64_t s = 1;
               for (int64_t i = 0; i < n; i++) s *= uint64_t(int64_t(p[i]));
               return int64_t(s);
             })});
}

template <class T>
void integers_of() {
  std::mt19937_64 engine(3);
  for (const Dims& shape : {Dims{200000}, Dims{33, 17}, Dims{3, 5, 7}}) {
    const Tensor x = empty(shape, dtype_of<T>());
    for (int64_t i = 0; i < x.numel(); i++) x.data<T>()[i] = T(engine());
    for (int axis = 0; axis < shape.size(); axis++) check_integers<T>(x, {axis});
  }
}
void integers() { integers_of<int64_t>(), integers_of<int32_t>(), integers_of<uint8_t>(); }

// ---- softmax -----------------------------------------------------------------------------------------------------------------
template <class T>
void check_softmax(const Dims& shape, int axis, unsigned seed) {
  const Tensor x = numbers<T>(shape, seed), g = numbers<T>(shape, seed + 1000);
  int64_t inner = 1;
  for (int i = axis + 1; i < shape.size(); i++) inner *= shape[i];
  const int64_t n = shape[axis];
  Tensor y = empty(shape, x.dtype), log_y = y, dx = y, log_dx = y;
  for (Tensor* t : {&log_y, &dx, &log_dx}) *t = empty(shape, x.dtype);
  for (int64_t r = 0; r < (n ? x.numel() / n : 0); r++) {
    const int64_t at = r / inner * n * inner + r % inner;
    reference::softmax(n, x.data<T>() + at, y.data<T>() + at, inner);
    reference::log_softmax(n, x.data<T>() + at, log_y.data<T>() + at, inner);
    reference::softmax_backward(n, g.data<T>() + at, y.data<T>() + at, dx.data<T>() + at, inner);
    reference::log_softmax_backward(n, g.data<T>() + at, log_y.data<T>() + at, log_dx.data<T>() + at, inner);
  }
  Attrs a;
  a.add(Attr::integer(axis));
  const std::string what = std::string(name(x.dtype)) + " " + to_string(shape) + " along " + std::to_string(axis);
  everywhere(what, op_softmax, {x}, a, {y});
  everywhere(what, op_log_softmax, {x}, a, {log_y});
  everywhere(what, op_softmax_backward, {g, y}, a, {dx});
  everywhere(what, op_log_softmax_backward, {g, log_y}, a, {log_dx});
}

template <class T>
void softmaxes() {
  unsigned seed = 50;
  for (int64_t n : sizes) {
    check_softmax<T>({n < 100 ? 37 : 4, n}, 1, seed++);
    check_softmax<T>({n, n < 100 ? 21 : 3}, 0, seed++);
  }
  for (int64_t rows : sizes) check_softmax<T>({rows, 10}, 1, seed++);
  check_softmax<T>({3, 5, 7}, 1, seed++);
  check_softmax<T>({2, 2000}, 1, seed++);
  check_softmax<T>({2500, 3}, 0, seed++);
  check_softmax<T>({3000, 20}, 1, seed++);
}
void softmax_float32() { softmaxes<float>(); }
void softmax_float64() { softmaxes<double>(); }

// ---- losses -------------------------------------------------------------------------------------------------------------------
constexpr const char* reductions_of_losses[] = {"none", "mean", "sum"};

template <class T>
Tensor reduced_loss(const Tensor& losses, const char* how, T total) {
  if (!std::strcmp(how, "none")) return losses;
  const Tensor loss = empty({}, losses.dtype);
  const T sum = reference::sum(true, losses.numel(), losses.data<T>(), 1);
  *loss.data<T>() = std::strcmp(how, "mean") ? sum : sum / total;
  return loss;
}

template <class T>
void check_cross_entropy(int64_t rows, int64_t n, bool weighted, double smoothing, unsigned seed) {
  const int64_t ignore = seed % 2 ? -100 : 0;
  const Tensor x = numbers<T>({rows, n}, seed), target = classes(rows, n, ignore, seed + 1);
  Tensor weight;
  if (weighted) {
    weight = numbers<T>({n}, seed + 2);
    for (int64_t i = 0; i < n; i++) weight.data<T>()[i] = std::abs(weight.data<T>()[i]) + T(0.25);
  }
  const T* w = weighted ? weight.data<T>() : nullptr;
  const Tensor losses = empty({rows}, x.dtype), lse = empty({rows}, x.dtype), counted = empty({rows}, x.dtype),
               total = empty({}, x.dtype);
  auto class_of = [&](int64_t r) {
    return target.data<int64_t>()[r] == ignore ? int64_t(-1) : target.data<int64_t>()[r];
  };
  for (int64_t r = 0; r < rows; r++) {
    const auto row = reference::cross_entropy(n, x.data<T>() + r * n, class_of(r), w, smoothing);
    losses.data<T>()[r] = row.loss, lse.data<T>()[r] = row.lse, counted.data<T>()[r] = row.counted;
  }
  *total.data<T>() = reference::sum(true, rows, counted.data<T>(), 1);
  for (const char* how : reductions_of_losses) {
    Attrs a;
    a.add(Attr::integer(ignore));
    a.add(Attr::word(how));
    a.add(Attr::real(smoothing));
    const std::string what = std::string(name(x.dtype)) + " " + to_string(x.shape) + (weighted ? " weighted " : " ") +
                             how + " " + std::to_string(smoothing);
    everywhere(what, op_cross_entropy, {x, target, weight}, a,
               {reduced_loss<T>(losses, how, *total.data<T>()), lse, total});
    const bool none = !std::strcmp(how, "none");
    const Tensor g = numbers<T>(none ? Dims{rows} : Dims{}, seed + 3), dx = empty({rows, n}, x.dtype);
    for (int64_t r = 0; r < rows; r++) {
      const T scale = none                        ? g.data<T>()[r]
                      : !std::strcmp(how, "mean") ? *g.data<T>() / *total.data<T>()
                                                  : *g.data<T>();
      reference::cross_entropy_backward(n, x.data<T>() + r * n, lse.data<T>()[r], class_of(r), w, smoothing, scale,
                                        dx.data<T>() + r * n);
    }
    everywhere(what, op_cross_entropy_backward, {g, x, target, lse, total, weight}, a, {dx});
  }
}

template <class T>
void cross_entropies() {
  unsigned seed = 500;
  for (int64_t n : sizes) {
    if (n == 0) continue;
    check_cross_entropy<T>(n < 100 ? 35 : 6, n, seed % 3 == 0, seed % 4 ? 0 : 0.125, seed), seed++;
    check_cross_entropy<T>(n, 10, seed % 3 == 0, seed % 4 ? 0 : 0.125, seed), seed++;
  }
  for (bool weighted : {false, true})
    for (double smoothing : {0.0, 0.1, 1.0}) {
      check_cross_entropy<T>(40, 12, weighted, smoothing, seed++);
      check_cross_entropy<T>(5, 100, weighted, smoothing, seed++);
    }
  check_cross_entropy<T>(0, 3, false, 0, seed++);
  check_cross_entropy<T>(3000, 10, true, 0, seed++);
}
void cross_entropy_float32() { cross_entropies<float>(); }
void cross_entropy_float64() { cross_entropies<double>(); }

void classes_out_of_range() {
  const Tensor x = numbers<float>({4, 3}, 1), target = classes(4, 3, 0, 2);
  target.data<int64_t>()[2] = 3;
  Attrs a;
  a.add(Attr::integer(-100));
  a.add(Attr::word("mean"));
  a.add(Attr::real(0));
  CHECK_THROWS(call(op_cross_entropy, {x, target, {}}, a), Error,
               "[native_cross_entropy] target[2] is 3, expected a class from 0 to 2");
  target.data<int64_t>()[2] = -1;
  try {
    call(op_cross_entropy, {x, target, {}}, a);
    CHECK(false);
  } catch (const Error& e) {
    CHECK(e.kind == ErrorKind::Index);
  }
  for (int i = 0; i < 4; i++) target.data<int64_t>()[i] = -100;
  const Tensors out = call(op_cross_entropy, {x, target, {}}, a);
  CHECK(std::isnan(*out[0].data<float>()));
  CHECK_EQ(*out[2].data<float>(), 0.0f);
}

template <class T>
void check_bce(int64_t n, bool weighted, bool positive, unsigned seed) {
  const Tensor x = numbers<T>({n, 3}, seed), target = numbers<T>({n, 3}, seed + 1);
  for (int64_t i = 0; i < 3 * n; i++) target.data<T>()[i] = T(std::min(1.0, std::abs(double(target.data<T>()[i]))));
  Tensor weight, pos;
  if (weighted) weight = numbers<T>({n, 1}, seed + 2);
  if (positive) pos = numbers<T>({3}, seed + 3);
  auto w = [&](int64_t i) { return weighted ? weight.data<T>()[i / 3] : T(1); };
  auto p = [&](int64_t i) { return positive ? pos.data<T>()[i % 3] : T(1); };
  const Tensor losses = empty({n, 3}, x.dtype), dx = empty({n, 3}, x.dtype);
  for (int64_t i = 0; i < 3 * n; i++)
    losses.data<T>()[i] = reference::bce_with_logits(x.data<T>()[i], target.data<T>()[i], w(i), p(i));
  for (const char* how : reductions_of_losses) {
    Attrs a;
    a.add(Attr::word(how));
    const std::string what = std::string(name(x.dtype)) + " " + std::to_string(n) + " " + how;
    everywhere(what, op_bce_with_logits, {x, target, weight, pos}, a, {reduced_loss<T>(losses, how, T(3 * n))});
    const bool none = !std::strcmp(how, "none");
    const Tensor g = numbers<T>(none ? x.shape : Dims{}, seed + 4);
    for (int64_t i = 0; i < 3 * n; i++) {
      const T scale = none ? g.data<T>()[i] : !std::strcmp(how, "mean") ? *g.data<T>() / T(3 * n) : *g.data<T>();
      dx.data<T>()[i] = reference::bce_with_logits_backward(x.data<T>()[i], target.data<T>()[i], w(i), p(i), scale);
    }
    everywhere(what, op_bce_with_logits_backward, {g, x, target, weight, pos}, a, {dx});
  }
}
template <class T>
void binary_cross_entropies() {
  unsigned seed = 900;
  for (int64_t n : sizes) check_bce<T>(n, seed % 2, seed % 3 == 0, seed), seed++;
  check_bce<T>(9000, true, true, seed);
}
void binary_cross_entropy() { binary_cross_entropies<float>(), binary_cross_entropies<double>(); }

// ---- batch normalisation ---------------------------------------------------------------------------------------------------------
template <class T>
void check_batch_norm(const Dims& shape, bool affine, unsigned seed) {
  const Tensor x = numbers<T>(shape, seed), g = numbers<T>(shape, seed + 1);
  const int64_t C = shape[1];
  int64_t inner = 1;
  for (int i = 2; i < shape.size(); i++) inner *= shape[i];
  const int64_t N = shape[0], M = N * inner;
  const Tensor weight = affine ? numbers<T>({C}, seed + 2) : Tensor{},
               bias = affine ? numbers<T>({C}, seed + 3) : Tensor{};
  const Tensor running_mean = numbers<T>({C}, seed + 4), running_var = empty({C}, x.dtype);
  for (int64_t c = 0; c < C; c++) running_var.data<T>()[c] = T(0.5 + 0.1 * double(c));
  const T eps = T(1e-5), momentum = T(0.1);
  Tensor y = empty(shape, x.dtype), eval_y = empty(shape, x.dtype), dx = empty(shape, x.dtype);
  Tensor mean = empty({C}, x.dtype), invstd = mean, new_mean = mean, new_var = mean, eval_invstd = mean, dweight = mean,
         dbias = mean;
  for (Tensor* t : {&invstd, &new_mean, &new_var, &eval_invstd, &dweight, &dbias}) *t = empty({C}, x.dtype);
  for (int64_t c = 0; c < C; c++) {
    std::vector<T> xs, gs;
    std::vector<int64_t> at;
    for (int64_t n = 0; n < N; n++)
      for (int64_t i = 0; i < inner; i++) {
        at.push_back((n * C + c) * inner + i);
        xs.push_back(x.data<T>()[at.back()]), gs.push_back(g.data<T>()[at.back()]);
      }
    const auto s = reference::channel_statistics(M, xs.data(), 1, eps);
    const T w = affine ? weight.data<T>()[c] : T(1), b = affine ? bias.data<T>()[c] : T(0);
    mean.data<T>()[c] = s.mean, invstd.data<T>()[c] = s.invstd;
    new_mean.data<T>()[c] = tg::fma(momentum, s.mean, (1 - momentum) * running_mean.data<T>()[c]);
    new_var.data<T>()[c] = tg::fma(momentum, s.squares / T(M - 1), (1 - momentum) * running_var.data<T>()[c]);
    eval_invstd.data<T>()[c] = 1 / std::sqrt(running_var.data<T>()[c] + eps);
    const T db = reference::sum(false, M, gs.data(), 1);
    const T dot = reference::ordered_sum<T>(
        false, M, [&](T acc, int64_t m) { return tg::fma(gs[size_t(m)], xs[size_t(m)] - s.mean, acc); });
    const T dw = dot * s.invstd;
    dbias.data<T>()[c] = db, dweight.data<T>()[c] = dw;
    for (size_t m = 0; m < at.size(); m++) {
      y.data<T>()[at[m]] = reference::batch_norm(xs[m], s.mean, s.invstd, w, b);
      eval_y.data<T>()[at[m]] = reference::batch_norm(xs[m], running_mean.data<T>()[c], eval_invstd.data<T>()[c], w, b);
      dx.data<T>()[at[m]] = tg::fma(s.mean - xs[m], dw * s.invstd / T(M), gs[m] - db / T(M)) * (w * s.invstd);
    }
  }
  const std::string what = std::string(name(x.dtype)) + " " + to_string(shape);
  Attrs train, eval;
  train.add(Attr::boolean(true)), eval.add(Attr::boolean(false));
  for (Attrs* a : {&train, &eval}) a->add(Attr::real(0.1)), a->add(Attr::real(1e-5));
  everywhere(what + " train", op_batch_norm, {x, running_mean, running_var, weight, bias}, train,
             {y, mean, invstd, new_mean, new_var});
  everywhere(what + " train, no statistics", op_batch_norm, {x, {}, {}, weight, bias}, train, {y, mean, invstd});
  everywhere(what + " eval", op_batch_norm, {x, running_mean, running_var, weight, bias}, eval,
             {eval_y, running_mean, eval_invstd});
  everywhere(what, op_batch_norm_backward, {g, x, mean, invstd, weight}, {}, {dx, dweight, dbias});
}
template <class T>
void batch_norms() {
  unsigned seed = 2000;
  for (int64_t n : sizes) {
    if (n > 1) check_batch_norm<T>({n, 5}, seed % 2, seed), seed++;
    check_batch_norm<T>({n + 2, n < 100 ? n : 3}, true, seed++);
  }
  check_batch_norm<T>({6, 3, 17}, true, seed++);
  check_batch_norm<T>({4, 33, 2, 3}, false, seed++);
  check_batch_norm<T>({5000, 10}, true, seed++);
}
void batch_norm_float32() { batch_norms<float>(); }
void batch_norm_float64() { batch_norms<double>(); }

// ---- random numbers -----------------------------------------------------------------------------------------------------------------
void philox_known_answers() {  // of the authors' library
  struct {
    uint32_t counter[4], key[2], answer[4];
  } const known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const auto& k : known) {
    PhiloxBlock<uint64_t> block{{k.counter[0], k.counter[1], k.counter[2], k.counter[3]}};
    philox<1>(&block, k.key[0] | uint64_t(k.key[1]) << 32);
    for (int i = 0; i < 4; i++) CHECK_EQ(uint32_t(block.word[i]), k.answer[i]);
  }
}

constexpr int64_t seed = 0x123456789abcdef, stream = 7, step_ = (int64_t(5) << 33) + 12345;
const RandomKey key = random_key(uint64_t(seed), uint64_t(stream), uint64_t(step_));
void add_key(Attrs& a) {
  for (int64_t v : {seed, stream, step_}) a.add(Attr::integer(v));
}

template <class T>
void check_random(int64_t n) {
  auto made = [&](auto f) {
    const Tensor t = empty({n}, dtype_of<T>());
    for (int64_t i = 0; i < n; i++) t.data<T>()[i] = f(i);
    return t;
  };
  const std::string what = std::string(name(dtype_of<T>())) + " " + std::to_string(n);
  for (double low : {0.0, -3.0}) {
    const T l = T(low), h = T(low + 1.7);
    Attrs a;
    a.add(Dims{n});
    a.add(Attr::real(low));
    a.add(Attr::real(low + 1.7));
    add_key(a);
    a.add(Attr::type(dtype_of<T>()));
    everywhere(what, op_uniform, {}, a,
               {made([&](int64_t i) { return reference::uniform(key, i, l, h, std::nextafter(h, l)); })});
    everywhere(what, op_normal, {}, a, {made([&](int64_t i) { return reference::normal(key, i, l, h); })});
    if (low == 0) break;
  }
  const Tensor p = made([&](int64_t i) { return T(double(i % 11) / 10); });
  Attrs a;
  add_key(a);
  everywhere(what, op_bernoulli, {p}, a,
             {made([&](int64_t i) { return T(reference::random_unit(key, i, T()) < p.data<T>()[i]); })});
  const Tensor x = numbers<T>({n}, 77);
  for (double rate : {0.0, 0.1, 0.5, 1.0}) {
    Attrs drop, mask;
    mask.add(Dims{n});
    for (Attrs* d : {&drop, &mask}) d->add(Attr::real(rate)), add_key(*d);
    const T scale = T(1 / (1 - rate));
    everywhere(
        what, op_dropout, {x}, drop,
        {made([&](int64_t i) { return reference::dropout_keeps(key, i, rate) ? x.data<T>()[i] * scale : T(0); })});
    const Tensor keep = empty({n}, Dtype::Bool);
    for (int64_t i = 0; i < n; i++) keep.data<uint8_t>()[i] = reference::dropout_keeps(key, i, rate);
    everywhere(what, op_dropout_mask, {}, mask, {keep});
  }
}
void random_reals() {
  for (int64_t n : sizes) check_random<float>(n), check_random<double>(n);
  check_random<float>(50001), check_random<double>(50001);
}

uint64_t scaled(uint64_t bits, uint64_t range) {
  return range ? uint64_t((unsigned __int128)bits * range >> 64) : bits;
}

void random_integers() {
  struct {
    int64_t low, high;
  } const ranges[] = {{0, 10}, {-5, 6}, {0, 256}, {INT64_MIN, INT64_MAX}, {0, 2}};
  for (int64_t n : {0, 1, 15, 17, 1000, 5000})
    for (auto r : ranges) {
      auto check = [&](auto t) {
        using T = decltype(t);
        const Tensor expected = empty({n}, dtype_of<T>());
        for (int64_t i = 0; i < n; i++)
          expected.data<T>()[i] =
              T(int64_t(uint64_t(r.low) + scaled(reference::random_long(key, i), uint64_t(r.high) - uint64_t(r.low))));
        Attrs a;
        a.add(Dims{n});
        a.add(Attr::integer(r.low));
        a.add(Attr::integer(r.high));
        add_key(a);
        a.add(Attr::type(dtype_of<T>()));
        everywhere(std::to_string(n), op_integers, {}, a, {expected});
      };
      check(int64_t{});
      if (r.low > -10) check(int32_t{}), check(double{});
      if (r.low == 0) check(uint8_t{});
    }
  for (int64_t n : sizes) {
    const Tensor expected = empty({n}, Dtype::Int64);
    int64_t* p = expected.data<int64_t>();
    for (int64_t i = 0; i < n; i++) p[i] = i;
    for (int64_t k = 0; k < n; k++) std::swap(p[n - 1 - k], p[scaled(reference::random_long(key, k), uint64_t(n - k))]);
    Attrs a;
    a.add(Attr::integer(n));
    add_key(a);
    everywhere(std::to_string(n), op_permutation, {}, a, {expected});
  }
  Attrs a;
  a.add(Dims{3});
  a.add(Attr::integer(0));
  a.add(Attr::integer(257));
  add_key(a);
  a.add(Attr::type(Dtype::UInt8));
  CHECK_THROWS(call(op_integers, {}, a), Error, "do not fit dtype uint8");
}

// ---- values -------------------------------------------------------------------------------------------------------------------------
void near(double got, double expected, double tolerance, const char* what) {
  test::record(std::abs(got - expected) <= tolerance * std::max(1.0, std::abs(expected)), __FILE__, __LINE__,
               std::string(what) + ": " + test::shown(got) + " for " + test::shown(expected));
}

void values() {
  set_isa(available_isas().back()->name);
  const int64_t n = 1000;
  const Tensor x = numbers<float>({n}, 5);
  Attrs a;
  a.add(Dims{0});
  a.add(Attr::boolean(false));
  double sum = 0, squares = 0, exps = 0;
  for (int64_t i = 0; i < n; i++) sum += double(x.data<float>()[i]), exps += std::exp(double(x.data<float>()[i]));
  for (int64_t i = 0; i < n; i++) squares += std::pow(double(x.data<float>()[i]) - sum / double(n), 2);
  near(*call(op_logsumexp, {x}, a)[0].data<float>(), std::log(exps), 1e-6, "logsumexp");
  a.add(Attr::real(1));
  near(*call(op_var, {x}, a)[0].data<float>(), squares / double(n - 1), 1e-6, "var");
  a.values[2] = Attr{};
  near(*call(op_sum, {x}, a)[0].data<float>(), sum, 1e-5, "sum");

  const Tensor logits = numbers<float>({7, 5}, 6), target = classes(7, 5, -100, 7);
  Attrs ce;
  ce.add(Attr::integer(-100));
  ce.add(Attr::word("mean"));
  ce.add(Attr::real(0.1));
  double loss = 0, counted = 0;
  for (int64_t r = 0; r < 7; r++) {
    const int64_t t = target.data<int64_t>()[r];
    if (t < 0) continue;
    double z = 0;
    for (int64_t c = 0; c < 5; c++) z += std::exp(double(logits.data<float>()[r * 5 + c]));
    for (int64_t c = 0; c < 5; c++)
      loss -= (0.02 + (c == t ? 0.9 : 0.0)) * (double(logits.data<float>()[r * 5 + c]) - std::log(z));
    counted++;
  }
  near(*call(op_cross_entropy, {logits, target, {}}, ce)[0].data<float>(), loss / counted, 1e-6, "cross_entropy");

  const int64_t many = 200000;
  Attrs draw;
  draw.add(Dims{many});
  draw.add(Attr::real(0));
  draw.add(Attr::real(1));
  add_key(draw);
  draw.add(Attr::type(Dtype::Float64));
  for (OpId id : {OpId(op_uniform), OpId(op_normal)}) {
    const Tensor r = call(id, {}, draw)[0];
    double mean = 0, second = 0, lowest = 1e9, highest = -1e9, neighbours = 0;
    for (int64_t i = 0; i < many; i++) {
      const double v = r.data<double>()[i];
      mean += v, second += v * v, lowest = std::min(lowest, v), highest = std::max(highest, v);
      if (i) neighbours += v * r.data<double>()[i - 1];
    }
    mean /= double(many), second /= double(many), neighbours /= double(many);
    const bool is_uniform = id == op_uniform;
    near(mean, is_uniform ? 0.5 : 0, 0.01, "mean");
    near(second, is_uniform ? 1.0 / 3 : 1, 0.02, "second moment");
    near(neighbours, is_uniform ? 0.25 : 0, 0.02, "product of neighbours");
    CHECK(is_uniform ? lowest >= 0 && highest < 1 : lowest < -4 && highest > 4);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return test::run(
      argc, argv,
      {CASE(reductions_float32), CASE(reductions_float64), CASE(special_values_float32), CASE(special_values_float64),
       CASE(integers), CASE(softmax_float32), CASE(softmax_float64), CASE(cross_entropy_float32),
       CASE(cross_entropy_float64), CASE(classes_out_of_range), CASE(binary_cross_entropy), CASE(batch_norm_float32),
       CASE(batch_norm_float64), CASE(philox_known_answers), CASE(random_reals), CASE(random_integers), CASE(values)});
}
