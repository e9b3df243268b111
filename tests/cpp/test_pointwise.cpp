// Every pointwise row and its derivatives, where, cast, copy, fill and arange: the same bits on every ISA, at
// every length, for every layout and number of threads; values against double references.
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "check.h"
#include "cpu/contiguous.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "ops/dispatch.h"
#include "ops/table.h"

using namespace tg;

namespace {

constexpr int64_t kSizes[] = {0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 65, 1000};
constexpr int64_t kLongest = 1000;

struct Random {
  uint64_t state;
  uint64_t next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
  }
  double uniform(double low, double high) { return low + (high - low) * static_cast<double>(next()) / 0x1p31; }
};

template <class T>
T sample(Random& r) {
  if constexpr (std::is_same_v<T, bool>) {
    return r.next() & 1;
  } else if constexpr (std::is_integral_v<T>) {
    if (r.next() % 16 == 0) return r.next() & 1 ? std::numeric_limits<T>::max() : std::numeric_limits<T>::min();
    return static_cast<T>(static_cast<int64_t>(r.next() % 19) - 9);
  } else {
    using L = std::numeric_limits<T>;
    static const T special[] = {0,
                                T(-0.0),
                                1,
                                -1,
                                L::infinity(),
                                -L::infinity(),
                                L::quiet_NaN(),
                                L::denorm_min(),
                                -L::denorm_min(),
                                L::min(),
                                L::max(),
                                L::lowest(),
                                T(0.5),
                                T(-0.5),
                                T(1e-6),
                                T(88.5),
                                T(-104),
                                T(700),
                                T(-750),
                                T(1e9)};
    if (r.next() % 8 == 0) return special[r.next() % std::size(special)];
    return static_cast<T>(r.uniform(-4, 4));
  }
}

// Calls f with a value of the C++ type of a compute dtype.
template <class F>
void with_type(Dtype t, F f) {
  switch (t) {
    case Dtype::Float32: return f(float{});
    case Dtype::Float64: return f(double{});
    case Dtype::Int64: return f(int64_t{});
    case Dtype::Int32: return f(int32_t{});
    case Dtype::UInt8: return f(uint8_t{});
    default: return f(bool{});
  }
}

Tensor random(const Dims& shape, Dtype dtype, uint64_t seed) {
  Tensor t = empty(shape, dtype);
  Random r{seed};
  with_type(dtype, [&](auto like) {
    for (int64_t i = 0; i < t.numel(); i++) t.data<decltype(like)>()[i] = sample<decltype(like)>(r);
  });
  return t;
}

template <class T>
bool same(const void* a, const void* b, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (!test::same_bits(static_cast<const T*>(a)[i], static_cast<const T*>(b)[i])) return false;
  return true;
}
bool same(Dtype t, const void* a, const void* b, int64_t n) {
  bool equal = false;
  with_type(t, [&](auto like) { equal = same<decltype(like)>(a, b, n); });
  return equal;
}
bool same(const Tensor& a, const Tensor& b) {
  const Tensor x = contiguous(a), y = contiguous(b);
  return x.dtype == y.dtype && x.shape == y.shape && same(x.dtype, x.data(), y.data(), x.numel());
}

void check(bool ok, const char* what, const char* op, Dtype dtype, int64_t n) {
  test::record(ok, __FILE__, __LINE__,
               ok ? "" : std::string(what) + ": " + op + " " + name(dtype) + " n=" + std::to_string(n));
}

Attrs defaults(const Op& op) {
  Attrs a;
  for (int k : op.attributes) a.add(op.params[static_cast<size_t>(k)].fallback);
  if (op.name.starts_with("clamp")) {
    a.values[0] = Attr::integer(-1);
    a.values[1] = Attr::integer(2);
  }
  return a;
}

// Every row that has a kernel for the dtype.
void for_each_row(const std::function<void(const Op&, const PointwiseInfo&, Dtype)>& body) {
  for (int id = 0; id < kPointwiseOps; id++)
    for (int t = 0; t < kPointwiseDtypes; t++)
      if (isa().pointwise->ops[t][id]) body(op(static_cast<OpId>(id)), kPointwiseInfo[id], static_cast<Dtype>(t));
}

// Input i of a row: random, but no integer zero where it divides.
Tensor random_input(const PointwiseInfo& row, int i, Dtype dtype, const Dims& shape) {
  const Tensor t = random(shape, dtype, 17 * i + row.arity);
  const bool divides = i == 1 && (std::string(row.name) == "floor_divide" || std::string(row.name) == "remainder" ||
                                  std::string(row.name) == "fmod" || std::string(row.name) == "native_div_trunc");
  if (divides)
    with_type(dtype, [&](auto like) {
      using T = decltype(like);
      for (int64_t k = 0; k < t.numel(); k++)
        if (std::is_integral_v<T> && t.data<T>()[k] == T(0)) t.data<T>()[k] = T(3);
    });
  return t;
}
std::vector<Tensor> random_inputs(const PointwiseInfo& row, Dtype dtype, const Dims& shape) {
  std::vector<Tensor> in;
  for (int i = 0; i < row.arity; i++) in.push_back(random_input(row, i, dtype, shape));
  return in;
}

Tensor apply(const Op& op, const std::vector<Tensor>& in, const Attrs& attrs) {
  Tensor out;
  dispatch::call(op, in, attrs, {&out, 1});
  return out;
}

struct RestoreThreads {
  int n = num_threads();
  ~RestoreThreads() { set_num_threads(n); }
};

// ---------------------------------------------------------------- rows

void a_row_exists_exactly_where_its_class_says() {
  for (const Isa* i : available_isas())
    for (int id = 0; id < kPointwiseOps; id++)
      for (int t = 0; t < kPointwiseDtypes; t++) {
        const Dtype dtype = static_cast<Dtype>(t);
        const PointwiseClass cls = kPointwiseInfo[id].cls;
        const bool of_bits = cls == PointwiseClass::Bits || cls == PointwiseClass::Integral;
        const bool with_bool = cls == PointwiseClass::Any || cls == PointwiseClass::Bits;
        const bool expected = is_floating(dtype)     ? !of_bits
                              : dtype == Dtype::Bool ? with_bool
                                                     : of_bits || cls != PointwiseClass::Floating;
        check((i->pointwise->ops[t][id] != nullptr) == expected, i->name, kPointwiseInfo[id].name, dtype, 0);
      }
}

void isas_are_different_code() {
  for (const Isa* i : available_isas())
    for (const Isa* j : available_isas())
      if (i != j)
        for (int id = 0; id < kPointwiseOps; id++)
          for (int t = 0; t < kPointwiseDtypes; t++)
            if (i->pointwise->ops[t][id])
              check(i->pointwise->ops[t][id] != j->pointwise->ops[t][id], "shared", kPointwiseInfo[id].name,
                    static_cast<Dtype>(t), 0);
}

// The contiguous kernels: each ISA at each length gives a prefix of the baseline's 1000 elements and writes
// nothing beyond.
void isas_and_lengths_agree() {
  const Isa& baseline = *available_isas().front();
  for_each_row([&](const Op& o, const PointwiseInfo& row, Dtype dtype) {
    const std::vector<Tensor> in = random_inputs(row, dtype, {kLongest});
    const void* data[kMaxInputs];
    for (int i = 0; i < row.arity; i++) data[i] = in[i].data();
    const Dtype result = row.to_bool ? Dtype::Bool : dtype;
    const int64_t size = size_of(result);
    const bool floating = is_floating(dtype);
    const double p = floating ? -0.75 : std::bit_cast<double>(int64_t{-2}),
                 q = floating ? 1.5 : std::bit_cast<double>(int64_t{3});
    Tensor expected = empty({kLongest}, result);
    baseline.pointwise->ops[static_cast<int>(dtype)][o.id](data, expected.data(), kLongest, p, q);
    for (const Isa* i : available_isas())
      for (int64_t n : kSizes) {
        std::vector<uint8_t> got(static_cast<size_t>((kLongest + 8) * size), 0xa5);
        i->pointwise->ops[static_cast<int>(dtype)][o.id](data, got.data(), n, p, q);
        check(same(result, expected.data(), got.data(), n), i->name, row.name, dtype, n);
        bool untouched = true;
        for (size_t k = static_cast<size_t>(n * size); k < got.size(); k++) untouched &= got[k] == 0xa5;
        check(untouched, "writes beyond", row.name, dtype, n);
      }
  });
}

void layouts_agree() {
  const Dims shape{5, 6, 7};
  const int64_t n = 5 * 6 * 7;
  for_each_row([&](const Op& o, const PointwiseInfo& row, Dtype dtype) {
    const Attrs attrs = defaults(o);
    const std::vector<Tensor> in = random_inputs(row, dtype, shape);
    const Tensor expected = apply(o, in, attrs);
    std::vector<Tensor> strided = in, transposed = in, reversed = in, misaligned = in;
    for (int i = 0; i < row.arity; i++) {
      const Tensor wide = empty({5, 12, 7}, dtype), turned = empty({7, 5, 6}, dtype), back = empty(shape, dtype),
                   shifted = empty({n + 1}, dtype);
      strided[i] = slice("test", wide, 1, 1, 6, 2);
      transposed[i] = permute("test", turned, {1, 2, 0});
      reversed[i] = as_strided(back, shape, {-42, 7, -1}, 4 * 42 + 6);
      misaligned[i] = as_strided(shifted, shape, contiguous_strides(shape), 1);
      for (const Tensor* t : {&strided[i], &transposed[i], &reversed[i], &misaligned[i]}) copy(*t, in[i]);
      check(same(strided[i], in[i]) && same(transposed[i], in[i]) && same(reversed[i], in[i]), "copy", row.name, dtype,
            n);
    }
    check(same(apply(o, strided, attrs), expected), "strided", row.name, dtype, n);
    check(same(apply(o, transposed, attrs), expected), "transposed", row.name, dtype, n);
    check(same(apply(o, reversed, attrs), expected), "reversed", row.name, dtype, n);
    check(same(apply(o, misaligned, attrs), expected), "misaligned", row.name, dtype, n);
    std::vector<Tensor> mixed = in;
    mixed[0] = reversed[0];
    if (row.arity > 1) mixed[1] = transposed[1];
    check(same(apply(o, mixed, attrs), expected), "mixed", row.name, dtype, n);

    // Each operand in turn broadcast along each set of axes.
    for (int i = 0; i < row.arity; i++)
      for (const Dims& small : {Dims{}, Dims{7}, Dims{6, 1}, Dims{5, 1, 1}, Dims{5, 1, 7}, Dims{1, 6, 1}}) {
        std::vector<Tensor> narrow = in, full = in;
        narrow[i] = random_input(row, i, dtype, small);
        full[i] = contiguous(expand("test", narrow[i], shape));
        if (row.arity == 1) full[i] = contiguous(narrow[i]);
        check(same(apply(o, narrow, attrs), apply(o, full, attrs)), "broadcast", row.name, dtype, small.size());
      }
  });
}

// Index spaces of several gathered pieces, the last one shorter, inputs and outputs with gaps that must stay untouched.
void pieces_agree() {
  for (const char* name : {"add", "relu", "tanh_backward", "pow_double_backward_ab", "lt"})
    for (const Dims& shape : {Dims{2501}, Dims{834, 3}, Dims{2, 2501}, Dims{5, 1201, 2}}) {
      const Op& o = *find_op(name);
      const PointwiseInfo& row = kPointwiseInfo[o.id];
      const int64_t n = count(shape);
      const std::vector<Tensor> in = random_inputs(row, Dtype::Float32, shape);
      const Tensor expected = apply(o, in, {});
      Dims gaps = contiguous_strides(shape);
      for (int64_t& s : gaps) s *= 2;
      std::vector<Tensor> spread = in;
      for (Tensor& t : spread) {
        const Tensor base = empty({2 * n}, Dtype::Float32);
        std::fill_n(base.data<float>(), 2 * n, 123.f);
        const Tensor wide = as_strided(base, shape, gaps, 0);
        copy(wide, t);
        t = wide;
      }
      check(same(apply(o, spread, {}), expected), "gathered pieces", name, Dtype::Float32, n);
      for (int i = 0; i < row.arity; i++)
        for (int axis = 0; axis < shape.size(); axis++) {
          Dims narrow_shape = shape;
          narrow_shape[axis] = 1;
          std::vector<Tensor> narrow = spread, full = in;
          narrow[i] = random(narrow_shape, Dtype::Float32, 5);
          full[i] = contiguous(expand("test", narrow[i], shape));
          if (row.arity > 1)
            check(same(apply(o, narrow, {}), apply(o, full, {})), "broadcast pieces", name, Dtype::Float32, axis);
        }
      if (row.to_bool) continue;
      const Tensor result = dispatch::call_inplace(o, spread, {});
      check(same(result, expected), "scattered pieces", name, Dtype::Float32, n);
      bool untouched = true;
      for (int64_t k = 1; k < 2 * n; k += 2) untouched &= result.data<float>()[k] == 123.f;
      check(untouched, "gaps", name, Dtype::Float32, n);
    }
}

// A contiguous output that lies inside a larger block: nothing around it is written.
void surroundings_stay() {
  for (const Dims& shape : {Dims{2501}, Dims{834, 3}, Dims{2, 2501}}) {
    const int64_t n = count(shape);
    const Tensor block = empty({n + 2048}, Dtype::Float32), other = random({2 * n}, Dtype::Float32, 3);
    std::fill_n(block.data<float>(), n + 2048, 123.f);
    Dims gaps = contiguous_strides(shape);
    for (int64_t& s : gaps) s *= 2;
    const Tensor target = as_strided(block, shape, contiguous_strides(shape), 1024);
    dispatch::call_inplace(*find_op("add"), {{target, as_strided(other, shape, gaps, 0)}}, {});
    for (int64_t k = 0; k < n; k++) CHECK_BITS(target.data<float>()[k], 123.f + other.data<float>()[2 * k]);
    for (int64_t k = 0; k < 1024; k++)
      CHECK(block.data<float>()[k] == 123.f && block.data<float>()[n + 1024 + k] == 123.f);
  }
}

// In place, with the output contiguous, strided, transposed.
void in_place_agrees() {
  const Dims shape{9, 11};
  for_each_row([&](const Op& o, const PointwiseInfo& row, Dtype dtype) {
    if (row.to_bool) return;
    const Attrs attrs = defaults(o);
    const std::vector<Tensor> in = random_inputs(row, dtype, shape);
    const Tensor expected = apply(o, in, attrs);
    for (const Tensor& target : {empty(shape, dtype), slice("test", empty({9, 22}, dtype), 1, 0, 11, 2),
                                 transpose("test", empty({11, 9}, dtype), 0, 1)}) {
      std::vector<Tensor> own = in;
      own[0] = target;
      copy(target, in[0]);
      const uint64_t version = target.storage->version();
      const Tensor result = dispatch::call_inplace(o, own, attrs);
      check(same(result, expected), "in place", row.name, dtype, target.strides[1]);
      check(result.data() == target.data() && target.storage->version() > version, "in place", row.name, dtype, 0);
    }
    // Every other input may be the output as well.
    const PointwiseFn fn = isa().pointwise->ops[static_cast<int>(dtype)][o.id];
    for (int i = 0; i < row.arity; i++) {
      const Tensor target = empty(shape, dtype), plain = empty(shape, dtype);
      copy(target, in[i]);
      const void* data[kMaxInputs];
      for (int k = 0; k < row.arity; k++) data[k] = in[k].data();
      const double p = std::bit_cast<double>(is_floating(dtype) ? std::bit_cast<int64_t>(0.5) : int64_t{1});
      fn(data, plain.data(), 99, p, p);
      data[i] = target.data();
      fn(data, target.data(), 99, p, p);
      check(same(target, plain), "output is an input", row.name, dtype, i);
    }
  });
}

void threads_agree() {
  RestoreThreads restore;
  const int64_t rows = 301, columns = 1003;
  for_each_row([&](const Op& o, const PointwiseInfo& row, Dtype dtype) {
    if (dtype != Dtype::Float32 && dtype != Dtype::Int32) return;
    const Attrs attrs = defaults(o);
    std::vector<Tensor> flat = random_inputs(row, dtype, {rows * columns}), mixed;
    for (const Tensor& t : flat) mixed.push_back(as_strided(t, {rows, columns}, {1, rows}, 0));
    if (row.arity > 1) mixed[1] = as_strided(flat[1], {rows, columns}, {0, 1}, 5);
    if (row.arity > 2) mixed[2] = as_strided(flat[2], {rows, columns}, {2, 0}, 5);
    set_num_threads(1);
    const Tensor one_flat = apply(o, flat, attrs), one_mixed = apply(o, mixed, attrs);
    std::vector<Tensor> dense;
    for (const Tensor& t : mixed) dense.push_back(contiguous(t));
    check(same(one_mixed, apply(o, dense, attrs)), "mixed layouts", row.name, dtype, rows * columns);
    for (int threads : {2, 4}) {
      set_num_threads(threads);
      check(same(one_flat, apply(o, flat, attrs)), "threads", row.name, dtype, threads);
      check(same(one_mixed, apply(o, mixed, attrs)), "threads, mixed layouts", row.name, dtype, threads);
    }
  });
}

// ---------------------------------------------------------------- values

void values_are_right() {
  struct Reference {
    const char* op;
    std::function<double(double, double)> f;
    double ulps;
  };
  const Reference references[] = {
      {"add", [](double a, double b) { return a + b; }, 0.5},
      {"sub", [](double a, double b) { return a - b; }, 0.5},
      {"mul", [](double a, double b) { return a * b; }, 0.5},
      {"div", [](double a, double b) { return a / b; }, 0.5},
      {"exp", [](double a, double) { return std::exp(a); }, 2},
      {"tanh", [](double a, double) { return std::tanh(a); }, 2},
      {"relu", [](double a, double) { return a > 0 ? a : 0; }, 0},
      {"square", [](double a, double) { return a * a; }, 0.5},
      {"leaky_relu", [](double a, double) { return a > 0 ? a : double(0.01f) * a; }, 0.5},
      {"clamp", [](double a, double) { return a < -1  ? -1
                                              : a > 2 ? 2
                                                      : a; }, 0},
      {"tanh_backward", [](double grad, double y) { return grad * (1 - y * y); }, 2},
  };
  for (const Reference& r : references) {
    const Op* o = find_op(r.op);
    CHECK(o != nullptr);
    if (!o) continue;
    Random random{7};
    std::vector<Tensor> in;
    for (int i = 0; i < o->n_tensors(); i++) {
      in.push_back(empty({kLongest}, Dtype::Float32));
      for (int64_t k = 0; k < kLongest; k++) in[i].data<float>()[k] = static_cast<float>(random.uniform(-5, 5));
    }
    const Tensor y = apply(*o, in, defaults(*o));
    for (int64_t k = 0; k < kLongest; k++) {
      const double expected = r.f(in[0].data<float>()[k], in.back().data<float>()[k]);
      const float nearest = static_cast<float>(expected);
      const double ulp = std::nextafter(std::fabs(nearest), INFINITY) - std::fabs(nearest);
      check(std::fabs(y.data<float>()[k] - expected) <= r.ulps * ulp, "value", r.op, Dtype::Float32, k);
    }
  }
}

void comparisons_give_bool() {
  const Tensor a = empty({3}, Dtype::Float32), b = empty({3}, Dtype::Float32);
  const float x[] = {1, 2, NAN}, y[] = {1, 3, NAN};
  std::memcpy(a.data(), x, sizeof x);
  std::memcpy(b.data(), y, sizeof y);
  const Tensor e = apply(*find_op("eq"), {a, b}, {});
  CHECK_EQ(e.dtype, Dtype::Bool);
  CHECK_EQ(e.data<uint8_t>()[0], 1);
  CHECK_EQ(e.data<uint8_t>()[1], 0);
  CHECK_EQ(e.data<uint8_t>()[2], 0);
}

void absent_bounds_bind_nothing() {
  for (Dtype dtype : {Dtype::Float32, Dtype::Int64}) {
    const Tensor x = random({100}, dtype, 3);
    Attrs a;
    a.add(Attr{});
    a.add(Attr{});
    check(same(apply(*find_op("clamp"), {x}, a), x), "clamp without bounds", "clamp", dtype, 100);
  }
  // Integer bounds are exact beyond 2^53.
  const Tensor big = empty({1}, Dtype::Int64);
  *big.data<int64_t>() = std::numeric_limits<int64_t>::max();
  Attrs a;
  a.add(Attr{});
  a.add(Attr::integer((int64_t{1} << 53) + 1));
  CHECK_EQ(*apply(*find_op("clamp"), {big}, a).data<int64_t>(), (int64_t{1} << 53) + 1);
}

void integer_division_by_zero_is_refused() {
  const Tensor a = random({4}, Dtype::Int32, 1), b = empty({2, 4}, Dtype::Int32);
  for (int i = 0; i < 8; i++) b.data<int32_t>()[i] = 5 - i;
  for (const char* name : {"floor_divide", "remainder"}) {
    CHECK_THROWS(apply(*find_op(name), {a, b}, {}), Error, "integer division by zero: element 5 of other (2, 4) is 0");
    const Tensor none = empty({0, 4}, Dtype::Int32);
    CHECK_EQ(apply(*find_op(name), {none, as_strided(b, {4}, {1}, 4)}, {}).numel(), 0);
    const Tensor same = contiguous(b);
    CHECK_THROWS(dispatch::call_inplace(*find_op(name), {{same, b}}, {}), Error, "integer division by zero");
    CHECK(tg::test::same_bits(same.data<int32_t>()[0], 5));
  }
  // Python's signs, and the one quotient that does not fit.
  const int64_t x[] = {7, -7, 7, -7, std::numeric_limits<int64_t>::min()}, y[] = {2, 2, -2, -2, -1};
  const int64_t quotient[] = {3, -4, -4, 3, std::numeric_limits<int64_t>::min()}, rest[] = {1, 1, -1, -1, 0};
  const Tensor u = empty({5}, Dtype::Int64), v = empty({5}, Dtype::Int64);
  std::memcpy(u.data(), x, sizeof x);
  std::memcpy(v.data(), y, sizeof y);
  CHECK(!std::memcmp(apply(*find_op("floor_divide"), {u, v}, {}).data(), quotient, sizeof quotient));
  CHECK(!std::memcmp(apply(*find_op("remainder"), {u, v}, {}).data(), rest, sizeof rest));
}

}  // namespace

int main(int argc, char** argv) {
  return test::run(argc, argv,
                   {CASE(a_row_exists_exactly_where_its_class_says), CASE(isas_are_different_code),
                    CASE(isas_and_lengths_agree), CASE(layouts_agree), CASE(pieces_agree), CASE(surroundings_stay),
                    CASE(in_place_agrees), CASE(threads_agree), CASE(values_are_right), CASE(comparisons_give_bool),
                    CASE(absent_bounds_bind_nothing), CASE(integer_division_by_zero_is_refused)});
}
