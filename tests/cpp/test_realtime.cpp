// The predictor without Python: its bits are those of the reference loops, and a call allocates nothing, asks the system
// for nothing, and leaves threads alone.
#if defined(__linux__)
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "check.h"
#include "core/error.h"
#include "counting_new.h"
#include "math/reference.h"
#include "math/reference_rows.h"
#include "math/pointwise.h"
#include "realtime/narrow.h"
#include "realtime/predictor.h"

#if defined(__has_feature)
#if __has_feature(realtime_sanitizer)
#define TG_WATCHES
#endif
#endif
#if defined(TG_WATCHES)
#define TG_NONBLOCKING [[clang::nonblocking]]
#else
#define TG_NONBLOCKING
#endif

using namespace tg;
using namespace tg::realtime;

namespace {

constexpr const char* kIsas[] = {"baseline", "avx2", "avx512"};

// ---- programs

std::mt19937 random_bits(1);
float draw() { return std::normal_distribution<float>()(random_bits); }
int32_t add_constant(Program& p, int32_t rows, int32_t columns) {
  Constant c{rows, columns, {}};
  for (int32_t i = 0; i < rows * columns; i++) c.data.push_back(draw());
  p.constants.push_back(c);
  return static_cast<int32_t>(p.constants.size()) - 1;
}
int32_t value(Program& p, int32_t width) {
  p.width.push_back(width);
  return static_cast<int32_t>(p.width.size()) - 1;
}
Instruction& add(Program& p, Code code, int32_t a, int32_t width) {
  Instruction i;
  i.code = code, i.a = a, i.out = value(p, width);
  for (int k = 0; k < constants_of(code); k++)
    i.constant[k] = code == Code::dense && k == 0 ? add_constant(p, width, p.width[static_cast<size_t>(a)])
                                                  : add_constant(p, 1, width);
  p.instructions.push_back(i);
  return p.instructions.back();
}
int32_t last(const Program& p) { return p.instructions.back().out; }

Program of_widths(std::initializer_list<int32_t> widths, bool relu = true) {
  Program p;
  for (int32_t w : widths) {
    if (p.width.empty()) p.width.push_back(w);
    else add(p, Code::dense, static_cast<int32_t>(p.width.size()) - 1, w).relu = relu;
  }
  p.instructions.back().relu = false;
  return p;
}
Program with_unary(int32_t function) {
  Program p = of_widths({9, 37});
  Instruction& i = add(p, Code::unary, last(p), 37);
  i.function = function, i.p = 0.5, i.q = 1.5;
  add(p, Code::dense, last(p), 3);
  return p;
}
// A residual or highway block's: function(layer(a), a).
Program with_binary(int32_t function) {
  Program p = of_widths({9, 21, 21});
  Instruction& i = add(p, Code::binary, last(p), 21);
  i.function = function, i.b = 1;
  return p;
}
Program refusing() {
  Program p = of_widths({16, 8, 3});
  p.refuse_nan = true;
  return p;
}
// Dense layers of integers by hand: each quantizes what the one before answers.
Constant integers(int32_t rows, int32_t columns, int32_t most, Storage storage) {
  Constant c{rows, columns, {}, storage};
  std::uniform_int_distribution<int32_t> any(-most, most);
  for (int32_t i = 0; i < rows * columns; i++) c.data.push_back(static_cast<float>(any(random_bits)));
  return c;
}
int32_t filled_constant(Program& p, int32_t columns, float number) {
  p.constants.push_back({1, columns, std::vector<float>(static_cast<size_t>(columns), number)});
  return static_cast<int32_t>(p.constants.size()) - 1;
}
void add_integer_dense(Program& p, bool eight, int32_t width, int32_t most = 0) {
  const int32_t before = p.instructions.empty() ? 0 : last(p), K = p.width[static_cast<size_t>(before)];
  Instruction q, d;
  q.code = eight ? Code::quantize8 : Code::quantize16;
  q.a = before, q.out = value(p, K);
  q.p = eight ? 0 : -1500, q.q = eight ? 255 : 1500;
  q.constant[0] = filled_constant(p, K, eight ? 40.5f : 301.7f);
  q.constant[1] = filled_constant(p, K, 0);
  for (float& z : p.constants.back().data) z = static_cast<float>(random_bits() % 200);
  p.instructions.push_back(q);
  d.code = eight ? Code::dense8 : Code::dense16;
  d.a = q.out, d.out = value(p, width);
  d.constant[0] = static_cast<int32_t>(p.constants.size());
  p.constants.push_back(integers(width, K, most ? most : eight ? 127 : 2000, eight ? Storage::int8 : Storage::int16));
  if (width % 2) d.constant[1] = add_constant(p, 1, width);
  d.constant[2] = add_constant(p, 1, width);
  for (float& u : p.constants.back().data) u *= eight ? 1e-4f : 1e-6f;
  d.relu = width % 3 == 0;
  p.instructions.push_back(d);
}
Program of_integers(std::initializer_list<int32_t> widths, bool eight) {
  Program p;
  for (int32_t w : widths) {
    if (p.width.empty()) p.width.push_back(w);
    else add_integer_dense(p, eight, w);
  }
  return p;
}
// Every size once as inputs and once as outputs.
std::vector<Program> programs_of_integers() {
  std::vector<Program> all;
  for (const bool eight : {true, false}) {
    all.push_back(of_integers({1, 1, 3, 5, 7, 15, 16, 17, 31, 33, 63, 65, 1}, eight));
    all.push_back(of_integers({70, 200, 1}, eight));
    all.push_back(of_integers({28, 300, 300, 2}, eight));
    Program mixed = of_integers({9, 30}, eight);  // read twice, and by the other kind
    const int32_t seen = last(mixed);
    Instruction& tanh = add(mixed, Code::unary, seen, 30);
    tanh.function = id_tanh;
    add_integer_dense(mixed, !eight, 30);
    Instruction& sum = add(mixed, Code::binary, last(mixed), 30);
    sum.function = id_add, sum.b = seen;
    add_integer_dense(mixed, eight, 4);
    all.push_back(mixed);
  }
  return all;
}
// Everything that a block is made of.
Program with_blocks() {
  Program p = of_widths({11, 20});
  add(p, Code::standardize, last(p), 20);
  add(p, Code::affine, last(p), 20);
  add(p, Code::prelu, last(p), 20);
  const int32_t before = last(p);
  add(p, Code::dense, before, 20);
  Instruction& sum = add(p, Code::binary, last(p), 20);
  sum.function = id_add, sum.b = before;
  add(p, Code::softmax, last(p), 20);
  add(p, Code::log_softmax, last(p), 20);
  add(p, Code::step, last(p), 20);
  add(p, Code::largest, last(p), 5);
  const int32_t joined = value(p, 25), parts[2] = {last(p), before};
  for (int k = 0; k < 2; k++) {
    Instruction i;
    i.code = Code::copy, i.a = parts[k], i.out = joined, i.out_offset = 5 * k, i.count = k ? 20 : 5;
    p.instructions.push_back(i);
  }
  add(p, Code::dense, joined, 18);
  return p;
}
std::vector<Program> every_program() {
  std::vector<Program> all = {of_widths({16, 64, 32, 32, 5}), of_widths({12, 32, 16, 1}), of_widths({70, 1}),
                              of_widths({28, 300, 300, 1}), with_blocks()};
  for (const int32_t function : {id_sub, id_mul, id_maximum}) all.push_back(with_binary(function));
  all.push_back(refusing());
#define TG_UNARY(name, ...) all.push_back(with_unary(id_##name));
#include "math/pointwise.def"
  for (Program& p : programs_of_integers()) all.push_back(std::move(p));
  return all;
}

std::vector<float> events(int64_t count, int32_t width) {
  std::vector<float> x;
  for (int64_t i = 0; i < count * width; i++) x.push_back(i % 17 == 3 ? draw() * 1e-40f : draw());
  return x;
}

bool same_bits(const float* a, const float* b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (bits(a[i]) != bits(b[i]) && !(a[i] != a[i] && b[i] != b[i])) return false;
  return true;
}

// ---- what the programs mean, loop by loop

float function(int32_t id, float x, float p, float q) {
  switch (id) {
#define TG_UNARY(name, ...) \
  case id_##name: return op_##name::f(x, p, q);
#include "math/pointwise.def"
    default: return 0;
  }
}

float function(int32_t id, float a, float b) {
  switch (id) {
    case id_add: return a + b;
    case id_sub: return a - b;
    case id_mul: return a * b;
    default: return a != a || b != b ? __builtin_nanf("") : a > b ? a : b;
  }
}

std::vector<float> reference_answer(const Program& p, const float* x) {
  std::vector<std::vector<float>> values;
  for (const int32_t w : p.width) values.emplace_back(static_cast<size_t>(w), 0.0f);
  std::copy_n(x, p.inputs(), values[0].begin());
  for (const Instruction& i : p.instructions) {
    const auto &a = values[static_cast<size_t>(i.a)], &b = values[i.b == kNone ? 0 : static_cast<size_t>(i.b)];
    auto& out = values[static_cast<size_t>(i.out)];
    auto c = [&](int k, size_t n) { return p.constants[static_cast<size_t>(i.constant[k])].data[n]; };
    const auto K = static_cast<int64_t>(a.size()), N = static_cast<int64_t>(out.size());
    if (i.code == Code::softmax) reference::softmax(N, a.data(), out.data(), 1);
    if (i.code == Code::log_softmax) reference::log_softmax(N, a.data(), out.data(), 1);
    if (i.code == Code::copy) std::copy_n(a.begin() + i.a_offset, i.count, out.begin() + i.out_offset);
    if (i.code == Code::dense)
      reference::dense<float>(1, N, K, a.data(), p.constants[static_cast<size_t>(i.constant[0])].data.data(),
                              p.constants[static_cast<size_t>(i.constant[1])].data.data(), out.data());
    if (i.code == Code::dense8 || i.code == Code::dense16) {
      const Instruction& maker = *std::find_if(p.instructions.begin(), p.instructions.end(),
                                               [&](const Instruction& m) { return m.out == i.a; });
      const auto& zero = p.constants[static_cast<size_t>(maker.constant[1])].data;
      const bool poisoned = std::any_of(a.begin(), a.end(), [](float v) { return v != v; });
      for (int64_t n = 0; n < N; n++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < K && !poisoned; k++) {
          const auto at = static_cast<size_t>(k);
          sum += (static_cast<int64_t>(a[at]) - static_cast<int64_t>(zero[at])) *
                 static_cast<int64_t>(c(0, static_cast<size_t>(n * K + k)));
        }
        CHECK(sum == static_cast<int32_t>(sum));
        const auto at = static_cast<size_t>(n);
        const float y = fma(static_cast<float>(sum), c(2, at), i.constant[1] == kNone ? 0 : c(1, at));
        out[at] = poisoned ? __builtin_nanf("") : i.relu && y <= 0 ? 0 : y;
      }
    }
    for (size_t n = 0; n < out.size(); n++) switch (i.code) {
        case Code::quantize8:
        case Code::quantize16: {
          const float t = fma(a[n], c(0, n), c(1, n));
          out[n] = t != t ? t : rint(t < i.p ? i.p : t > i.q ? i.q : t);
          break;
        }
        case Code::dense: out[n] = i.relu && out[n] <= 0 ? 0.0f : out[n]; break;
        case Code::unary: out[n] = function(i.function, a[n], i.p, i.q); break;
        case Code::binary: out[n] = function(i.function, a[n], b[n]); break;
        case Code::affine: out[n] = fma(a[n], c(0, n), c(1, n)); break;
        case Code::prelu: out[n] = a[n] > 0 ? a[n] : c(0, n) * a[n]; break;
        case Code::standardize:
          out[n] = (minimum(maximum(a[n] != a[n] ? c(0, n) : a[n], c(1, n)), c(2, n)) - c(3, n)) * c(4, n);
          break;
        case Code::step: out[n] = a[n] >= 0 ? 1.0f : 0.0f; break;
        case Code::largest: out[n] = reference::amax(K / N, a.data() + static_cast<int64_t>(n) * (K / N), 1); break;
        default: break;
      }
  }
  return values[static_cast<size_t>(last(p))];
}

// ---- cases

void same_as_the_loops(const Program& p, const KernelTable& kernels, bool vnni) {
  Options o;
  o.tiles = true;
  o.vnni = vnni;
  const Predictor predictor(p, kernels, o);
  const int64_t rows = 70;
  auto x = events(rows, p.inputs());
  const float specials[] = {__builtin_inff(), -__builtin_inff(), __builtin_nanf(""), 3e38f, -3e38f, -0.0f};
  for (size_t i = 0; i < std::size(specials) && !p.refuse_nan; i++)
    x[(60 + i) * static_cast<size_t>(p.inputs())] = specials[i];
  const auto outputs = static_cast<size_t>(p.outputs());
  std::vector<float> expected, one(outputs), all(static_cast<size_t>(rows) * outputs);
  for (int64_t i = 0; i < rows; i++) {
    const auto y = reference_answer(p, x.data() + i * p.inputs());
    expected.insert(expected.end(), y.begin(), y.end());
    CHECK(predictor.run(x.data() + i * p.inputs(), one.data()));
    CHECK(same_bits(one.data(), y.data(), outputs));
  }
  for (int64_t count : {int64_t(1), int64_t(5), rows}) {
    CHECK_EQ(predictor.run_rows(x.data(), count, all.data()), count);
    CHECK(same_bits(all.data(), expected.data(), static_cast<size_t>(count) * outputs));
  }
}
void bits_are_those_of_the_reference_loops() {
  for (const Program& p : every_program())
    for (const char* isa : kIsas) {
      const KernelTable* kernels = kernel_table(isa);
      if (!kernels) continue;
      for (const bool vnni : {false, true}) same_as_the_loops(p, *kernels, vnni);
    }
}

void writes_nothing_but_the_answer() {
  for (const Program& p : every_program()) {
    Options o;
    o.tiles = true;
    const Predictor predictor(p, *kernel_table(nullptr), o);
    const auto x = events(40, p.inputs());
    const auto n = static_cast<size_t>(p.outputs());
    std::vector<float> y(40 * n + 64, 7.0f);
    predictor.run(x.data(), y.data() + 32);
    for (size_t i = 0; i < 32; i++) CHECK(y[i] == 7 && y[32 + n + i] == 7);
    predictor.run_rows(x.data(), 40, y.data() + 32);
    for (size_t i = 0; i < 32; i++) CHECK(y[i] == 7 && y[32 + 40 * n + i] == 7);
  }
}

// Under the real-time sanitizer these end the program if anything below them allocates, locks or asks the system.
bool run_watched(const Predictor& p, const float* x, float* y) noexcept TG_NONBLOCKING { return p.run(x, y); }
bool passes_watched(const Predictor& p, const float* x, const Cut& cut) noexcept TG_NONBLOCKING {
  return p.passes(x, cut, 0);
}

void a_call_allocates_nothing() {
  for (const Program& p : every_program())
    for (const char* isa : kIsas) {
      const KernelTable* kernels = kernel_table(isa);
      if (!kernels) continue;
      const Predictor predictor(p, *kernels);
      const auto x = events(1, p.inputs());
      std::vector<float> y(static_cast<size_t>(p.outputs()));
      const Cut cut = predictor.cut(0.5f);
      const size_t before = allocations;
      for (int i = 0; i < 20; i++) run_watched(predictor, x.data(), y.data());
      passes_watched(predictor, x.data(), cut);
      CHECK_EQ(allocations.load(), before);
    }
  size_t before = allocations;
  ::operator delete(::operator new(4));  // unlike `delete new int`, not to be left out by a compiler
  CHECK(allocations > before);           // the counter counts
  if (kCountsMalloc) {
    before = allocations;
    void* volatile p = std::malloc(4);
    std::free(p);
    CHECK(allocations > before);
  }
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// In a child that may only read, write and exit: the system kills it at any other call.
int status_of_child(bool allowed_only) {
  const auto programs = every_program();
  std::vector<std::unique_ptr<Predictor>> predictors;
  std::vector<std::vector<float>> x, y;
  for (const Program& p : programs) {
    predictors.push_back(std::make_unique<Predictor>(p, *kernel_table(nullptr)));
    x.push_back(events(1, p.inputs()));
    y.emplace_back(static_cast<size_t>(p.outputs()));
  }
  const pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(77);
    for (int turn = 0; turn < 20; turn++)
      for (size_t i = 0; i < programs.size(); i++) predictors[i]->run(x[i].data(), y[i].data());
    if (!allowed_only) syscall(SYS_getppid);
    syscall(SYS_exit, 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}
void a_call_asks_the_system_for_nothing() {
  const int status = status_of_child(true);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    std::printf("no seccomp here: skipped\n");
    CHECK(true);
    return;
  }
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(WIFSIGNALED(status_of_child(false)));  // a system call is seen
}
#else
void a_call_asks_the_system_for_nothing() {
  std::printf("only on Linux, without sanitizers: skipped\n");
  CHECK(true);
}
#endif

#if defined(TG_WATCHES)
void allocate_watched() noexcept TG_NONBLOCKING { ::operator delete(::operator new(4)); }
void the_sanitizer_watches() {
  const pid_t child = fork();
  if (child == 0) {
    std::fclose(stderr);  // what it would tell is expected
    allocate_watched();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(!(WIFEXITED(status) && WEXITSTATUS(status) == 0));
}
#else
void the_sanitizer_watches() { CHECK(true); }
#endif

void eight_threads_share_a_predictor() {
  const Program p = of_widths({16, 64, 32, 32, 5});
  Options o;
  o.tiles = true;
  const Predictor predictor(p, *kernel_table(nullptr), o);
  const Cut cut = predictor.cut(0.0f);
  const auto x = events(16, 16);
  std::vector<float> expected(16 * 5);
  predictor.run_rows(x.data(), 16, expected.data());
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; t++)
    threads.emplace_back([&] {
      float y[16 * 5];
      for (int i = 0; i < 10'000; i++) {
        const float *event = x.data() + i % 16 * 16, *answer = expected.data() + i % 16 * 5;
        predictor.run(event, y);
        if (!same_bits(y, answer, 5)) wrong++;
        if (predictor.passes(event, cut, 2) != (answer[2] >= 0)) wrong++;
        if (i % 100 == 0) {
          predictor.run_rows(x.data(), 16, y);
          if (!same_bits(y, expected.data(), 16 * 5)) wrong++;
        }
      }
    });
  for (auto& t : threads) t.join();
  CHECK_EQ(wrong.load(), 0);
}

template <class Change>
void refused(const char* part, Change change) {
  Program p = with_blocks();
  change(p);
  try {
    validate(p, "test");
    CHECK(!"it was accepted");
  } catch (const Error& e) {
    const bool says = std::string(e.what()).find(part) != std::string::npos;
    CHECK(says);
    if (!says) std::fprintf(stderr, "  said: %s\n", e.what());
  }
}
void programs_that_do_not_fit_are_refused() {
  validate(with_blocks(), "test");
  refused("0 values", [](Program& p) { p.width.clear(); });
  refused("0 instructions", [](Program& p) { p.instructions.clear(); });
  refused("a value of width 0", [](Program& p) { p.width[2] = 0; });
  refused("a value of width", [](Program& p) { p.width[2] = 1 << 30; });
  refused("a constant of", [](Program& p) { p.constants[0].data.pop_back(); });
  refused("value 99 as input", [](Program& p) { p.instructions[1].a = 99; });
  refused("value -1 as input", [](Program& p) { p.instructions[1].a = -1; });
  refused("not yet written", [](Program& p) { p.instructions[0].a = 3; });
  refused("value 0 as output", [](Program& p) { p.instructions[1].out = 0; });
  refused("written already", [](Program& p) { p.instructions[1].out = 1; });
  refused("expected (20, 11)", [](Program& p) { p.instructions[0].constant[0] = 1; });
  refused("constant 999", [](Program& p) { p.instructions[1].constant[2] = 999; });
  refused("a relu", [](Program& p) { p.instructions[1].relu = true; });
  refused("function", [](Program& p) { p.instructions[5].function = id_exp; });
  refused("code 200", [](Program& p) { p.instructions[1].code = static_cast<Code>(200); });
  refused("does not follow", [](Program& p) { p.instructions[10].out_offset = 1; });
  refused("beyond its input", [](Program& p) { p.instructions[10].a_offset = 1; });
  refused("expected a multiple", [](Program& p) { p.width[static_cast<size_t>(p.instructions[9].out)] = 7; });
  refused("that is not int8", [](Program& p) { p.instructions[0].code = Code::dense8; });
  refused("an output of integers", [](Program& p) {
    p = of_integers({3, 4}, true);
    p.instructions.pop_back();
  });
  auto integer = [](auto change) {
    return [change](Program& p) {
      p = of_integers({3, 4}, true);
      change(p, p.instructions[0], p.instructions[1]);
    };
  };
  auto data = [](Program& p, int32_t constant) -> float& { return p.constants[static_cast<size_t>(constant)].data[1]; };
  refused("that is not int16", integer([](Program&, Instruction&, Instruction& d) { d.code = Code::dense16; }));
  refused("that is not int8", integer([](Program&, Instruction&, Instruction& d) { d.a = 0; }));
  refused("weights of float32",
          integer([](Program& p, Instruction&, Instruction&) { p.constants[2].storage = Storage::float32; }));
  refused("a range of", integer([](Program&, Instruction& q, Instruction&) { q.q = 256; }));
  refused("a range of", integer([](Program&, Instruction& q, Instruction&) { q.p = 0.5f; }));
  refused("a range of", integer([](Program&, Instruction& q, Instruction&) { q.q = __builtin_nanf(""); }));
  refused("zero at", integer([&](Program& p, Instruction& q, Instruction&) { data(p, q.constant[1]) = -1; }));
  refused("a scale of",
          integer([&](Program& p, Instruction& q, Instruction&) { data(p, q.constant[0]) = __builtin_inff(); }));
  refused("a scale of",
          integer([&](Program& p, Instruction&, Instruction& d) { data(p, d.constant[2]) = __builtin_nanf(""); }));
  for (const float weight : {128.0f, 0.5f, -0.0f, 1e30f, __builtin_nanf("")})
    refused("a constant of int8 with other numbers",
            integer([&](Program& p, Instruction&, Instruction& d) { data(p, d.constant[0]) = weight; }));
  refused("only written in part", [](Program& p) { p.instructions.resize(11); });
}

// One layer of 127 or 32767 everywhere, whose inputs all lie beyond the ends of their range: the largest sums that there are.
Program of_extremes(bool eight, int32_t K, int32_t N) {
  Program p;
  p.width = {K};
  add_integer_dense(p, eight, N);
  const float most = eight ? 127 : 32767;
  auto all = [&](int32_t constant, float number) {
    for (float& c : p.constants[static_cast<size_t>(constant)].data) c = c < 0 ? -number : number;
  };
  Instruction &q = p.instructions[0], &d = p.instructions[1];
  for (float& c : p.constants[static_cast<size_t>(d.constant[0])].data) c = most;
  for (int32_t n = 1; n < N; n += 2)
    for (int32_t k = 0; k < K; k++)
      p.constants[static_cast<size_t>(d.constant[0])].data[static_cast<size_t>(n * K + k)] = -most;
  q.p = eight ? 0 : -32767, q.q = eight ? 255 : 32767;
  all(q.constant[1], eight ? 255 : 0);
  return p;
}
void the_largest_sums_are_exact_and_larger_ones_refused() {
  for (const int32_t N : {1, 5})
    for (const bool eight : {true, false}) {
      const int32_t most = eight ? 33'155 : 2;  // 33155 (255 + 255) 127 and 2 32767² are below 2³¹, one more is not
      const Program p = of_extremes(eight, most, N);
      for (const char* isa : kIsas) {
        const KernelTable* kernels = kernel_table(isa);
        for (const bool vnni : {false, true}) {
          if (!kernels) continue;
          Options o;
          o.vnni = vnni;
          const Predictor predictor(p, *kernels, o);
          for (const float end : {-1e30f, 1e30f, 0.0f}) {
            const std::vector<float> x(static_cast<size_t>(most), end);
            std::vector<float> y(static_cast<size_t>(N));
            predictor.run(x.data(), y.data());
            CHECK(same_bits(y.data(), reference_answer(p, x.data()).data(), y.size()));
          }
        }
      }
      try {
        validate(of_extremes(eight, most + 1, N), "test");
        CHECK(!"it was accepted");
      } catch (const Error& e) {
        CHECK(std::string(e.what()).find("beyond int32") != std::string::npos);
      }
    }
}

// What `narrowed` makes of any weights stays in range, and says what it cannot hold.
void narrowed_programs_are_valid() {
  for (const int32_t K : {1, 2, 300, 60'000})
    for (const Storage precision : {Storage::int8, Storage::int16}) {
      Program p = of_widths({K, 2, 1});
      for (const float weight : {1.0f, -3e38f, 1e-45f, 0.0f}) {
        auto& w = p.constants[0].data;
        std::fill(w.begin(), w.end(), weight);
        std::vector<float> x(static_cast<size_t>(K), weight == -3e38f ? 1e-3f : 2.0f);
        const Program made = narrowed(p, precision, {x.data(), 1});
        validate(made, "test");
        CHECK(made.constants[2].storage == precision || made.constants[1].storage == precision);
      }
    }
  Program p = of_widths({3, 2});
  const float x[] = {1, 2, 3}, bad[] = {1, __builtin_nanf(""), 3};
  auto says = [&](const char* part, const Events& events) {
    try {
      narrowed(p, Storage::int8, events);
      CHECK(!"it was accepted");
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find(part) != std::string::npos);
    }
  };
  says("needs calibration=X", {});
  says("calibration event 0 gives a dense layer nan", {bad, 1});
  p.constants[0].data[1] = __builtin_inff();
  says("has the weight inf, which int8 cannot hold", {x, 1});
}

void a_fused_program_has_the_same_bits() {
  Program p = of_widths({9, 20}, false);
  add(p, Code::unary, last(p), 20).function = id_relu;
  const int32_t kept = last(p);
  add(p, Code::dense, kept, 20);
  const int32_t read_twice = last(p);
  add(p, Code::unary, read_twice, 20).function = id_relu;
  Instruction& sum = add(p, Code::binary, last(p), 20);
  sum.function = id_add, sum.b = read_twice;
  Program fused = p;
  fuse(fused);
  CHECK_EQ(fused.instructions.size(), p.instructions.size() - 1);
  CHECK(fused.instructions[0].relu);
  CHECK(!fused.instructions[1].relu);
  const auto x = events(20, 9);
  const Predictor a(p, *kernel_table(nullptr)), b(fused, *kernel_table(nullptr));
  std::vector<float> y(20 * 20), z(20 * 20);
  a.run_rows(x.data(), 20, y.data());
  b.run_rows(x.data(), 20, z.data());
  CHECK(same_bits(y.data(), z.data(), y.size()));
}

}  // namespace

int main(int argc, char** argv) {
  return test::run(
      argc, argv,
      {CASE(bits_are_those_of_the_reference_loops), CASE(writes_nothing_but_the_answer), CASE(a_call_allocates_nothing),
       CASE(a_call_asks_the_system_for_nothing), CASE(the_sanitizer_watches), CASE(eight_threads_share_a_predictor),
       CASE(programs_that_do_not_fit_are_refused), CASE(a_fused_program_has_the_same_bits),
       CASE(the_largest_sums_are_exact_and_larger_ones_refused), CASE(narrowed_programs_are_valid)});
}
