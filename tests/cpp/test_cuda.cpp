// The CUDA module's kernels, run as host code on an emulated device (emulated_device.cpp), against the CPU's: the same bits.
// The device's memory cannot be read but by its kernels, so this also finds who reads it behind the backend's back.
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "cuda/backend.h"
#include "cuda/check.h"
#include "cuda_pairs.h"

using namespace tg;
using namespace tg::test;

static bool several() { return cuda::devices().size() > 1; }  // as the emulated module has

static void module_is_there() {
  CHECK_EQ(cuda::absence(), std::string());
  CHECK(several() || cuda::devices()[0].name != "emulated");
  CHECK_THROWS(cuda::require("to", 63), Error, "[to] device is 'cuda:63', expected cuda:0 to cuda:");
}

// Every floating row of pointwise.def and every derivative, contiguous, strided, transposed and broadcast.
static void pointwise() {
  int rows = 0;
  for (int id = 0; id < kPointwiseOps; id++) {
    const PointwiseInfo& info = kPointwiseInfo[id];
    if (info.cls == PointwiseClass::Integral || info.cls == PointwiseClass::Bits) continue;
    rows++;
    const Op& row = ops()[static_cast<size_t>(id)];
    for (Dtype t : {Dtype::Float32, Dtype::Float64})
      for (int kind = 0; kind < 4; kind++) {
        Attrs attrs;
        for (int k : row.attributes) {
          const Param& p = row.params[static_cast<size_t>(k)];
          attrs.add(p.has_default ? p.fallback : Attr::real(0.75));
        }
        Few<Tensor> cpu, gpu;
        cpu.resize(static_cast<size_t>(info.arity));
        gpu.resize(static_cast<size_t>(info.arity));
        for (size_t i = 0; i < cpu.size(); i++) {
          const Tensor base = drawn({33, 31}, t, true);
          const int own = i == 0 ? kind : kind == 3 ? 0 : kind;
          cpu[i] = view(base, own);
          gpu[i] = view(on_gpu(base), own);
        }
        Tensor want[kMaxOutputs], got[kMaxOutputs];
        dispatch::call(row, {cpu.data(), cpu.size()}, attrs, want);
        dispatch::call(row, {gpu.data(), gpu.size()}, attrs, got);
        check_same(got[0], want[0], row.name + " " + name(t) + " view " + std::to_string(kind));
      }
  }
  CHECK(rows > 250);
}

static void numbers_and_broadcasting() {
  const Tensor x = drawn({5, 33}, Dtype::Float32), gx = on_gpu(x);
  Tensor two = scalar(2.5, Dtype::Float32);
  two.number = true;
  check_same(dispatch::call1(named("mul"), {gx, two}), dispatch::call1(named("mul"), {x, two}), "x * 2.5");
  check_same(dispatch::call1(named("sub"), {two, gx}), dispatch::call1(named("sub"), {two, x}), "2.5 - x");
  const Tensor row = drawn({33}, Dtype::Float32), column = drawn({5, 1}, Dtype::Float64);
  check_same(dispatch::call1(named("add"), {gx, on_gpu(row)}), dispatch::call1(named("add"), {x, row}), "x + row");
  check_same(dispatch::call1(named("div"), {gx, on_gpu(column)}), dispatch::call1(named("div"), {x, column}),
             "x / column");
  const Tensor less = dispatch::call1(named("lt"), {x, row});
  check_same(dispatch::call1(named("where"), {on_gpu(less), gx, two}), dispatch::call1(named("where"), {less, x, two}),
             "where");
  CHECK_THROWS(dispatch::call1(named("add"), {gx, row}), Error, "tensors are on cuda:0 and cpu, expected one device");
  if (several())
    CHECK_THROWS(dispatch::call1(named("add"), {gx, dispatch::moved(row, Place{Device::Cuda, 1})}), Error,
                 "tensors are on cuda:0 and cuda:1, expected one device");
}

static void casts_and_copies() {
  const Dtype all[] = {Dtype::Float32, Dtype::Float64, Dtype::Int64,  Dtype::Int32,  Dtype::UInt8,   Dtype::Bool,
                       Dtype::Int8,    Dtype::Int16,   Dtype::UInt16, Dtype::UInt32, Dtype::Float16, Dtype::BFloat16};
  const Tensor wild = drawn({17, 9}, Dtype::Float64, true);
  auto cast = [](const Tensor& t, Dtype to) {
    Attrs a;
    a.add(Attr::type(to));
    return dispatch::call1(named("cast"), {t}, a);
  };
  for (Dtype from : all)
    for (Dtype to : all) {
      const Tensor x = cast(wild, from);
      check_same(cast(view(on_gpu(x), 1), to), cast(view(x, 1), to), std::string(name(from)) + " to " + name(to));
    }
  const Tensor x = drawn({6, 10}, Dtype::Float32), into = drawn({10, 6}, Dtype::Float32);
  const Tensor there = on_gpu(into), view_there = view(there, 1), view_here = view(into, 1);
  dispatch::call1(named("copy_"), {view_there, on_gpu(x)});
  dispatch::call1(named("copy_"), {view_here, x});
  check_same(there, into, "copy_ into a transposed view");
  Attrs value;
  value.add(Attr::real(-0.0));
  dispatch::call1(named("fill_"), {slice("view", there, 1, 0, 3, 2)}, value);
  dispatch::call1(named("fill_"), {slice("view", into, 1, 0, 3, 2)}, value);
  check_same(there, into, "fill_ of a strided view");
  if (several()) check_same(dispatch::moved(there, Place{Device::Cuda, 1}), into, "from one device to the other");
}

static void sums() {
  for (Dtype t : {Dtype::Float32, Dtype::Float64})
    for (const Dims& shape :
         {Dims{}, {1}, {31}, {1025}, {33, 1023}, {1023, 33}, {4100, 3}, {3, 70001}, {2, 3, 65, 5}, {0, 4}, {4, 0}})
      for (unsigned axes = 0; axes < 1u << shape.size(); axes++)
        for (int kind = 0; kind < (shape.size() > 1 && shape[0] > 0 && shape.back() > 0 ? 4 : 1); kind++) {
          const Tensor base = drawn(shape, t);
          if (base.numel() && kind == 0) {  // -0 alone sums to -0 nowhere, but +0 may not creep in
            if (t == Dtype::Float32) base.data<float>()[0] = -0.0f;
          }
          const Tensor x = view(base, kind), gx = view(on_gpu(base), kind);
          Dims list;
          for (int d = 0; d < shape.size(); d++)
            if (axes >> d & 1) list.push_back(d);
          Attrs a;
          if (axes) a.add(list);
          for (const char* op : {"sum", "mean"})
            check_same(dispatch::call1(named(op), {gx}, a), dispatch::call1(named(op), {x}, a),
                       std::string(op) + " " + name(t) + " " + shown(x.shape) + " over " + shown(list) + " view " +
                           std::to_string(kind));
        }
}

static void dense_layers() {
  auto attrs = [](const char* activation) {
    Attrs a;
    a.add(Attr::word(intern(activation)));
    return a;
  };
  for (Dtype t : {Dtype::Float32, Dtype::Float64})
    for (int64_t M : {1, 33, 257})
      for (int64_t N : {1, 5, 16, 17, 31, 32, 33, 65})
        for (int64_t K : {0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 100})
          for (int bias = 0; bias < 2; bias++) {
            const Tensor x = drawn({M, K}, t), w = drawn({N, K}, t), b = bias ? drawn({N}, t) : Tensor{};
            const Attrs a = attrs(bias ? (K % 2 ? "tanh" : "relu") : "identity");
            const Tensor gb = bias ? on_gpu(b) : Tensor{};
            check_same(dispatch::call1(named("dense"), {on_gpu(x), on_gpu(w), gb}, a),
                       dispatch::call1(named("dense"), {x, w, b}, a),
                       std::string("dense ") + name(t) + " " + shown({M, N, K}) + " bias " + std::to_string(bias));
          }
  // Strided operands, leading axes, and sums that are -0.
  const Tensor x = drawn({7, 40, 33}, Dtype::Float32), w = drawn({40, 12}, Dtype::Float32);
  const Tensor b = drawn({24}, Dtype::Float32);
  const Tensor xt = permute("view", x, {2, 0, 1}), wt = transpose("view", w, 0, 1), bs = slice("view", b, 0, 0, 12, 2);
  const Tensor gx = on_gpu(x), gw = on_gpu(w), gb = on_gpu(b);
  check_same(
      dispatch::call1(named("dense"),
                      {permute("view", gx, {2, 0, 1}), transpose("view", gw, 0, 1), slice("view", gb, 0, 0, 12, 2)},
                      attrs("gelu")),
      dispatch::call1(named("dense"), {xt, wt, bs}, attrs("gelu")), "dense of views");
  Tensor zeros = empty({3, 7}, Dtype::Float32), ones = drawn({5, 7}, Dtype::Float32),
         minus = empty({5}, Dtype::Float32);
  for (int64_t i = 0; i < zeros.numel(); i++) zeros.data<float>()[i] = -0.0f;
  for (int64_t i = 0; i < ones.numel(); i++) ones.data<float>()[i] = 1.0f;
  for (int64_t i = 0; i < 5; i++) minus.data<float>()[i] = -0.0f;
  check_same(dispatch::call1(named("dense"), {on_gpu(zeros), on_gpu(ones), on_gpu(minus)}, attrs("identity")),
             dispatch::call1(named("dense"), {zeros, ones, minus}, attrs("identity")), "dense that is -0");
}

static void other_products() {
  auto both = [](const char* op, const Tensor& a, const Tensor& ga, const Tensor& b, const Tensor& gb) {
    check_same(dispatch::call1(named(op), {ga, gb}), dispatch::call1(named(op), {a, b}),
               std::string(op) + " " + name(a.dtype) + " " + shown(a.shape) + " " + shown(b.shape));
  };
  for (Dtype t : {Dtype::Float32, Dtype::Float64}) {
    for (int64_t M : {1, 33, 257, 4200})
      for (int64_t N : {1, 16, 33})
        for (int64_t K : {1, 31, 64}) {
          const Tensor g = drawn({M, N}, t), w = drawn({N, K}, t);
          both("dense_grad_input", g, on_gpu(g), w, on_gpu(w));
          const Tensor x = drawn({M, K}, t);
          both("dense_grad_weight", g, on_gpu(g), x, on_gpu(x));
          check_same(dispatch::call1(named("dense_grad_bias"), {on_gpu(g)}),
                     dispatch::call1(named("dense_grad_bias"), {g}),
                     std::string("dense_grad_bias ") + name(t) + " " + shown(g.shape));
        }
    const Dims shapes[][2] = {{{5}, {5}},
                              {{5}, {5, 3}},
                              {{4, 5}, {5}},
                              {{4, 70}, {70, 3}},
                              {{6, 4, 5}, {5, 3}},
                              {{2, 1, 4, 5}, {3, 5, 40}},
                              {{3, 4, 5}, {3, 5, 6}},
                              {{0, 5}, {5, 3}},
                              {{3, 0}, {0, 4}},
                              {{0, 4, 5}, {5, 3}}};
    for (const auto& s : shapes) {
      const Tensor a = drawn(s[0], t), b = drawn(s[1], t);
      both("matmul", a, on_gpu(a), b, on_gpu(b));
    }
    for (int64_t M :
         {0, 63, 64, 65, 130, 1000, 20000}) {  // one shard and many, pieces of several, of 64 rows and of 256
      const Tensor g = drawn({2, M, 5}, t), x = drawn({M, 2, 3}, t);
      both("dense_grad_weight", g, on_gpu(g), transpose("view", x, 0, 1), transpose("view", on_gpu(x), 0, 1));
    }
    const Tensor a = drawn({9, 4, 6}, t), b = drawn({5, 9}, t), ga = on_gpu(a), gb = on_gpu(b);
    both("matmul", transpose("view", a, 0, 2), transpose("view", ga, 0, 2), transpose("view", b, 0, 1),
         transpose("view", gb, 0, 1));
  }
}

// So many tiles that a block sums several shards, with the stack of the tree in its threads: eight, in the last seven.
static void gradients_of_wide_weights() {
  const Tensor g = drawn({4000, 330}, Dtype::Float32), x = drawn({4000, 340}, Dtype::Float32);
  check_same(dispatch::call1(named("dense_grad_weight"), {on_gpu(g), on_gpu(x)}),
             dispatch::call1(named("dense_grad_weight"), {g, x}), "dense_grad_weight of 36 tiles");
}

static void memory_and_errors() {
  const MemoryStats before = memory_stats(Device::Cuda);
  {
    const Tensor x = on_gpu(drawn({1000, 1000}, Dtype::Float32));
    CHECK(memory_stats(Device::Cuda).in_use >= before.in_use + 4'000'000);
    CHECK_THROWS(empty({int64_t{1} << 40}, Dtype::Float64, Device::Cuda), Error,
                 "there is no room for more; free tensors");
    check_same(dispatch::call1(named("exp"), {x}), dispatch::call1(named("exp"), {on_cpu(x)}),
               "exp after memory ran out");
  }
  CHECK_EQ(memory_stats(Device::Cuda).in_use, before.in_use);
  empty_cache(Device::Cuda);
  CHECK_EQ(memory_stats(Device::Cuda).cached, 0u);
}

static void a_gpu_without_code() {
  CHECK_EQ(
      cuda::device::without_code("750,800,1200", 8, 9),
      std::string("; the module was compiled for compute capability 7.5, 8.0, 12.0, this GPU has 8.9; install trigrad "
                  "again for it: pip install . -Ccmake.define.TRIGRAD_CUDA=ON "
                  "-Ccmake.define.CMAKE_CUDA_ARCHITECTURES=89"));
  CHECK_EQ(
      cuda::device::without_code("900", 6, 1),
      std::string("; the module was compiled for compute capability 9.0, this GPU has 6.1, and GPUs before 7.5 are not "
                  "supported; use 'cpu'"));
}

int main(int argc, char** argv) {
  cuda::require("test", 0);  // loads the module that TRIGRAD_CUDA_MODULE names
  return test::run(argc, argv,
                   {CASE(module_is_there), CASE(pointwise), CASE(numbers_and_broadcasting), CASE(casts_and_copies),
                    CASE(sums), CASE(dense_layers), CASE(other_products), CASE(gradients_of_wide_weights),
                    CASE(memory_and_errors), CASE(a_gpu_without_code)});
}
