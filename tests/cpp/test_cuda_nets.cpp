// Nets in one kernel, on the emulated device, against the CPU's plan of the same calls: the same bits. Which calls are a net, and
// which are not.
#include <cmath>
#include <map>
#include <string>

#include "check.h"
#include "cuda/backend.h"
#include "math/pointwise_reads.h"
#include "ops/backends.h"
#include "plan/nets.h"
#include "plan/passes.h"
#include "programs.h"

using namespace tg;
using namespace tg::test;

namespace {

uint64_t state = 1;
Tensor random(const Dims& shape, float scale = 1) {
  Tensor t = empty(shape, Dtype::Float32);
  for (int64_t i = 0; i < t.numel(); i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    t.data<float>()[i] = (static_cast<float>(state >> 40) / 0x1p23f - 1) * scale;
  }
  return t;
}

// A net and its loss, as Python's tape would call them.
struct Layers {
  std::vector<int64_t> widths;
  std::string activation = "relu", last = "identity";
  std::string loss = "classes";  // none: forward alone
  std::string reduction = "mean";
  double smoothing = 0;
  bool bias = true;
  std::vector<Attr> numbers{};  // of the activation
  Tensor x{}, y{};
  std::vector<Tensor> w{}, b{};

  void draw(int64_t rows) {
    x = random({rows, widths[0]}, 2);
    const int64_t out = widths.back();
    if (loss == "classes") {
      y = labels(rows, out);
      if (rows > 2) y.data<int64_t>()[rows / 2] = -100;
    } else {
      y = random({rows, out});
      for (int64_t i = 0; i < y.numel() && loss == "binary"; i++) y.data<float>()[i] = std::fabs(y.data<float>()[i]);
    }
    for (size_t k = 0; k + 1 < widths.size(); k++) {
      w.push_back(random({widths[k + 1], widths[k]}, 1.5f / std::sqrt(static_cast<float>(widths[k]))));
      b.push_back(bias ? random({widths[k + 1]}) : Tensor{});
    }
  }
  Attrs given(const Op& op) const {
    Attrs attrs;
    for (const Attr& a : numbers) attrs.add(a);
    for (size_t k = numbers.size(); k < op.attributes.size(); k++)
      attrs.add(op.attribute(static_cast<int>(k)).fallback);
    return attrs;
  }
  Tensor pointwise(const std::string& name, std::vector<Tensor> in) const {
    const Op& op = named(name.c_str());
    Tensor out;
    dispatch::call(op, in, given(op), std::span<Tensor>(&out, 1));
    return out;
  }
  static Tensor seed() {
    Tensor one = empty({}, Dtype::Float32);
    return call("fill_", {one}, {Attr::real(1)})[0];
  }

  std::vector<Tensor> step() const {
    std::vector<Tensor> in{x}, z, y_of;
    for (size_t k = 0; k < w.size(); k++) {
      const std::string& f = k + 1 == w.size() ? last : activation;
      z.push_back(call("dense", {in.back(), w[k], b[k]})[0]);
      y_of.push_back(f == "identity" ? z.back() : pointwise(f, {z.back()}));
      in.push_back(y_of.back());
    }
    const Tensor& p = y_of.back();
    if (loss == "none") return {p};
    Tensor value, g;
    const Attr how = Attr::word(reduction == "mean" ? "mean" : "sum");
    if (loss == "classes") {
      const auto l = call("native_cross_entropy", {p, y, {}}, {Attr::integer(-100), how, Attr::real(smoothing)});
      g = call("cross_entropy_backward", {seed(), p, y, l[1], l[2], {}},
               {Attr::integer(-100), how, Attr::real(smoothing)})[0];
      value = l[0];
    } else if (loss == "binary") {
      value = call("binary_cross_entropy_with_logits", {p, y, {}, {}}, {how})[0];
      g = call("binary_cross_entropy_with_logits_backward", {seed(), p, y, {}, {}}, {how})[0];
    } else {
      const Tensor d = call("sub", {p, y})[0];
      value = call(reduction.c_str(), {call("square", {d})[0]})[0];
      Tensor s = seed();
      if (reduction == "mean") s = call("div", {s, scalar(static_cast<double>(p.numel()), Dtype::Float32)})[0];
      s = expand("expand", s, p.shape);
      g = call("square_backward", {s, d, s})[0];
    }
    std::vector<Tensor> results{value};
    for (size_t k = w.size(); k-- > 0;) {
      const std::string& f = k + 1 == w.size() ? last : activation;
      if (f != "identity") {
        const Op& backward = named((f + "_backward").c_str());
        const PointwiseReads& reads = kPointwiseReads[backward.id];
        const Tensor& from = f == "relu" ? y_of[k] : reads.input ? z[k] : g;
        g = pointwise(f + "_backward", {g, from, reads.output ? y_of[k] : g});
      }
      results.push_back(call("dense_grad_weight", {g, in[k]})[0]);
      if (bias) results.push_back(call("dense_grad_bias", {g})[0]);
      if (k) g = call("dense_grad_input", {g, w[k]})[0];
    }
    return results;
  }
};

const Backend& gpu() { return *cuda_backend(); }

Tensor shaped(const plan::View& v) {
  Tensor t;
  t.shape = v.shape, t.strides = v.strides, t.dtype = v.dtype, t.offset = v.buffer;
  return t;
}
std::vector<Call> calls_of(std::span<const plan::Instruction> list, std::vector<std::vector<Tensor>>& operands,
                           const std::function<Tensor(const plan::View&)>& tensor) {
  std::vector<Call> calls;
  operands.reserve(list.size());
  for (const plan::Instruction& i : list) {
    std::vector<Tensor>& all = operands.emplace_back();
    for (const std::vector<plan::View>* views : {&i.in, &i.out})
      for (const plan::View& v : *views) all.push_back(v.defined() ? tensor(v) : Tensor{});
    const std::span<Tensor> s(all);
    calls.push_back({*i.op, s.first(i.in.size()), i.attrs, s.subspan(i.in.size())});
  }
  return calls;
}
void find(plan::Program& p) {
  plan::find_nets(p, [](Together how, std::span<const plan::Instruction> list) {
    std::vector<std::vector<Tensor>> operands;
    return gpu().fits(0, how, calls_of(list, operands, shaped));
  });
}

using Results = std::vector<std::vector<float>>;

Results run_on_cpu(const plan::Program& p, const Layers& net) {
  plan::Executor executor(p, *dispatch::backend(Device::Cpu));
  give_memory(executor, {net.x, net.y});
  executor.run();
  Results results;
  for (const plan::View& v : p.outputs) {
    const Tensor t = executor.tensor(v);
    results.emplace_back(t.data<float>(), t.data<float>() + t.numel());
  }
  return results;
}

// The one net that the program is.
Results run_on_gpu(plan::Program p, const Layers& net) {
  find(p);
  const std::vector<bool> unseen = plan::unseen(p);
  std::map<int, StorageRef> memory;
  auto on_device = [&](const plan::View& v) {
    Tensor t = shaped(v);
    if (unseen[static_cast<size_t>(v.buffer)]) return t;
    t.offset = v.offset;
    StorageRef& s = memory[v.buffer];
    if (!s) {
      const plan::Buffer& b = p.buffers[static_cast<size_t>(v.buffer)];
      StorageRef from = b.storage;
      for (size_t k = 0; k < p.inputs.size(); k++)
        if (p.inputs[k].buffer == v.buffer) from = (k ? net.y : net.x).storage;
      s = StorageRef(new Storage(from ? from->bytes() : b.bytes, Place{Device::Cuda, 0}));
      if (from) gpu().to_device(0, s->data(), from->data(), from->bytes());
    }
    t.storage = s;
    return t;
  };
  std::vector<std::vector<Tensor>> operands;
  gpu().together[static_cast<int>(p.instructions[0].together)](calls_of(p.instructions, operands, on_device));
  Results results;
  for (const plan::View& v : p.outputs) {
    results.emplace_back(static_cast<size_t>(v.numel()));
    gpu().to_host(0, results.back().data(), memory[v.buffer]->data(), results.back().size() * sizeof(float));
  }
  return results;
}

void compare(const Layers& net, const std::string& what, bool is_net = true) {
  plan::Program p = recorded({net.x, net.y}, [&] { return net.step(); });
  plan::optimise(p);
  plan::Program found = p;
  find(found);
  const plan::Instruction& first = found.instructions[0];
  const Together wanted = net.loss == "none" ? Together::net : Together::training;
  const bool whole = first.together == wanted && static_cast<size_t>(first.calls) == found.instructions.size();
  record(whole == is_net, __FILE__, __LINE__, what + ", one net:\n" + found.text());
  if (!whole) return;
  const Results want = run_on_cpu(p, net), got = run_on_gpu(p, net);
  for (size_t k = 0; k < want.size(); k++) {
    int64_t wrong = 0;
    for (size_t i = 0; i < want[k].size(); i++) wrong += !same_bits(got[k][i], want[k][i]);
    record(wrong == 0, __FILE__, __LINE__,
           what + " " + to_string(p.outputs[k].shape) + ": " + std::to_string(wrong) + " of " +
               std::to_string(want[k].size()) + " differ");
  }
}
void compare(Layers net, int64_t rows) {
  net.draw(rows);
  std::ostringstream what;
  what << net.loss << ' ' << net.activation << ' ' << rows << ':';
  for (const int64_t n : net.widths) what << ' ' << n;
  compare(net, what.str());
}

}  // namespace

static void widths() {
  for (const int64_t n : {1, 5, 16, 31, 32, 33, 64, 65, 127, 128}) {
    compare({.widths = {n, n, n}, .loss = "none"}, 33);
    compare({.widths = {n, n, 5}}, 33);
    compare({.widths = {7, n, n}}, 65);
  }
}
static void depths() {
  for (size_t depth = 1; depth <= 6; depth++) {
    std::vector<int64_t> n(depth + 1, 20);
    compare({.widths = n, .activation = "tanh"}, 65);
    if (depth > 1) compare({.widths = n, .activation = "gelu", .loss = "none"}, 129);
  }
}
static void batches() {
  for (const int64_t rows : {1, 31, 33, 64, 1000, 1025, 4096, 5000, 40000}) {
    compare({.widths = {3, 9, 2}}, rows);
    compare({.widths = {3, 9, 2}, .loss = "none"}, rows);
    compare({.widths = {2, 5, 1}, .loss = "binary"}, rows);
    compare({.widths = {2, 5, 3}, .loss = "squares"}, rows);
  }
}
static void activations() {
  for (const char* name :
       {"tanh", "sigmoid", "relu", "leaky_relu", "elu", "selu", "silu", "gelu", "gelu_tanh", "mish", "celu", "softsign",
        "logsigmoid", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink", "softplus"}) {
    compare({.widths = {6, 12, 11, 3}, .activation = name, .last = name, .loss = "squares"}, 70);
    compare({.widths = {6, 12, 11, 3}, .activation = name}, 70);
    compare({.widths = {6, 12, 11, 3}, .activation = name, .loss = "none"}, 70);
  }
  compare({.widths = {6, 12, 3}, .activation = "threshold", .numbers = {Attr::real(0.25), Attr::real(-1)}}, 70);
  compare({.widths = {6, 12, 3}, .activation = "softplus", .numbers = {Attr::real(2), Attr::real(1)}}, 70);
}
static void losses() {
  for (const char* loss : {"classes", "binary", "squares"})
    for (const char* reduction : {"mean", "sum"})
      compare({.widths = {4, 8, 40}, .activation = "silu", .loss = loss, .reduction = reduction}, 100);
  compare({.widths = {4, 8, 40}, .smoothing = 0.1}, 100);
  compare({.widths = {4, 8, 7}, .bias = false}, 100);
  compare({.widths = {4, 8, 7}, .last = "relu", .loss = "binary"}, 100);
}
static void numbers_of_all_kinds() {
  for (const char* loss : {"classes", "squares", "none"}) {
    Layers net{.widths = {6, 18, 4}, .activation = "relu", .loss = loss};
    net.draw(67);
    const float odd[] = {0.0f, -0.0f, HUGE_VALF, -HUGE_VALF, NAN, 1e-40f, -1e-30f, 3e38f};
    for (int64_t i = 0; i < net.x.numel(); i += 37) net.x.data<float>()[i] = odd[i / 37 % 8];
    for (int64_t i = 0; i < net.w[0].numel(); i += 5) net.w[0].data<float>()[i] = i % 2 ? 0.0f : -0.0f;
    for (int64_t i = 0; i < net.b[0].numel(); i += 3) net.b[0].data<float>()[i] = -0.0f;
    compare(net, std::string("odd numbers, ") + loss);
  }
}
static void strided() {
  Layers net{.widths = {6, 10, 3}};
  net.draw(50);
  net.x = slice("slice", random({6, 100}), 1, 0, 50, 2);
  net.x = transpose("transpose", net.x, 0, 1);
  net.w[1] = transpose("transpose", random({10, 3}), 0, 1);
  compare(net, "strided");
}

static void what_is_no_net() {
  auto refused = [](Layers net) {
    net.draw(20);
    compare(net, "", false);
  };
  refused({.widths = {4, 129, 3}});
  refused({.widths = {4, 8, 3}, .activation = "sin"});
  refused({.widths = {128, 128, 128, 128, 128, 128}});  // 256 KiB of weights
  Layers net{.widths = {4, 8, 3}};
  net.draw(20);
  // Hidden layers that somebody sees, and another loss.
  auto nets = [](const plan::Program& p) {
    size_t n = 0;
    for (const plan::Instruction& i : p.instructions)
      n += i.together == Together::net || i.together == Together::training;
    return n;
  };
  plan::Program p = recorded({net.x}, [&] {
    const Tensor h = call("relu", {call("dense", {net.x, net.w[0], net.b[0]})[0]})[0];
    return std::vector<Tensor>{call("dense", {h, net.w[1], net.b[1]})[0], h};
  });
  plan::optimise(p);
  find(p);
  CHECK_EQ(nets(p), 0u);
  plan::Program q = recorded({net.x}, [&] {
    const Tensor h = call("relu", {call("dense", {net.x, net.w[0], net.b[0]})[0]})[0];
    return call("softmax", {call("dense", {h, net.w[1], net.b[1]})[0]}, {Attr::integer(1)});
  });
  plan::optimise(q);
  find(q);
  CHECK_EQ(nets(q), 1u);
  CHECK_EQ(q.instructions[0].calls, 2);
  CHECK_EQ(std::ranges::count(plan::unseen(q), true), 1);
}

// Which nets fit is asked of the device that they will be on.
static void places() {
  static std::vector<int> asked;
  Backend counting = gpu();
  counting.graphs = nullptr;
  counting.fits = [](int index, Together how, std::span<const Call> calls) {
    asked.push_back(index);
    return gpu().fits(index, how, calls);
  };
  Layers net{.widths = {4, 8, 3}, .loss = "none"};
  net.draw(20);
  plan::Program p = recorded({net.x}, [&] { return net.step(); });
  plan::optimise(p);
  for (const int index : {0, 1}) {
    asked.clear();
    p.place = {Device::Cuda, index};
    const plan::Executor executor(p, counting);
    CHECK(!asked.empty() && std::ranges::count(asked, index) == std::ssize(asked));
  }
}

static void wrong_targets() {
  Layers net{.widths = {4, 8, 3}};
  net.draw(200);
  plan::Program p = recorded({net.x, net.y}, [&] { return net.step(); });
  plan::optimise(p);
  net.y.data<int64_t>()[150] = 3, net.y.data<int64_t>()[77] = -1;
  const char* refusal = "[native_cross_entropy] target[77] is -1, expected a class from 0 to 2";
  CHECK_THROWS(run_on_cpu(p, net), Error, refusal);
  CHECK_THROWS(run_on_gpu(p, net), Error, refusal);
}

int main(int argc, char** argv) {
  cuda::require("test", 0);
  return test::run(
      argc, argv,
      {CASE(widths), CASE(depths), CASE(batches), CASE(activations), CASE(losses), CASE(numbers_of_all_kinds),
       CASE(strided), CASE(what_is_no_net), CASE(places), CASE(wrong_targets)});
}
