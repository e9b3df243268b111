// Random numbers through the door: Philox's known answers, the rows against csrc/math/reference_rows.h bit for bit
// everywhere, and the moments of what is drawn.
#include <algorithm>
#include <cmath>
#include <vector>

#include "math/reference_rows.h"
#include "rows_everywhere.h"

using namespace tg;
using namespace tg::test;

namespace {

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

void moments() {
  set_isa(available_isas().back()->name);
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
  return test::run(argc, argv, {CASE(philox_known_answers), CASE(random_reals), CASE(random_integers), CASE(moments)});
}
