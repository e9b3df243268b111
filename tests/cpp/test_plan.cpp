// Plans without Python: what a replay allocates, which calls are left out, shared and done in one go.
#include <cstdlib>
#include <new>
#include <vector>

#include "check.h"
#include "core/memory.h"
#include "cpu/pool.h"
#include "ops/dispatch.h"
#include "ops/table.h"
#include "plan/executor.h"
#include "plan/passes.h"
#include "plan/recorder.h"

static thread_local size_t taken = 0;  // blocks that this thread got from the heap

void* operator new(size_t bytes) {
  taken++;
  if (void* block = std::malloc(bytes ? bytes : 1)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

using namespace tg;

static const Op& named(const char* name) {
  const Op* o = find_op(name);
  if (!o) fail(ErrorKind::Runtime, "no op ", name);
  return *o;
}

// The first attributes as given, the others as the row has them.
static Attrs with(const Op& op, std::initializer_list<Attr> given = {}) {
  Attrs attrs;
  for (const Attr& a : given) attrs.add(a);
  for (size_t k = given.size(); k < op.attributes.size(); k++) attrs.add(op.attribute(static_cast<int>(k)).fallback);
  return attrs;
}

static std::vector<Tensor> run(const char* name, std::vector<Tensor> in, std::initializer_list<Attr> given = {}) {
  const Op& op = named(name);
  std::vector<Tensor> out(static_cast<size_t>(op.n_outputs));
  dispatch::call(op, in, with(op, given), out);
  return out;
}

static Tensor drawn(const Dims& shape, int64_t step) {
  Tensor t = empty(shape, Dtype::Float32);
  for (int64_t i = 0; i < t.numel(); i++)
    t.data<float>()[i] = static_cast<float>((i * 7919 + step * 104729) % 1013) / 1013.0f - 0.5f;
  return t;
}
static Tensor labels(int64_t n, int64_t classes) {
  Tensor t = empty({n}, Dtype::Int64);
  for (int64_t i = 0; i < n; i++) t.data<int64_t>()[i] = i % classes;
  return t;
}

// The calls of `body`, which takes arguments and gives results, as a program.
template <class F>
static plan::Program recorded(std::vector<Tensor> arguments, F body) {
  static uint64_t recordings = 1000;
  const uint64_t first = ++recordings << 32;
  plan::Recording recording(arguments, first);
  dispatch::set_recorder(&recording);
  next_birth = first;
  const std::vector<Tensor> results = body();
  dispatch::set_recorder(nullptr);
  next_birth = 0;
  return recording.finish(results);
}

// Memory for arguments and results.
static void give_memory(plan::Executor& executor, const std::vector<Tensor>& arguments) {
  const plan::Program& p = executor.program();
  for (size_t i = 0; i < arguments.size(); i++) executor.bind(p.inputs[i].buffer, arguments[i].storage, 0);
  for (size_t b = 0; b < p.buffers.size(); b++)
    if (p.buffers[b].role == plan::Role::output)
      executor.bind(static_cast<int>(b), StorageRef(new Storage(p.buffers[b].bytes)), 0);
}

// A step of training: layers with normalisation and dropout, cross entropy, Adam.
struct Training {
  Tensor x, y;
  std::vector<Tensor> parameters, first, second, counts, kept;
  bool normalized;

  explicit Training(int64_t rows, bool normalized)
      : x(drawn({rows, 16}, 1)), y(labels(rows, 5)), normalized(normalized) {
    const int64_t sizes[] = {16, 64, 33, 5};
    for (int k = 0; k < 3; k++) {
      parameters.push_back(drawn({sizes[k + 1], sizes[k]}, 2 + k));
      parameters.push_back(drawn({sizes[k + 1]}, 5 + k));
    }
    if (normalized)
      for (int k = 0; k < 2; k++) {
        parameters.push_back(drawn({sizes[k + 1]}, 8 + k));
        parameters.push_back(drawn({sizes[k + 1]}, 10 + k));
        kept.push_back(drawn({sizes[k + 1]}, 12 + k));
        kept.push_back(drawn({sizes[k + 1]}, 14 + k));
        for (int64_t i = 0; i < sizes[k + 1]; i++) kept.back().data<float>()[i] += 1;
      }
    for (const Tensor& p : parameters) {
      first.push_back(drawn(p.shape, 0)), second.push_back(drawn(p.shape, 0));
      for (Tensor* t : {&first.back(), &second.back()}) std::fill_n(t->data<float>(), t->numel(), 0.0f);
      counts.push_back(scalar(0.0, Dtype::Float32));
    }
  }

  std::vector<Tensor> step() {
    const auto& p = parameters;
    std::vector<Tensor> inputs{x}, hidden, normal, mean, inverse;
    for (size_t k = 0; k < 2; k++) {
      Tensor z = run("dense", {inputs.back(), p[2 * k], p[2 * k + 1]})[0];
      hidden.push_back(z);
      if (normalized) {
        const auto n = run("native_batch_norm", {z, kept[2 * k], kept[2 * k + 1], p[6 + 2 * k], p[7 + 2 * k]},
                           {Attr::boolean(true), Attr::real(0.1), Attr::real(1e-5)});
        z = n[0];
        mean.push_back(n[1]), inverse.push_back(n[2]);
      }
      z = run("relu", {z})[0];
      normal.push_back(z);
      if (normalized)
        z = run("native_dropout", {z}, {Attr::real(0.25), Attr::integer(1), Attr::integer(0), Attr::integer(3)})[0];
      inputs.push_back(z);
    }
    const Tensor logits = run("dense", {inputs.back(), p[4], p[5]})[0];
    const auto loss = run("native_cross_entropy", {logits, y, {}});
    Tensor g = run("cross_entropy_backward", {scalar(1.0, Dtype::Float32), logits, y, loss[1], loss[2], {}})[0];
    std::vector<Tensor> gradients(parameters.size());
    for (size_t k = 3; k-- > 0;) {
      Tensor before;
      if (k) before = run("dense_grad_input", {g, p[2 * k]})[0];
      gradients[2 * k] = run("dense_grad_weight", {g, inputs[k]})[0];
      gradients[2 * k + 1] = run("dense_grad_bias", {g})[0];
      if (!k) break;
      g = before;
      if (normalized)
        g = run("native_dropout", {g}, {Attr::real(0.25), Attr::integer(1), Attr::integer(0), Attr::integer(3)})[0];
      g = run("relu_backward", {g, normal[k - 1], normal[k - 1]})[0];
      if (normalized) {
        const auto n = run("batch_norm_backward", {g, hidden[k - 1], mean[k - 1], inverse[k - 1], p[4 + 2 * k]});
        g = n[0];
        gradients[4 + 2 * k] = n[1], gradients[5 + 2 * k] = n[2];
      }
    }
    std::vector<Tensor> members = parameters;
    for (const std::vector<Tensor>* group : {&gradients, &first, &second, &counts})
      members.insert(members.end(), group->begin(), group->end());
    const Op& adam = named("adam_");
    dispatch::call(adam, members, with(adam, {Attr::real(1e-3)}), {});
    return {loss[0]};
  }
};

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
      const size_t blocks = memory_stats().allocations, heap = taken;
      for (int i = 0; i < 3; i++) executor.run();
      CHECK_EQ(memory_stats().allocations - blocks, 0u);
      CHECK_EQ(taken - heap, 0u);
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
  auto sum = [](const Tensor& a, const Tensor& b) { return run("add", {a, b}); };
  plan::Program same =
      recorded({x}, [&] { return sum(run("exp", {run("neg", {x})[0]})[0], run("exp", {run("neg", {x})[0]})[0]); });
  CHECK_EQ(same.instructions.size(), 5u);
  plan::optimise(same);
  CHECK_EQ(same.instructions.size(), 3u);
  plan::Program other = recorded({x}, [&] {
    return sum(run("leaky_relu", {x}, {Attr::real(0.1)})[0], run("leaky_relu", {x}, {Attr::real(0.2)})[0]);
  });
  plan::optimise(other);
  CHECK_EQ(count(other, "leaky_relu"), 2u);
  const Tensor state = drawn({5, 3}, 2);
  plan::Program changed = recorded({x}, [&] {
    const Tensor before = run("exp", {state})[0];
    run("copy_", {state, x});
    return sum(before, run("exp", {state})[0]);
  });
  plan::optimise(changed);
  CHECK_EQ(count(changed, "exp"), 2u);
  plan::Program random = recorded({x}, [&] {
    auto drop = [&](int64_t step) {
      return run("native_dropout", {x}, {Attr::real(0.5), Attr::integer(1), Attr::integer(0), Attr::integer(step)})[0];
    };
    return sum(drop(1), drop(2));
  });
  plan::optimise(random);
  CHECK_EQ(count(random, "native_dropout"), 2u);
}

static void what_nobody_sees_is_left_out() {
  const Tensor x = drawn({6, 5}, 1), y = labels(6, 5), state = drawn({6, 5}, 2);
  plan::Program p = recorded({x, y}, [&] {
    const Tensor unseen = run("exp", {run("neg", {x})[0]})[0];
    run("mul", {unseen, unseen});
    run("native_cross_entropy", {x, y, {}});  // may refuse a label
    run("copy_", {state, run("abs", {x})[0]});
    return run("square", {x});
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
      const Tensor dx = run("dense_grad_input", {g, weight})[0];
      between();
      const Tensor through = run("tanh_backward", {dx, dx, y})[0];
      return seen ? std::vector<Tensor>{through, dx} : std::vector<Tensor>{through};
    });
    plan::optimise(p);
    return count(p, Together::input_gradient);
  };
  CHECK_EQ(bundles([] {}, false), 1u);
  CHECK_EQ(bundles([&] { run("copy_", {other, weight}); }, false), 1u);
  CHECK_EQ(bundles([&] { run("copy_", {weight, other}); }, false), 0u);
  CHECK_EQ(bundles([] {}, true), 0u);
}

// Gradients of two layers by a program, with and without bundles, against the calls themselves.
template <class T>
static void check_bundled_bits(int64_t rows, int64_t wide, int64_t hidden, const char* activation) {
  const Dtype dtype = sizeof(T) == 4 ? Dtype::Float32 : Dtype::Float64;
  auto values = [&](const Dims& shape, int64_t step) {
    Tensor t = drawn(shape, step);
    return run("cast", {t}, {Attr::type(dtype)})[0];
  };
  const Tensor x = values({rows, wide}, 1), g = values({rows, 3}, 2), first = values({hidden, wide}, 3),
               bias = values({hidden}, 4), second = values({3, hidden}, 5);
  const std::string derivative = std::string(activation) + "_backward";
  auto body = [&] {
    const Tensor z = run("dense", {x, first, bias})[0], y = run(activation, {z})[0];
    const Tensor weight = run("dense_grad_weight", {g, y})[0], shift = run("dense_grad_bias", {g})[0];
    const Tensor through = run(derivative.c_str(), {run("dense_grad_input", {g, second})[0], z, y})[0];
    return std::vector<Tensor>{through, weight, shift, run("dense_grad_weight", {through, x})[0],
                               run("dense_grad_bias", {through})[0]};
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
