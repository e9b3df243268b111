// Predictors on the emulated device (emulated_predict.cpp): the bits of the CPU's predictor, one event after the other, and how a
// kernel that stays begins, rests and ends.
#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <thread>
#include <tuple>
#include <vector>

#include "check.h"
#include "core/error.h"
#include "cuda/backend.h"
#include "cuda/predictor.h"
#include "predictor_programs.h"
#include "realtime/kernels.h"
#include "realtime/predictor.h"

using namespace tg;
using namespace tg::test;

namespace {

using Options = cuda::Predictor::Options;
Options persistent(double idle = 1) { return {true, idle, 10}; }

std::vector<float> event(int32_t n, int kind) {
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = 3 * draw();
  if (kind == 1) x[0] = NAN;
  if (kind == 2) x.back() = HUGE_VALF;
  if (kind == 3)
    for (float& v : x) v = -0.0f;
  if (kind == 4)
    for (float& v : x) v *= 1e-41f;
  return x;
}

// Every code that there is.
Program of_all_codes() {
  Program p;
  p.width.push_back(33);
  add(p, Code::standardize, 0, 33);
  const int32_t first = last(p);
  add(p, Code::dense, first, 70);
  add(p, Code::affine, last(p), 70);
  add(p, Code::prelu, last(p), 70);
  const int32_t kept = last(p);
  Instruction& f = add(p, Code::unary, kept, 70);
  f.function = id_tanh;
  for (const int32_t function : {id_add, id_sub, id_mul, id_maximum}) {
    Instruction& i = add(p, Code::binary, last(p), 70);
    i.function = function, i.b = kept;
  }
  add(p, Code::largest, last(p), 35);
  const int32_t half = last(p);
  add(p, Code::step, half, 35);
  const int32_t steps = last(p);
  const int32_t both = value(p, 105);
  for (const auto& [from, offset, count] : {std::tuple{kept, 0, 70}, {steps, 70, 35}}) {
    Instruction i;
    i.code = Code::copy, i.a = from, i.out = both, i.out_offset = offset, i.count = count;
    p.instructions.push_back(i);
  }
  add(p, Code::softmax, both, 105);
  add(p, Code::dense, last(p), 20);
  add(p, Code::log_softmax, last(p), 20);
  return p;
}

// The same bits as on the CPU, for ordinary events and for odd ones.
void check_bits(const Program& program, cuda::Predictor& gpu, const std::string& what) {
  const realtime::Predictor cpu(program, *realtime::kernel_table(nullptr));
  std::vector<float> want(static_cast<size_t>(program.outputs())), got(want.size());
  for (int kind = 0; kind < 8; kind++) {
    const std::vector<float> x = event(program.inputs(), kind);
    cpu.run(x.data(), want.data());
    gpu.run(x.data(), got.data());
    for (size_t k = 0; k < want.size(); k++)
      test::record(test::same_bits(got[k], want[k]), __FILE__, __LINE__,
                   what + ", event " + std::to_string(kind) + ", output " + std::to_string(k));
  }
}
bool emulated() { return cuda::devices()[0].name == "emulated"; }
int another() { return cuda::devices().size() > 1 ? 1 : 0; }  // where there is one

void check_both(const Program& program, const std::string& what) {
  cuda::Predictor graph(program, 0, {}), stays(program, another(), persistent());
  check_bits(program, graph, what + ", graph");
  check_bits(program, stays, what + ", persistent");
}

}  // namespace

static void bits_of_odd_widths() {
  for (const int32_t K : {1, 7, 8, 31, 32, 33, 65})
    for (const int32_t N : {1, 16, 17, 32, 33, 300}) check_both(of_widths({K, N}), "dense");
  check_both(of_widths({16, 64, 32, 32, 5}), "jet");
}

static void bits_of_every_code_and_function() {
  check_both(of_all_codes(), "all codes");
  int functions = 0;
  for (int32_t f = 0; f < kPointwiseOps; f++) {
    if (!cuda::event_function(f)) continue;
    functions++;
    for (const bool alone : {true, false}) {  // of a layer, or of the event
      Program p;
      p.width.push_back(9);
      if (!alone) add(p, Code::dense, 0, 9);
      Instruction& i = add(p, Code::unary, alone ? 0 : last(p), 9);
      i.function = f, i.p = 0.3f, i.q = 0.9f;
      cuda::Predictor gpu(p, 0, {});
      check_bits(p, gpu, kPointwiseInfo[f].name);
    }
  }
  CHECK_EQ(functions, 22);
  for (const int32_t n : {1, 15, 16, 17, 1000, 1024})
    for (const Code code : {Code::softmax, Code::log_softmax}) {
      Program p;
      p.width.push_back(n);
      add(p, code, 0, n);
      cuda::Predictor gpu(p, 0, {});
      check_bits(p, gpu, realtime::name(code));
    }
}

// Beyond the chip's memory a graph has a launch for each layer.
static void nets_that_do_not_fit() {
  const Program wide = of_widths({28, 300, 300, 1});
  cuda::Predictor graph(wide, 0, {});
  check_bits(wide, graph, "wide");
  CHECK_THROWS(cuda::Predictor(of_widths({300, 300, 10}), 0, persistent()), Error,
               "; leave persistent off: a CUDA graph takes any net");
}

static void what_is_refused() {
  Program p;
  p.width.push_back(4);
  Instruction& i = add(p, Code::unary, 0, 4);
  i.function = id_sin;
  CHECK_THROWS(cuda::Predictor(p, 0, {}), Error, "[Predictor] the model has the function sin, which has no place");
  Program long_row;
  long_row.width.push_back(1025);
  add(long_row, Code::softmax, 0, 1025);
  CHECK_THROWS(cuda::Predictor(long_row, 0, {}), Error, "softmax is of 1025 numbers on cuda, expected at most 1024");
  CHECK_THROWS(cuda::Predictor(of_widths({4, 4}), 63, {}), Error,
               "[Predictor] device is 'cuda:63', expected cuda:0 to");
}

static void several_stay_at_once() {
  const Program program = of_widths({5, 20, 3});
  std::vector<std::unique_ptr<cuda::Predictor>> all;
  for (int k = 0; k < 4; k++) all.push_back(std::make_unique<cuda::Predictor>(program, 0, persistent()));
  for (const auto& p : all) check_bits(program, *p, "one of four");
  if (emulated())
    CHECK_THROWS(cuda::Predictor(program, 0, persistent()), Error,
                 "4 persistent predictors are on cuda:0, half of its multiprocessors; close one");
  const cuda::Predictor elsewhere(program, another(), persistent());
  all.pop_back();
  cuda::Predictor again(program, 0, persistent());
  check_bits(program, again, "in the place of another");
  cuda::synchronize(0);  // they rest
  for (const auto& p : all) check_bits(program, *p, "after a rest");
}

// A kernel that nothing comes to ends, and begins again with the next event.
static void an_idle_kernel_ends() {
  const Program program = of_widths({5, 20, 3});
  cuda::Predictor p(program, 0, persistent(0.002));
  for (int k = 0; k < 5; k++) {
    check_bits(program, p, "after a pause");
    std::this_thread::sleep_for(std::chrono::milliseconds(k == 3 ? 0 : 10));
  }
}

static void threads_take_turns() {
  const Program program = of_widths({5, 20, 3});
  const realtime::Predictor cpu(program, *realtime::kernel_table(nullptr));
  cuda::Predictor gpu(program, 0, persistent(0.05));
  std::atomic<int> wrong{0}, done{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++)
    threads.emplace_back([&, t] {
      for (int k = 0; k < 1300; k++) {
        const float x[5] = {static_cast<float>(t), static_cast<float>(k), 0.5f, -1, 2};
        float want[3], got[3];
        cpu.run(x, want);
        gpu.run(x, got);
        for (int i = 0; i < 3; i++) wrong += !test::same_bits(want[i], got[i]);
        if (k % 50 == 0) cuda::synchronize(0);
      }
      done++;
    });
  for (std::thread& t : threads) t.join();
  CHECK_EQ(done.load(), 3);
  CHECK_EQ(wrong.load(), 0);
}

static void closing() {
  const Program program = of_widths({5, 20, 3});
  const float x[5] = {};
  float y[3];
  for (const bool stays : {false, true}) {
    Options o = persistent();
    o.persistent = stays;
    cuda::Predictor p(program, 0, o);
    p.run(x, y);
    p.close();
    p.close();
    CHECK_THROWS(p.run(x, y), Error, "[Predictor] it is closed; make another");
    cuda::Predictor open(program, 0, o);
    cuda::close_predictors();
    CHECK_THROWS(open.run(x, y), Error, "[Predictor] it is closed; make another");
  }
}

// An answer that does not come in time is an error, and the predictor answers nothing any more.
static void what_takes_too_long() {
  Program slow = of_widths({10, 4});
  for (int k = 0; k < 1300; k++) {
    Instruction& i = add(slow, Code::unary, last(slow), 4);
    i.function = id_gelu;
  }
  const std::vector<float> x(10);
  std::vector<float> y(4);
  cuda::Predictor patient(slow, 0, persistent());
  check_bits(slow, patient, "slow");
  if (!emulated()) return;  // a GPU is fast enough
  Options o = persistent();
  o.timeout = 0;
  cuda::Predictor p(slow, 0, o);
  const auto many = [&] {  // the host may look away until an answer is there, but not each time
    using Clock = std::chrono::steady_clock;
    for (const auto end = Clock::now() + std::chrono::seconds(60); Clock::now() < end;) p.run(x.data(), y.data());
  };
  CHECK_THROWS(many(), Error, "[Predictor] cuda:0 did not answer within 0 s: it is busy");
  CHECK_THROWS(p.run(x.data(), y.data()), Error, "an event before this one was not answered; close the predictor");
  p.close();
  check_bits(slow, patient, "another one");
}

int main(int argc, char** argv) {
  return tg::test::run(argc, argv,
                       {CASE(bits_of_odd_widths), CASE(bits_of_every_code_and_function), CASE(nets_that_do_not_fit),
                        CASE(what_is_refused), CASE(several_stay_at_once), CASE(an_idle_kernel_ends),
                        CASE(threads_take_turns), CASE(what_takes_too_long), CASE(closing)});
}
