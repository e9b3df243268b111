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
#include "predictor_programs.h"
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
using namespace tg::test;

namespace {

constexpr const char* kIsas[] = {"baseline", "avx2", "avx512"};

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
       CASE(a_fused_program_has_the_same_bits), CASE(the_largest_sums_are_exact_and_larger_ones_refused)});
}
