// Programs without Python: a replay has the bits of the calls that were recorded, for any number of rows and threads; one that
// refuses has changed nothing; two run in two threads.
#include <memory>
#include <thread>

#include "check.h"
#include "cpu/pool.h"
#include "plan/batches.h"
#include "plan/passes.h"
#include "programs.h"

using namespace tg;
using namespace tg::test;

// All that a step changes.
static std::vector<Tensor> states(const Training& net) {
  std::vector<Tensor> found = net.parameters;
  for (const auto* group : {&net.first, &net.second, &net.counts, &net.kept})
    found.insert(found.end(), group->begin(), group->end());
  return found;
}

static bool equal(const Tensor& a, const Tensor& b) {
  return a.shape == b.shape &&
         (!a.numel() || !std::memcmp(a.data(), b.data(), static_cast<size_t>(a.numel() * size_of(a.dtype))));
}
static bool equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  bool same = a.size() == b.size();
  for (size_t k = 0; same && k < a.size(); k++) same = equal(a[k], b[k]);
  return same;
}

static std::unique_ptr<plan::Executor> program_of(Training& net) {
  plan::Program program = recorded({net.x, net.y}, [&] { return net.step(); });
  plan::optimise(program);
  auto executor = std::make_unique<plan::Executor>(std::move(program), *dispatch::backend(Device::Cpu));
  give_memory(*executor, {net.x, net.y});
  return executor;
}

static bool trains_alike(int64_t rows, bool normalized) {
  Training eager(rows, normalized), replayed(rows, normalized);
  const auto made = program_of(replayed);
  plan::Executor& executor = *made;
  eager.step();
  bool same = equal(states(eager), states(replayed));
  for (int k = 0; k < 3; k++) {
    const Tensor loss = eager.step()[0];
    executor.run();
    same =
        same && equal(loss, executor.tensor(executor.program().outputs[0])) && equal(states(eager), states(replayed));
  }
  return same;
}

static void replays_have_the_bits_of_calls() {
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    for (const int64_t rows : {1, 2, 7, 64, 129, 700}) {
      CHECK(trains_alike(rows, false));
      if (rows > 1) CHECK(trains_alike(rows, true));
    }
  }
}

static void batches_without_rows() {
  const Tensor weight = drawn({3, 4}, 1), bias = drawn({3}, 2), total = drawn({3, 4}, 3), x = drawn({0, 4}, 4);
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    plan::Program program = recorded({x}, [&] {
      const Tensor y = call("tanh", {call("dense", {x, weight, bias})[0]})[0];
      call("copy_", {total, call("dense_grad_weight", {y, x})[0]});
      return std::vector<Tensor>{y, call("sum", {y})[0]};
    });
    plan::optimise(program);
    plan::Executor executor(std::move(program), *dispatch::backend(Device::Cpu));
    give_memory(executor, {x});
    std::fill_n(total.data<float>(), 12, 7.0f);
    executor.run();
    CHECK_EQ(executor.tensor(executor.program().outputs[0]).numel(), 0);
    CHECK_EQ(executor.tensor(executor.program().outputs[1]).data<float>()[0], 0.0f);
    for (int i = 0; i < 12; i++) CHECK_EQ(total.data<float>()[i], 0.0f);
  }
}

static void what_refuses_has_changed_nothing() {
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    Training net(200, true), other(200, true);
    const auto made = program_of(net);
    plan::Executor& executor = *made;
    other.step();
    for (int k = 0; k < 2; k++) {
      net.y.data<int64_t>()[150] = 99;
      CHECK_THROWS(executor.run(), Error, "99");
      CHECK(equal(states(net), states(other)));
      net.y.data<int64_t>()[150] = 0;
      executor.run();
      other.step();
      CHECK(equal(states(net), states(other)));
    }
  }
}

static void what_is_unexpected_has_changed_nothing() {
  const Tensor x = drawn({5}, 1), state = drawn({5}, 2), kept = drawn({5}, 2);
  plan::Recording recording({x}, ++recordings << 32);
  dispatch::set_recorder(&recording);
  next_birth = recordings << 32;
  call("copy_", {state, x});
  const Tensor sum = call("sum", {x})[0];
  dispatch::set_recorder(nullptr);
  next_birth = 0;
  recording.expect(sum, -100, 100, 7);
  plan::Executor executor(recording.finish({sum}), *dispatch::backend(Device::Cpu));
  recording.undo();
  CHECK(equal(state, kept));
  give_memory(executor, {x});
  x.data<float>()[0] = 1000;
  int id = 0;
  try {
    executor.run();
  } catch (const plan::Unexpected& u) {
    id = u.id;
  }
  CHECK_EQ(id, 7);
  CHECK(equal(state, kept));
  x.data<float>()[0] = 1;
  executor.run();
  CHECK(equal(state, x));
}

static void two_programs_in_two_threads() {
  set_num_threads(3);
  std::vector<Training> eager, replayed;
  for (const bool normalized : {false, true})
    eager.emplace_back(300, normalized), replayed.emplace_back(300, normalized);
  std::vector<std::thread> threads;
  for (size_t k = 0; k < 2; k++)
    threads.emplace_back([&, k] {
      const auto made = program_of(replayed[k]);
      plan::Executor& executor = *made;
      for (int i = 0; i < 20; i++) executor.run();
    });
  for (std::thread& t : threads) t.join();
  for (size_t k = 0; k < 2; k++) {
    for (int i = 0; i < 21; i++) eager[k].step();
    CHECK(equal(states(eager[k]), states(replayed[k])));
  }
}

static void epochs_are_steps_over_gathered_rows() {
  set_num_threads(2);
  Training eager(50, false), replayed(50, false);
  const auto made = program_of(replayed);
  plan::Executor& executor = *made;
  eager.step();
  const Tensor table = drawn({230, 16}, 20), classes = labels(230, 5);
  const Tensor order = empty({230}, Dtype::Int64);
  for (int64_t i = 0; i < 230; i++) order.data<int64_t>()[i] = i * 7 % 230;
  const plan::Batches batches{{table, classes}, {replayed.x, replayed.y}, order};
  std::vector<double> losses(4);
  CHECK_EQ(plan::run_batches(executor, batches, 30, executor.program().outputs[0], {}, losses, std::chrono::hours(1)),
           4u);
  for (size_t k = 0; k < 4; k++) {
    for (size_t i = 0; i < 50; i++) {
      const auto row = static_cast<size_t>(order.data<int64_t>()[30 + 50 * k + i]);
      std::copy_n(table.data<float>() + 16 * row, 16, eager.x.data<float>() + 16 * i);
      eager.y.data<int64_t>()[i] = classes.data<int64_t>()[row];
    }
    CHECK_EQ(static_cast<double>(eager.step()[0].data<float>()[0]), losses[k]);
  }
  CHECK(equal(states(eager), states(replayed)));
}

int main(int argc, char** argv) {
  return tg::test::run(argc, argv,
                       {CASE(replays_have_the_bits_of_calls), CASE(batches_without_rows),
                        CASE(what_refuses_has_changed_nothing), CASE(what_is_unexpected_has_changed_nothing),
                        CASE(two_programs_in_two_threads), CASE(epochs_are_steps_over_gathered_rows)});
}
