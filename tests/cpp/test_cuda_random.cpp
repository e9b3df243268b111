// Random rows of the CUDA module on the emulated device against the CPU's kernels: pure functions of (seed, stream, step).
#include <cstdint>
#include <limits>

#include "cuda/backend.h"
#include "cuda_pairs.h"

using namespace tg;
using namespace tg::test;

namespace {

const int64_t kSizes[] = {0, 1, 15, 16, 17, 31, 32, 33, 1023, 1025, 5000};

void add_key(Attrs& a) {
  for (int64_t v : {int64_t{-12345678901}, int64_t{7}, (int64_t{5} << 33) + 99}) a.add(Attr::integer(v));
}

// The row's kernel on both devices. These rows take no tensor, so the door would not know where to go.
void both(const char* op, const Attrs& attrs, const Dims& shape, Dtype dtype, const Tensor& input = {}) {
  Tensor out[2];
  for (const Device device : {Device::Cpu, Device::Cuda}) {
    const Tensor in[1] = {input.defined() && device == Device::Cuda ? on_gpu(input) : input};
    Tensor& to = out[device == Device::Cuda] = empty(shape, dtype, device);
    dispatch::backend(device)->kernels[named(op).id]({named(op), {in, in[0].defined()}, attrs, {&to, 1}});
  }
  check_same(out[1], out[0], std::string(op) + " " + name(dtype) + " " + to_string(shape));
}

}  // namespace

static void reals() {
  for (Dtype t : {Dtype::Float32, Dtype::Float64})
    for (int64_t n : kSizes)
      for (const char* op : {"uniform", "normal"})
        for (double low : {0.0, -3.0}) {
          Attrs a;
          a.add(Dims{n}), a.add(Attr::real(low)), a.add(Attr::real(low + 4.7)), add_key(a), a.add(Attr::type(t));
          both(op, a, {n}, t);
        }
}

static void integers() {
  const struct {
    int64_t low, high;
    Dtype dtype;
  } ranges[] = {
      {0, 10, Dtype::Int64},  {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), Dtype::Int64},
      {-5, 6, Dtype::Int32},  {0, 256, Dtype::UInt8},
      {0, 2, Dtype::Bool},    {-1000, 1000, Dtype::Float32},
      {0, 77, Dtype::Float64}};
  for (const auto& r : ranges)
    for (int64_t n : kSizes) {
      Attrs a;
      a.add(Dims{n}), a.add(Attr::integer(r.low)), a.add(Attr::integer(r.high)), add_key(a), a.add(Attr::type(r.dtype));
      both("integers", a, {n}, r.dtype);
    }
}

static void permutations() {
  for (int64_t n : {0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 1023, 1025, 100'000}) {
    Attrs a;
    a.add(Attr::integer(n)), add_key(a);
    both("permutation", a, {n}, Dtype::Int64);
  }
}

static void chances() {
  for (Dtype t : {Dtype::Float32, Dtype::Float64})
    for (int64_t n : kSizes) {
      Attrs key;
      add_key(key);
      both("native_bernoulli", key, {n}, t, [&] {
        Tensor p = drawn({n}, t);
        for (int64_t i = 0; i < n; i++)
          if (t == Dtype::Float32) p.data<float>()[i] = static_cast<float>(i % 11) / 10;
          else p.data<double>()[i] = static_cast<double>(i % 11) / 10;
        return p;
      }());
      for (double p : {0.0, 0.3, 1.0}) {
        Attrs mask, drop;
        mask.add(Dims{n}), mask.add(Attr::real(p)), add_key(mask);
        both("dropout_mask", mask, {n}, Dtype::Bool);
        drop.add(Attr::real(p)), add_key(drop), drop.add(Attr::integer(64));
        both("native_dropout", drop, {n}, t, drawn({n}, t, true));
        const Tensor x = drawn({n, 3}, t);
        check_same(dispatch::call1(named("native_dropout"), {transpose("view", on_gpu(x), 0, 1)}, drop),
                   dispatch::call1(named("native_dropout"), {transpose("view", x, 0, 1)}, drop), "dropout of a view");
      }
    }
}

static void no_probability() {
  for (Dtype t : {Dtype::Float32, Dtype::Float64})
    for (double bad : {-0.25, 1.0001, std::numeric_limits<double>::quiet_NaN()}) {
      Attrs key;
      add_key(key);
      const Tensor p = drawn({40, 30}, t);
      for (int64_t i = 0; i < p.numel(); i++)
        for (double v : {i == 17 * 30 + 3 || i == 20 * 30 ? bad : 0.5})
          if (t == Dtype::Float32) p.data<float>()[i] = static_cast<float>(v);
          else p.data<double>()[i] = v;
      std::string said[2];
      for (const Tensor& on : {p, on_gpu(p)}) try {
          dispatch::call1(named("native_bernoulli"), {transpose("view", on, 0, 1)}, key);
        } catch (const Error& e) {
          said[on.device() == Device::Cuda] = e.what();
        }
      CHECK_EQ(said[0].substr(0, 33), std::string("[native_bernoulli] element 20 is "));
      CHECK_EQ(said[1], said[0]);
    }
}

static void progressions() {
  for (Dtype t : {Dtype::Float32, Dtype::Float64, Dtype::Int64, Dtype::Int32, Dtype::UInt8})
    for (int64_t n : kSizes) {
      Attrs whole, real;
      whole.add(Attr::integer(-5)), whole.add(Attr::integer(3)), whole.add(Attr::integer(n)), whole.add(Attr::type(t));
      real.add(Attr::real(0.1)), real.add(Attr::real(1.7)), real.add(Attr::integer(n)), real.add(Attr::type(t));
      both("native_arange", whole, {n}, t);
      both("native_arange", real, {n}, t);
    }
}

int main(int argc, char** argv) {
  cuda::require("test", 0);  // loads the module that TRIGRAD_CUDA_MODULE names
  return run(
      argc, argv,
      {CASE(reals), CASE(integers), CASE(permutations), CASE(chances), CASE(no_probability), CASE(progressions)});
}
