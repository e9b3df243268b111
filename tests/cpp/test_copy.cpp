// cast, copy_, fill_, native_arange and where, over all dtypes and layouts.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "check.h"
#include "math/convert.h"
#include "cpu/contiguous.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "ops/dispatch.h"
#include "ops/table.h"

using namespace tg;

namespace {

// What an element is worth. Every value of every dtype is exact in long double where that has 64 bits of
// significand; on other machines the samples below stay within what it holds.
long double value(const Tensor& t, int64_t i) {
  switch (t.dtype) {
    case Dtype::Float32: return t.data<float>()[i];
    case Dtype::Float64: return t.data<double>()[i];
    case Dtype::Int64: return t.data<int64_t>()[i];
    case Dtype::Int32: return t.data<int32_t>()[i];
    case Dtype::UInt8: return t.data<uint8_t>()[i];
    case Dtype::Bool: return t.data<uint8_t>()[i];
    case Dtype::Int8: return t.data<int8_t>()[i];
    case Dtype::Int16: return t.data<int16_t>()[i];
    case Dtype::UInt16: return t.data<uint16_t>()[i];
    case Dtype::UInt32: return t.data<uint32_t>()[i];
    case Dtype::Float16: return half_to_float(t.data<uint16_t>()[i]);
    default: return bfloat_to_float(t.data<uint16_t>()[i]);
  }
}

// The nearest 16-bit float by search among all of them.
long double nearest_short(long double v, Dtype t) {
  const bool half = t == Dtype::Float16;
  auto decode = [&](int bits) -> long double {
    if (bits == (half ? 0x7c00 : 0x7f80)) return half ? 0x1p16L : 0x1p128L;  // where infinity stands in the sequence
    return half ? half_to_float(static_cast<uint16_t>(bits)) : bfloat_to_float(static_cast<uint16_t>(bits));
  };
  const long double a = std::fabs(v);
  int low = 0, high = half ? 0x7c00 : 0x7f80;
  const int infinite = high;
  if (a >= decode(high)) low = high;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (decode(middle) <= a ? low : high) = middle;
  }
  int chosen = low;
  if (low != high) {
    const long double below = a - decode(low), above = decode(high) - a;
    if (above < below || (above == below && low % 2)) chosen = high;
  }
  const long double r = chosen == infinite ? std::numeric_limits<long double>::infinity() : decode(chosen);
  return std::copysign(r, v);
}

long double expected_cast(long double v, bool floating, Dtype to) {
  if (to == Dtype::Bool) return v != 0;
  if (to == Dtype::Float32) return static_cast<float>(v);
  if (to == Dtype::Float64) return static_cast<double>(v);
  if (is_floating(to)) return std::isnan(v) ? v : nearest_short(v, to);
  if (std::isnan(v)) return 0;
  long double whole = std::trunc(v);
  if (to == Dtype::Int32 && floating) return std::fmin(std::fmax(whole, -0x1p31L), 0x1p31L - 1);
  whole = std::fmin(std::fmax(whole, -0x1p63L), 0x1p63L - 1);
  const uint64_t bits = static_cast<uint64_t>(static_cast<int64_t>(whole));
  switch (to) {
    case Dtype::Int32: return static_cast<int32_t>(bits);
    case Dtype::UInt8: return static_cast<uint8_t>(bits);
    case Dtype::Int8: return static_cast<int8_t>(bits);
    case Dtype::Int16: return static_cast<int16_t>(bits);
    case Dtype::UInt16: return static_cast<uint16_t>(bits);
    case Dtype::UInt32: return static_cast<uint32_t>(bits);
    default: return whole;
  }
}

Tensor samples(Dtype t) {
  std::vector<double> values = {0,
                                -0.0,
                                1,
                                -1,
                                2,
                                3.5,
                                -3.5,
                                0.49999999999999994,
                                0.5,
                                126.7,
                                127,
                                128,
                                200,
                                255,
                                256,
                                257,
                                -129,
                                300,
                                32767,
                                32768,
                                65504,
                                65519.99,
                                65520,
                                65535,
                                65536,
                                70000,
                                1e-8,
                                5.9e-8,
                                6e-5,
                                2.98e-8,
                                1e-40,
                                1e-300,
                                1e30,
                                3.4e38,
                                3.5e38,
                                1e300,
                                16777217,
                                2147483647,
                                2147483648.0,
                                -2147483648.0,
                                -2147483649.0,
                                4294967295.0,
                                4294967296.0,
                                0x1p53,
                                0x1.fffffffffffffp62,
                                0x1p63,
                                -0x1p63,
                                0x1p64,
                                1.0009765625,
                                1.00048828125,
                                1.0014648437500002,
                                1.00390625,
                                INFINITY,
                                -INFINITY,
                                NAN};
  if (is_floating(t)) {
    const Tensor d = empty({static_cast<int64_t>(values.size())}, Dtype::Float64);
    std::memcpy(d.data(), values.data(), values.size() * 8);
    Attrs to;
    to.add(Attr::type(t));
    return dispatch::call1(*find_op("cast"), {d}, to);
  }
  // Integers: every power of two, its neighbours and negatives, as the dtype holds them.
  std::vector<int64_t> whole = {0};
  for (int k = 0; k < 63; k++)
    for (int64_t d : {-1, 0, 1}) {
      whole.push_back((int64_t{1} << k) + d);
      whole.push_back(-(int64_t{1} << k) + d);
    }
  whole.push_back(std::numeric_limits<int64_t>::max());
  whole.push_back(std::numeric_limits<int64_t>::min());
  whole.push_back((int64_t{257} << 47) + 1);  // a tie of bfloat16 but for the last bit, which double cannot hold either
  whole.push_back((int64_t{257} << 54) + 1);
  whole.push_back(-((int64_t{257} << 54) + 1));
  const Tensor x = empty({static_cast<int64_t>(whole.size())}, t);
  for (size_t i = 0; i < whole.size(); i++) {
    if (t == Dtype::Bool) x.data<uint8_t>()[i] = whole[i] & 1;
    else std::memcpy(x.data() + i * static_cast<size_t>(size_of(t)), &whole[i], static_cast<size_t>(size_of(t)));
  }
  return x;
}

Tensor cast_to(const Tensor& t, Dtype to) {
  Attrs a;
  a.add(Attr::type(to));
  return dispatch::call1(*find_op("cast"), {t}, a);
}

void every_cast() {
  for (int f = 0; f < kDtypes; f++)
    for (int t = 0; t < kDtypes; t++) {
      const Dtype from = static_cast<Dtype>(f), to = static_cast<Dtype>(t);
      const Tensor x = samples(from), y = cast_to(x, to);
      CHECK_EQ(y.dtype, to);
      for (int64_t i = 0; i < x.numel(); i++) {
        const long double v = value(x, i), want = expected_cast(v, is_floating(from), to), got = value(y, i);
        const bool ok = std::isnan(want) ? std::isnan(got)
                                         : want == got && (std::signbit(want) == std::signbit(got) || !is_floating(to));
        test::record(ok, __FILE__, __LINE__,
                     ok ? ""
                        : std::string(name(from)) + " -> " + name(to) + ": " + test::shown(double(v)) + " gives " +
                              test::shown(double(got)));
      }
    }
}

void bool_bytes_are_normalised() {
  const Tensor x = empty({4}, Dtype::Bool);
  const uint8_t bytes[] = {0, 1, 2, 255};
  std::memcpy(x.data(), bytes, 4);
  const Tensor y = cast_to(x, Dtype::Int64);
  for (int i = 0; i < 4; i++) CHECK_EQ(y.data<int64_t>()[i], i ? 1 : 0);
}

// ---------------------------------------------------------------- layouts

struct Layout {
  Dims strides;
  int64_t offset, elements;
};
// (5, 6, 7) in different orders, with gaps, backwards.
const Dims kShape{5, 6, 7};
const Layout kLayouts[] = {{{42, 7, 1}, 0, 210},  {{1, 5, 30}, 0, 210},      {{7, 35, 1}, 0, 210},
                           {{6, 1, 30}, 3, 213},  {{-42, -7, -1}, 209, 210}, {{84, 14, 2}, 1, 421},
                           {{60, 10, 1}, 2, 302}, {{42, -7, 1}, 35, 210}};

Tensor numbered(const Layout& l, Dtype t) {
  const Tensor base = empty({l.elements}, t);
  std::memset(base.data(), 0, static_cast<size_t>(l.elements * size_of(t)));
  return as_strided(base, kShape, l.strides, l.offset);
}
uint64_t& mark(uint64_t& m, int64_t i) { return m = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15u; }
std::byte* at(const Tensor& t, int64_t i, int64_t j, int64_t k) {
  return t.data() + (i * t.strides[0] + j * t.strides[1] + k * t.strides[2]) * size_of(t.dtype);
}

void copies_between_layouts() {
  for (Dtype t : {Dtype::UInt8, Dtype::Int16, Dtype::Float32, Dtype::Float64})
    for (const Layout& a : kLayouts)
      for (const Layout& b : kLayouts) {
        const Tensor from = numbered(a, t), to = numbered(b, t);
        const size_t size = static_cast<size_t>(size_of(t));
        uint64_t m;
        for (int64_t i = 0; i < 210; i++) std::memcpy(at(from, i / 42, i / 7 % 6, i % 7), &mark(m, i), size);
        const uint64_t version = to.storage->version();
        dispatch::call1(*find_op("copy_"), {to, from});
        CHECK(to.storage->version() > version);
        bool same = true;
        for (int64_t i = 0; i < 210; i++) same &= !std::memcmp(at(to, i / 42, i / 7 % 6, i % 7), &mark(m, i), size);
        CHECK(same);
        const Tensor c = contiguous(from);
        CHECK(c.contiguous());
        for (int64_t i = 0; i < 210; i++) same &= !std::memcmp(c.data() + i * size_of(t), &mark(m, i), size);
        CHECK(same);
      }
  // The gaps of a strided destination stay what they were.
  const Tensor base = empty({421}, Dtype::Float32), from = empty(kShape, Dtype::Float32);
  for (int i = 0; i < 421; i++) base.data<float>()[i] = -1;
  for (int i = 0; i < 210; i++) from.data<float>()[i] = static_cast<float>(i);
  dispatch::call1(*find_op("copy_"), {as_strided(base, kShape, {84, 14, 2}, 1), from});
  for (int i = 0; i < 421; i++) CHECK_BITS(base.data<float>()[i], i % 2 && i < 420 ? float(i / 2) : -1.f);
}

void copies_broadcast_and_overlap() {
  const Tensor row = empty({7}, Dtype::Float32), to = empty(kShape, Dtype::Float32);
  for (int i = 0; i < 7; i++) row.data<float>()[i] = static_cast<float>(i);
  dispatch::call1(*find_op("copy_"), {to, row});
  for (int i = 0; i < 210; i++) CHECK_BITS(to.data<float>()[i], static_cast<float>(i % 7));
  const Tensor column = as_strided(row, {5, 1, 1}, {1, 1, 1}, 0);
  dispatch::call1(*find_op("copy_"), {to, column});
  for (int i = 0; i < 210; i++) CHECK_BITS(to.data<float>()[i], static_cast<float>(i / 42));
  dispatch::call1(*find_op("copy_"), {row, row});
  dispatch::call1(*find_op("copy_"), {as_strided(row, {6}, {1}, 1), as_strided(row, {6}, {1}, 0)});  // shifts by one
  for (int i = 0; i < 7; i++) CHECK_BITS(row.data<float>()[i], static_cast<float>(i ? i - 1 : 0));
}

void large_copies_on_threads() {
  const int before = num_threads();
  for (Dtype t : {Dtype::UInt8, Dtype::Float32, Dtype::Float64}) {
    const int64_t rows = 1027, columns = 1531;
    const Tensor x = empty({rows, columns}, t);
    for (int64_t i = 0; i < x.numel() * size_of(t); i++) x.data<uint8_t>()[i] = static_cast<uint8_t>(i * 131 + i / 251);
    for (int threads : {1, 4}) {
      set_num_threads(threads);
      const Tensor turned = transpose("test", x, 0, 1), y = contiguous(turned),
                   back = contiguous(transpose("test", y, 0, 1));
      CHECK(!std::memcmp(x.data(), back.data(), static_cast<size_t>(x.numel() * size_of(t))));
      bool same = true;
      for (int64_t i = 0; i < rows; i += 13)
        for (int64_t j = 0; j < columns; j += 7)
          same &= !std::memcmp(x.data() + (i * columns + j) * size_of(t), y.data() + (j * rows + i) * size_of(t),
                               static_cast<size_t>(size_of(t)));
      CHECK(same);
      const Tensor z = empty({rows, columns}, t);
      copy(z, x);
      CHECK(!std::memcmp(x.data(), z.data(), static_cast<size_t>(x.numel() * size_of(t))));
    }
  }
  set_num_threads(before);
}

// ---------------------------------------------------------------- fill, arange, where

void fills() {
  for (int k = 0; k < kDtypes; k++) {
    const Dtype t = static_cast<Dtype>(k);
    for (const Attr& v : {Attr::integer(3), Attr::real(-2.5), Attr::integer(-1), Attr::real(1e20)}) {
      const long double exact =
          v.kind == Attr::Kind::Float ? static_cast<long double>(v.f) : static_cast<long double>(v.i);
      for (const Layout& l : kLayouts) {
        const Tensor x = numbered(l, t);
        Attrs a;
        a.add(v);
        dispatch::call1(*find_op("fill_"), {x}, a);
        const Tensor c = contiguous(x);
        bool right = true;
        for (int64_t i = 0; i < 210; i++) right &= value(c, i) == expected_cast(exact, v.kind == Attr::Kind::Float, t);
        CHECK(right);
      }
    }
  }
}

void counts() {
  auto arange = [](Attr start, Attr step, int64_t n, Dtype t) {
    Attrs a;
    a.add(start);
    a.add(step);
    a.add(Attr::integer(n));
    a.add(Attr::type(t));
    return dispatch::call1(*find_op("native_arange"), {}, a);
  };
  const Tensor i = arange(Attr::integer(5), Attr::integer(-2), 4, Dtype::Int64);
  for (int k = 0; k < 4; k++) CHECK_EQ(i.data<int64_t>()[k], 5 - 2 * k);
  const Tensor large = arange(Attr::integer((int64_t{1} << 53) + 1), Attr::integer(1), 2, Dtype::Int64);
  CHECK_EQ(large.data<int64_t>()[1], (int64_t{1} << 53) + 2);
  const Tensor f = arange(Attr::real(0.25), Attr::real(0.1), 1000, Dtype::Float64);
  for (int k = 0; k < 1000; k++) CHECK_BITS(f.data<double>()[k], std::fma(double(k), 0.1, 0.25));
  const Tensor g = arange(Attr::real(0.25), Attr::real(0.1), 300000, Dtype::Float32);
  for (int k = 0; k < 300000; k += 997)
    CHECK_BITS(g.data<float>()[k], static_cast<float>(std::fma(double(k), 0.1, 0.25)));
  CHECK_EQ(arange(Attr::integer(0), Attr::integer(1), 0, Dtype::Float32).numel(), 0);
}

void chooses() {
  const std::string chosen = isa().name;
  for (const Isa* each : available_isas()) {
    set_isa(each->name);
    for (int k = 0; k < kComputeDtypes; k++) {
      const Dtype t = static_cast<Dtype>(k);
      for (int64_t n : {0, 1, 7, 8, 15, 16, 17, 31, 33, 63, 65, 1000}) {
        const Tensor condition = empty({n}, Dtype::Bool), a = empty({n}, t), b = empty({n}, t);
        for (int64_t i = 0; i < n; i++)
          condition.data<uint8_t>()[i] = i % 3 == 0 ? 0 : static_cast<uint8_t>(i % 5 ? 1 : 254);
        for (int64_t i = 0; i < n * size_of(t); i++) {
          a.data<uint8_t>()[i] = static_cast<uint8_t>(t == Dtype::Bool ? i % 2 : i * 37 + 11);
          b.data<uint8_t>()[i] = static_cast<uint8_t>(t == Dtype::Bool ? i / 2 % 2 : i * 91 + 5);
        }
        const Tensor y = dispatch::call1(*find_op("where"), {condition, a, b});
        CHECK_EQ(y.dtype, t);
        bool right = true;
        for (int64_t i = 0; i < n; i++)
          right &= !std::memcmp(y.data() + i * size_of(t), (i % 3 ? a : b).data() + i * size_of(t),
                                static_cast<size_t>(size_of(t)));
        CHECK(right);
      }
    }
  }
  set_isa(chosen.c_str());
  // Broadcast condition and branches.
  const Tensor condition = empty({3, 1}, Dtype::Bool), a = empty({4}, Dtype::Float32), b = scalar(-1.0, Dtype::Float32);
  for (int i = 0; i < 3; i++) condition.data<uint8_t>()[i] = i == 1;
  for (int i = 0; i < 4; i++) a.data<float>()[i] = static_cast<float>(i);
  const Tensor y = dispatch::call1(*find_op("where"), {condition, a, b});
  CHECK(y.shape == (Dims{3, 4}));
  for (int i = 0; i < 12; i++) CHECK_BITS(y.data<float>()[i], i / 4 == 1 ? static_cast<float>(i % 4) : -1.f);
}

}  // namespace

int main(int argc, char** argv) {
  return test::run(
      argc, argv,
      {CASE(every_cast), CASE(bool_bytes_are_normalised), CASE(copies_between_layouts),
       CASE(copies_broadcast_and_overlap), CASE(large_copies_on_threads), CASE(fills), CASE(counts), CASE(chooses)});
}
