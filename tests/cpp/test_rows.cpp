// Reductions, softmax, losses and batch normalisation through the door, on every ISA and number of threads and for
// several layouts of the operands, against csrc/math/reference_rows.h bit for bit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "math/reference_rows.h"
#include "rows_everywhere.h"

using namespace tg;
using namespace tg::test;

namespace {

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

// ---- values -------------------------------------------------------------------------------------------------------------------------
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
}

}  // namespace

int main(int argc, char** argv) {
  return test::run(argc, argv,
                   {CASE(reductions_float32), CASE(reductions_float64), CASE(special_values_float32),
                    CASE(special_values_float64), CASE(integers), CASE(softmax_float32), CASE(softmax_float64),
                    CASE(cross_entropy_float32), CASE(cross_entropy_float64), CASE(classes_out_of_range),
                    CASE(binary_cross_entropy), CASE(batch_norm_float32), CASE(batch_norm_float64), CASE(values)});
}
