// Plans without Python: what a replay allocates, which calls are left out, shared and done in one go.
#include <vector>

#include "check.h"
#include "core/memory.h"
#include "counting_new.h"
#include "cpu/pool.h"
#include "plan/passes.h"
#include "programs.h"

using namespace tg;
using namespace tg::test;

static void replays_allocate_nothing() {
  set_num_threads(1);
  for (const int64_t rows : {1, 7, 128, 1024})
    for (const bool normalized : {false, true}) {
      if (rows == 1 && normalized) continue;
      Training net(rows, normalized);
      plan::Program program = recorded({net.x, net.y}, [&] { return net.step(); });
      plan::optimise(program);
      plan::Executor executor(std::move(program), *dispatch::backend(Device::Cpu));
      give_memory(executor, {net.x, net.y});
      executor.run();  // from here on kernels have what they work in aside
      const size_t blocks = memory_stats().allocations, heap = allocations;
      for (int i = 0; i < 3; i++) executor.run();
      CHECK_EQ(memory_stats().allocations - blocks, 0u);
      CHECK_EQ(allocations - heap, 0u);
    }
}

static size_t count(const plan::Program& p, const char* name) {
  size_t n = 0;
  for (const plan::Instruction& i : p.instructions) n += i.op && i.op->name == name;
  return n;
}
static size_t count(const plan::Program& p, Together together) {
  size_t n = 0;
  for (const plan::Instruction& i : p.instructions) n += i.together == together;
  return n;
}

static void what_is_computed_twice_is_computed_once() {
  const Tensor x = drawn({5, 3}, 1);
  auto sum = [](const Tensor& a, const Tensor& b) { return call("add", {a, b}); };
  plan::Program same =
      recorded({x}, [&] { return sum(call("exp", {call("neg", {x})[0]})[0], call("exp", {call("neg", {x})[0]})[0]); });
  CHECK_EQ(same.instructions.size(), 5u);
  plan::optimise(same);
  CHECK_EQ(same.instructions.size(), 3u);
  plan::Program other = recorded({x}, [&] {
    return sum(call("leaky_relu", {x}, {Attr::real(0.1)})[0], call("leaky_relu", {x}, {Attr::real(0.2)})[0]);
  });
  plan::optimise(other);
  CHECK_EQ(count(other, "leaky_relu"), 2u);
  const Tensor state = drawn({5, 3}, 2);
  plan::Program changed = recorded({x}, [&] {
    const Tensor before = call("exp", {state})[0];
    call("copy_", {state, x});
    return sum(before, call("exp", {state})[0]);
  });
  plan::optimise(changed);
  CHECK_EQ(count(changed, "exp"), 2u);
  plan::Program random = recorded({x}, [&] {
    auto drop = [&](int64_t step) {
      return call("native_dropout", {x}, {Attr::real(0.5), Attr::integer(1), Attr::integer(0), Attr::integer(step)})[0];
    };
    return sum(drop(1), drop(2));
  });
  plan::optimise(random);
  CHECK_EQ(count(random, "native_dropout"), 2u);
}

static void what_nobody_sees_is_left_out() {
  const Tensor x = drawn({6, 5}, 1), y = labels(6, 5), state = drawn({6, 5}, 2);
  plan::Program p = recorded({x, y}, [&] {
    const Tensor unseen = call("exp", {call("neg", {x})[0]})[0];
    call("mul", {unseen, unseen});
    call("native_cross_entropy", {x, y, {}});  // may refuse a label
    call("copy_", {state, call("abs", {x})[0]});
    return call("square", {x});
  });
  CHECK_EQ(p.instructions.size(), 7u);
  plan::optimise(p);
  CHECK_EQ(p.instructions.size(), 4u);
  CHECK_EQ(count(p, "exp") + count(p, "neg") + count(p, "mul"), 0u);
  CHECK_EQ(count(p, "native_cross_entropy"), 1u);
  CHECK_EQ(count(p, "copy_"), 1u);
}

static void gradients_are_bundled() {
  Training plain(128, false), normalized(128, true);
  plan::Program p = recorded({plain.x, plain.y}, [&] { return plain.step(); });
  CHECK_EQ(count(p, "relu"), 2u);
  plan::optimise(p);
  CHECK_EQ(count(p, "relu"), 0u);  // part of the layers
  CHECK_EQ(count(p, Together::parameter_gradients), 3u);
  CHECK_EQ(count(p, Together::input_gradient), 2u);
  for (size_t k = 0; k < p.instructions.size(); k++) {
    if (p.instructions[k].together == Together::input_gradient)
      CHECK(p.instructions[k].op->name == "dense_grad_input" && p.instructions[k + 1].op->name == "relu_backward");
    if (p.instructions[k].together == Together::parameter_gradients)
      CHECK(p.instructions[k].op->name == "dense_grad_weight" && p.instructions[k + 1].op->name == "dense_grad_bias");
  }
  plan::Program q = recorded({normalized.x, normalized.y}, [&] { return normalized.step(); });
  plan::optimise(q);
  CHECK_EQ(count(q, Together::parameter_gradients), 3u);
  CHECK_EQ(count(q, Together::input_gradient), 0u);  // dropout stands between
}

// What stands between a product and the derivative must not change what the product reads, and nobody else may see it.
static void what_cannot_be_bundled_is_not() {
  const Tensor g = drawn({9, 4}, 1), y = drawn({9, 6}, 2), weight = drawn({4, 6}, 3), other = drawn({4, 6}, 4);
  auto bundles = [&](auto between, bool seen) {
    plan::Program p = recorded({g, y}, [&] {
      const Tensor dx = call("dense_grad_input", {g, weight})[0];
      between();
      const Tensor through = call("tanh_backward", {dx, dx, y})[0];
      return seen ? std::vector<Tensor>{through, dx} : std::vector<Tensor>{through};
    });
    plan::optimise(p);
    return count(p, Together::input_gradient);
  };
  CHECK_EQ(bundles([] {}, false), 1u);
  CHECK_EQ(bundles([&] { call("copy_", {other, weight}); }, false), 1u);
  CHECK_EQ(bundles([&] { call("copy_", {weight, other}); }, false), 0u);
  CHECK_EQ(bundles([] {}, true), 0u);
}

// Gradients of two layers by a program, with and without bundles, against the calls themselves.
template <class T>
static void check_bundled_bits(int64_t rows, int64_t wide, int64_t hidden, const char* activation) {
  const Dtype dtype = sizeof(T) == 4 ? Dtype::Float32 : Dtype::Float64;
  auto values = [&](const Dims& shape, int64_t step) {
    Tensor t = drawn(shape, step);
    return call("cast", {t}, {Attr::type(dtype)})[0];
  };
  const Tensor x = values({rows, wide}, 1), g = values({rows, 3}, 2), first = values({hidden, wide}, 3),
               bias = values({hidden}, 4), second = values({3, hidden}, 5);
  const std::string derivative = std::string(activation) + "_backward";
  auto body = [&] {
    const Tensor z = call("dense", {x, first, bias})[0], y = call(activation, {z})[0];
    const Tensor weight = call("dense_grad_weight", {g, y})[0], shift = call("dense_grad_bias", {g})[0];
    const Tensor through = call(derivative.c_str(), {call("dense_grad_input", {g, second})[0], z, y})[0];
    return std::vector<Tensor>{through, weight, shift, call("dense_grad_weight", {through, x})[0],
                               call("dense_grad_bias", {through})[0]};
  };
  const std::vector<Tensor> expected = body();
  Backend apart = *dispatch::backend(Device::Cpu);
  for (TogetherKernel& kernel : apart.together) kernel = nullptr;
  for (const Backend* backend : {dispatch::backend(Device::Cpu), static_cast<const Backend*>(&apart)}) {
    plan::Program program = recorded({x, g}, body);
    plan::optimise(program);
    CHECK_EQ(count(program, Together::input_gradient), 1u);
    CHECK_EQ(count(program, Together::parameter_gradients), 2u);
    plan::Executor executor(std::move(program), *backend);
    give_memory(executor, {x, g});
    executor.run();
    for (size_t k = 0; k < expected.size(); k++) {
      const Tensor found = executor.tensor(executor.program().outputs[k]);
      CHECK(!std::memcmp(found.data(), expected[k].data(), static_cast<size_t>(found.numel()) * sizeof(T)));
    }
  }
}

static void bundles_have_the_bits_of_their_calls() {
  constexpr int64_t sizes[] = {1, 7, 8, 15, 16, 17, 31, 33, 63, 65};
  const char* activations[] = {"relu", "tanh", "sigmoid", "gelu", "elu"};
  int turn = 0;
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    for (const int64_t rows : sizes)
      for (const int64_t hidden : sizes) {
        const int64_t wide = sizes[turn % 10];
        check_bundled_bits<float>(rows, wide, hidden, activations[turn % 5]);
        check_bundled_bits<double>(rows, wide, hidden, activations[(turn + turn / 5) % 5]);
        turn++;
      }
    check_bundled_bits<float>(1000, 70, 300, "relu");
    check_bundled_bits<float>(129, 17, 1100, "tanh");
  }
}

int main(int argc, char** argv) {
  return tg::test::run(argc, argv,
                       {CASE(replays_allocate_nothing), CASE(what_is_computed_twice_is_computed_once),
                        CASE(what_nobody_sees_is_left_out), CASE(gradients_are_bundled),
                        CASE(what_cannot_be_bundled_is_not), CASE(bundles_have_the_bits_of_their_calls)});
}
