// Products on the emulated device against the CPU's kernels: every shape of tile, calls that are made together, operands of 16 bits, and
// in fast mode the stated bound.
#include <cmath>
#include <vector>

#include "check.h"
#include "cuda/backend.h"
#include "ops/backends.h"
#include "ops/dispatch.h"
#include "ops/table.h"

using namespace tg;

namespace {

const Op& named(const std::string& name) { return *find_op(name.c_str()); }

uint64_t state = 7;
double draw() {  // from -1 to 1
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<double>(state >> 33) / 0x1p30 - 1;
}
Tensor drawn(const Dims& shape, Dtype dtype = Dtype::Float32) {
  Tensor t = empty(shape, dtype);
  for (int64_t i = 0; i < t.numel(); i++) {
    if (dtype == Dtype::Float32) t.data<float>()[i] = static_cast<float>(draw());
    else t.data<double>()[i] = draw();
  }
  return t;
}
Tensor cast(const Tensor& t, Dtype to) {
  Attrs a;
  a.add(Attr::type(to));
  return dispatch::call1(named("cast"), {t}, a);
}
Tensor on_gpu(const Tensor& t) { return t.defined() ? dispatch::moved(t, Device::Cuda) : t; }
Tensor on_cpu(const Tensor& t) { return dispatch::moved(t, {}); }
Attrs activation(const char* name) {
  Attrs a;
  a.add(Attr::word(intern(name)));
  return a;
}

void check_same(const Tensor& gpu, const Tensor& cpu, const std::string& what) {
  CHECK(gpu.shape == cpu.shape);
  CHECK_EQ(gpu.dtype, cpu.dtype);
  const Tensor got = cast(on_cpu(gpu), Dtype::Float64), want = cast(cpu, Dtype::Float64);
  int64_t wrong = 0, first = -1;
  for (int64_t i = 0; i < want.numel(); i++)
    if (!test::same_bits(got.data<double>()[i], want.data<double>()[i]) && wrong++ == 0) first = i;
  test::record(wrong == 0, __FILE__, __LINE__,
               what + ": " + std::to_string(wrong) + " of " + std::to_string(want.numel()) + " differ, first " +
                   std::to_string(first));
}

struct Product {
  int64_t M, N, K;
  std::string text() const { return to_string(Dims{M, N, K}); }
};
// One for each shape of tile on a device of four multiprocessors, with edges of all kinds.
const Product kProducts[] = {{600, 256, 33}, {513, 132, 20}, {300, 50, 70}, {70, 40, 12},  {600, 30, 40},
                             {33, 31, 17},   {600, 9, 40},   {31, 16, 33},  {1025, 1, 64}, {1, 300, 31}};

}  // namespace

static void all_tiles() {
  for (const Product& p : kProducts) {
    const Tensor x = drawn({p.M, p.K}), w = drawn({p.N, p.K}), b = drawn({p.N}), g = drawn({p.M, p.N});
    const Tensor gx = on_gpu(x), gw = on_gpu(w), gg = on_gpu(g);
    check_same(dispatch::call1(named("dense"), {gx, gw, on_gpu(b)}, activation("relu")),
               dispatch::call1(named("dense"), {x, w, b}, activation("relu")), "dense " + p.text());
    check_same(dispatch::call1(named("dense_grad_input"), {gg, gw}), dispatch::call1(named("dense_grad_input"), {g, w}),
               "dense_grad_input " + p.text());
    check_same(dispatch::call1(named("dense_grad_weight"), {gg, gx}),
               dispatch::call1(named("dense_grad_weight"), {g, x}), "dense_grad_weight " + p.text());
    for (int kind = 0; kind < 4; kind++) {  // each operand by its rows or by its columns
      auto side = [&](const Tensor& t, bool turned) { return turned ? transpose("view", t, 0, 1) : t; };
      const Tensor a = kind & 1 ? drawn({p.K, p.M}) : x, c = kind & 2 ? w : drawn({p.K, p.N});
      check_same(dispatch::call1(named("matmul"), {side(on_gpu(a), kind & 1), side(on_gpu(c), kind & 2)}),
                 dispatch::call1(named("matmul"), {side(a, kind & 1), side(c, kind & 2)}),
                 "matmul " + p.text() + " turned " + std::to_string(kind));
    }
  }
}

// Rows by pieces of many shards, the tree's stack in the memory of blocks and of the device.
static void deep_trees() {
  for (int64_t M : {0, 1, 64, 65, 700, 9000}) {
    const Tensor g = drawn({M, 40}), x = drawn({M, 33});
    check_same(dispatch::call1(named("dense_grad_weight"), {on_gpu(g), on_gpu(x)}),
               dispatch::call1(named("dense_grad_weight"), {g, x}), "dense_grad_weight of rows " + std::to_string(M));
  }
  const Tensor g = drawn({2000, 330}), x = drawn({2000, 300});
  check_same(dispatch::call1(named("dense_grad_weight"), {on_gpu(g), on_gpu(x)}),
             dispatch::call1(named("dense_grad_weight"), {g, x}), "dense_grad_weight of nine tiles");
}

// Every row that a layer may end with, those that the kernels end with and those that follow.
static void activations() {
  const Tensor x = drawn({9, 12}), w = drawn({7, 12}), b = drawn({7});
  x.data<float>()[5] = NAN, x.data<float>()[15] = HUGE_VALF, b.data<float>()[2] = -0.0f;
  int rows = 0;
  for (int id = 0; id < kPointwiseOps; id++) {
    const PointwiseInfo& info = kPointwiseInfo[id];
    if (info.arity != 1 || info.to_bool || !info.differentiable) continue;
    Attrs a = activation(info.name);
    for (int k = 0; k < static_cast<int>(ops()[static_cast<size_t>(id)].attributes.size()); k++)
      a.add(Attr::real(k ? 2.5 : 0.75));
    check_same(dispatch::call1(named("dense"), {on_gpu(x), on_gpu(w), on_gpu(b)}, a),
               dispatch::call1(named("dense"), {x, w, b}, a), std::string("dense with ") + info.name);
    rows++;
  }
  CHECK(rows > 40);
}

// What plans make in one go.
static void together() {
  const Backend& gpu = *dispatch::backend(Device::Cuda);
  for (const Product& p : {Product{130, 33, 70}, {700, 5, 16}, {65, 70, 3}, {64, 64, 64}}) {
    const Tensor g = drawn({p.M, p.N}), x = drawn({p.M, p.K}), w = drawn({p.N, p.K}), in = drawn({p.M, p.K});
    const Tensor gg = on_gpu(g), gx = on_gpu(x), gw = on_gpu(w), gin = on_gpu(in);
    const Attrs none{};
    {
      const Tensor in_dw[] = {gg, gx}, in_db[] = {gg};
      Tensor dw[] = {empty({p.N, p.K}, Dtype::Float32, Device::Cuda)},
             db[] = {empty({p.N}, Dtype::Float32, Device::Cuda)};
      const Call calls[] = {{named("dense_grad_weight"), in_dw, none, dw}, {named("dense_grad_bias"), in_db, none, db}};
      gpu.together[static_cast<int>(Together::parameter_gradients)]({calls, 2});
      check_same(dw[0], dispatch::call1(named("dense_grad_weight"), {g, x}), "both gradients, weight " + p.text());
      check_same(db[0], dispatch::call1(named("dense_grad_bias"), {g}), "both gradients, bias " + p.text());
    }
    const Tensor dx = dispatch::call1(named("dense_grad_input"), {g, w});
    for (const char* name : {"relu", "tanh", "sigmoid", "gelu", "elu", "softplus", "sin"}) {
      const Op& forward = named(name);
      const Op& backward = named(std::string(name) + "_backward");
      Attrs a;
      for (int k : forward.attributes) a.add(forward.params[static_cast<size_t>(k)].fallback);
      const Tensor out = dispatch::call1(forward, {in}, a), gout = on_gpu(out);
      const Tensor in_product[] = {gg, gw};
      Tensor made[] = {empty({p.M, p.K}, Dtype::Float32, Device::Cuda)};
      Tensor slope[] = {empty({p.M, p.K}, Dtype::Float32, Device::Cuda)};
      const Tensor in_slope[] = {made[0], gin, gout};
      const Call calls[] = {{named("dense_grad_input"), in_product, none, made}, {backward, in_slope, a, slope}};
      gpu.together[static_cast<int>(Together::input_gradient)]({calls, 2});
      check_same(slope[0], dispatch::call1(backward, {dx, in, out}, a), std::string("input gradient through ") + name);
    }
  }
}

// Sums in float32 of operands of 16 bits, rounded at the end; the CPU computes the same from what it has widened itself.
static void halves() {
  for (Dtype t : {Dtype::Float16, Dtype::BFloat16})
    for (const Product& p : {Product{33, 20, 31}, {130, 64, 32}, {300, 24, 16}, {600, 9, 40}}) {
      auto half = [&](const Tensor& x) { return cast(x, t); };
      auto wide = [&](const Tensor& x) { return cast(cast(x, t), Dtype::Float32); };
      const Tensor x = drawn({p.M, p.K}), w = drawn({p.N, p.K}), b = drawn({p.N}), g = drawn({p.M, p.N});
      const Tensor gx = on_gpu(half(x)), gw = on_gpu(half(w)), gb = on_gpu(half(b)), gg = on_gpu(half(g));
      for (const char* name : {"identity", "tanh", "exp"})
        check_same(dispatch::call1(named("dense"), {gx, gw, gb}, activation(name)),
                   half(dispatch::call1(named("dense"), {wide(x), wide(w), wide(b)}, activation(name))),
                   std::string("dense of halves, ") + name + " " + p.text());
      check_same(dispatch::call1(named("dense_grad_input"), {gg, gw}),
                 half(dispatch::call1(named("dense_grad_input"), {wide(g), wide(w)})), "dx of halves " + p.text());
      check_same(dispatch::call1(named("dense_grad_weight"), {gg, gx}),
                 half(dispatch::call1(named("dense_grad_weight"), {wide(g), wide(x)})), "dw of halves " + p.text());
      check_same(dispatch::call1(named("dense_grad_bias"), {gg}),
                 half(dispatch::call1(named("dense_grad_bias"), {wide(g)})), "db of halves " + p.text());
      check_same(dispatch::call1(named("matmul"), {gx, transpose("view", gw, 0, 1)}),
                 half(dispatch::call1(named("matmul"), {wide(x), transpose("view", wide(w), 0, 1)})),
                 "matmul of halves " + p.text());
    }
  const Tensor x = cast(drawn({2, 3}), Dtype::Float16), w = cast(drawn({2, 3}), Dtype::BFloat16);
  CHECK_THROWS(dispatch::call1(named("dense"), {x, x, Tensor{}}, activation("identity")), Error,
               "input 0 is float16, expected float32 or float64; cast it with .float()");
  CHECK_THROWS(dispatch::call1(named("dense"), {on_gpu(x), on_gpu(w), Tensor{}}, activation("identity")), Error,
               "inputs 0 and 1 are float16 and bfloat16, expected one dtype");
}

namespace {

// |got - exact| against the bound of docs/arithmetic.md: u is `rounded`, v is `stored`.
void check_bound(const Tensor& gpu, const Tensor& a, const Tensor& b, const Tensor& bias, double rounded, double stored,
                 const std::string& what) {
  const Tensor got = cast(on_cpu(gpu), Dtype::Float64);
  const Tensor x = cast(a, Dtype::Float64), w = cast(b, Dtype::Float64);
  const int64_t M = x.shape[0], K = x.shape[1], N = w.shape[0];
  double worst = 0;
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      double exact = bias.defined() ? static_cast<double>(bias.data<float>()[n]) : 0, sizes = std::fabs(exact);
      for (int64_t k = 0; k < K; k++) {
        const double term = x.data<double>()[m * K + k] * w.data<double>()[n * K + k];
        exact += term, sizes += std::fabs(term);
      }
      const double each = 2 * rounded + rounded * rounded, sums = static_cast<double>(K + 1) * 0x1p-22 * (1 + each);
      const double result = got.data<double>()[m * N + n];
      worst = std::max(worst, std::fabs(result - exact) / ((each + sums) * sizes + stored * std::fabs(result)));
    }
  test::record(worst > 0 && worst <= 1, __FILE__, __LINE__, what + ": " + std::to_string(worst) + " of the bound");
}

}  // namespace

static void fast_mode_keeps_its_bound() {
  for (const Product& p : {Product{70, 64, 40}, {300, 136, 33}, {33, 9, 100}, {1, 1, 7}, {600, 256, 32}}) {
    const Tensor x = drawn({p.M, p.K}), w = drawn({p.N, p.K}), b = drawn({p.N}), g = drawn({p.M, p.N});
    auto turned = [](const Tensor& t) {
      return dispatch::call1(named("copy_"), {empty({t.shape[1], t.shape[0]}, t.dtype), transpose("view", t, 0, 1)});
    };
    const Tensor none;
    auto all = [&](Dtype t, double rounded, double stored) {
      const std::string what = std::string(name(t)) + " " + p.text();
      auto given = [&](const Tensor& v) { return on_gpu(cast(v, t)); };
      auto held = [&](const Tensor& v) { return cast(cast(v, t), Dtype::Float32); };
      const Tensor y = dispatch::call1(named("dense"), {given(x), given(w), given(b)}, activation("identity"));
      CHECK_EQ(y.dtype, t);
      check_bound(y, held(x), held(w), held(b), rounded, stored, "dense in " + what);
      check_same(y, on_cpu(dispatch::call1(named("dense"), {given(x), given(w), given(b)}, activation("identity"))),
                 "dense again in " + what);
      check_bound(dispatch::call1(named("dense_grad_input"), {given(g), given(w)}), held(g), held(turned(w)), none,
                  rounded, stored, "dx in " + what);
      check_bound(dispatch::call1(named("dense_grad_weight"), {given(g), given(x)}), held(turned(g)), held(turned(x)),
                  none, rounded, stored, "dw in " + what);
      check_bound(dispatch::call1(named("matmul"), {given(x), given(turned(w))}), held(x), held(w), none, rounded,
                  stored, "matmul in " + what);
    };
    {
      const dispatch::WithPrecision fast(kTf32);
      all(Dtype::Float32, 0x1p-11, 0);
    }
    const dispatch::WithPrecision fast(kHalves);
    all(Dtype::BFloat16, 0, 0x1p-8);
    all(Dtype::Float16, 0, 0x1p-11);
  }
  // Off, all is exact again.
  const Tensor x = drawn({40, 30}), w = drawn({20, 30});
  check_same(dispatch::call1(named("dense"), {on_gpu(x), on_gpu(w), Tensor{}}, activation("identity")),
             dispatch::call1(named("dense"), {x, w, Tensor{}}, activation("identity")), "dense after fast mode");
}

int main(int argc, char** argv) {
  cuda::require("test", 0);  // loads the module that TRIGRAD_CUDA_MODULE names
  return test::run(argc, argv,
                   {CASE(all_tiles), CASE(deep_trees), CASE(activations), CASE(together), CASE(halves),
                    CASE(fast_mode_keeps_its_bound)});
}
