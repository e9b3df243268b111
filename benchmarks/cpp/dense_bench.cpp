// Dense kernels against the machine's own fma rate, taken in turns with it.
//
//   bench_dense_bench [isa ...] [forward gradients narrow few layout event threads ...]    (nothing: everything)
//
// Every figure is the best of several short rounds; "share" is of the fma peak of the same ISA and type on one core.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "cpu/isa.h"
#include "cpu/pool.h"
#include "math/order.h"

using namespace tg;

namespace {

// Time of this thread where one thread works, so that a busy machine does not count; of the clock where several do.
double seconds() {
  timespec t;
  clock_gettime(num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// ---- the peak: independent chains of fma in registers ------------------------------------------------------------
#if defined(__x86_64__)
typedef float f8 __attribute__((vector_size(32)));
typedef float f16 __attribute__((vector_size(64)));
typedef double d4 __attribute__((vector_size(32)));
typedef double d8 __attribute__((vector_size(64)));
#define TG_PEAK_X86(name, V, T, isa)                                                                                 \
  __attribute__((target(isa))) double name() {                                                                       \
    constexpr int rounds = 20000;                                                                                    \
    V a = T(0.999) - V{}, b = T(1e-3) - V{}, c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a, c6 = a, c7 = a, c8 = a, \
      c9 = a;                                                                                                        \
    const double start = seconds();                                                                                  \
    for (int i = 0; i < rounds; i++)                                                                                 \
      __asm__ volatile(TG_TEN                                                                                        \
                       : "+v"(c0), "+v"(c1), "+v"(c2), "+v"(c3), "+v"(c4), "+v"(c5), "+v"(c6), "+v"(c7), "+v"(c8),   \
                         "+v"(c9)                                                                                    \
                       : "v"(a), "v"(b));                                                                            \
    return 2.0 * 10 * rounds * double(sizeof(V) / sizeof(T)) / (seconds() - start);                                  \
  }
#define TG_ONE(suffix, i) "vfmadd213" suffix " %11, %10, %" #i "\n\t"
#define TG_ALL(s) \
  TG_ONE(s, 0)    \
  TG_ONE(s, 1) TG_ONE(s, 2) TG_ONE(s, 3) TG_ONE(s, 4) TG_ONE(s, 5) TG_ONE(s, 6) TG_ONE(s, 7) TG_ONE(s, 8) TG_ONE(s, 9)
#define TG_TEN TG_ALL("ps")
TG_PEAK_X86(peak_f8, f8, float, "avx2,fma")
TG_PEAK_X86(peak_f16, f16, float, "avx512f")
#undef TG_TEN
#define TG_TEN TG_ALL("pd")
TG_PEAK_X86(peak_d4, d4, double, "avx2,fma")
TG_PEAK_X86(peak_d8, d8, double, "avx512f")
#endif

template <class T>
double peak(const std::string& isa) {
#if defined(__x86_64__)
  if (isa == "avx512") return sizeof(T) == 4 ? peak_f16() : peak_d8();
  if (isa == "avx2") return sizeof(T) == 4 ? peak_f8() : peak_d4();
#endif
  return 0;  // not measured
}

// ---- timing --------------------------------------------------------------------------------------------------------
struct Figure {
  double time, peak;  // seconds of one call, flops per second
};
template <class T, class F>
Figure measure(const std::string& isa, F call, double target = 1.5e-3) {
  call();
  double start = seconds();
  call();
  const double once = std::max(seconds() - start, 20e-9);
  const int64_t calls = std::max<int64_t>(1, int64_t(target / once));
  Figure best{1e9, 0};
  for (int round = 0; round < 9; round++) {
    best.peak = std::max(best.peak, peak<T>(isa));
    start = seconds();
    for (int64_t i = 0; i < calls; i++) call();
    best.time = std::min(best.time, (seconds() - start) / double(calls));
  }
  return best;
}

template <class T>
T* numbers(int64_t n) {
  static std::mt19937 engine(1);
  std::uniform_real_distribution<double> uniform(-1, 1);
  T* p = static_cast<T*>(std::aligned_alloc(64, size_t(n * int64_t(sizeof(T)) + 127) / 64 * 64));
  for (int64_t i = 0; i < n; i++) p[i] = T(uniform(engine));
  return p;
}

template <class T>
struct Layer {
  int64_t M, N, K;
  const DenseTable<T>& table;
  T *x, *w, *bias, *y, *packed, *wt, *dw, *db, *dx;
  Layer(int64_t M, int64_t N, int64_t K, const DenseTable<T>& table) : M(M), N(N), K(K), table(table) {
    x = numbers<T>(M * K), w = numbers<T>(N * K), bias = numbers<T>(N), y = numbers<T>(M * N), wt = numbers<T>(N * K);
    dw = numbers<T>(N * K), db = numbers<T>(N), dx = numbers<T>(M * K);
    packed = numbers<T>(table.packed_size(N, K));
    pack();
  }
  ~Layer() {
    for (T* p : {x, w, bias, y, packed, wt, dw, db, dx}) std::free(p);
  }
  void pack() { table.pack(w, K, 1, N, K, packed); }
  void pack_straight() { table.pack(wt, 1, N, N, K, packed); }
  void forward() { table.forward({M, N, K, x, K, packed, nullptr, 0, 0, bias, y, N, {Fused::relu}}); }
  void forward_out_in() { table.forward({M, N, K, x, K, nullptr, w, K, 1, bias, y, N, {Fused::relu}}); }
  void forward_in_out() { table.forward({M, N, K, x, K, nullptr, wt, 1, N, bias, y, N, {Fused::relu}}); }
  void grad_input() { table.grad_input({M, N, K, y, N, w, K, 1, dx, K, {}}); }
  void grad_weight() { table.grad_weight({M, N, K, y, N, x, K, dw, K, nullptr, shard_rows(M)}); }
  void grad_bias() { table.grad_weight({M, N, K, y, N, nullptr, 0, nullptr, 0, db, shard_rows(M)}); }
  double flops() const { return 2.0 * double(M) * double(N) * double(K); }
};

struct Shape {
  int64_t M, N, K;
};
void print(const char* what, const char* isa, const char* type, Shape s, double flops, Figure f) {
  std::printf("%-16s %-8s %-6s %7lld x %5lld x %5lld  %11.3f us", what, isa, type, (long long)s.M, (long long)s.K,
              (long long)s.N, f.time * 1e6);
  if (f.peak > 0 && flops > 0)
    std::printf("  %7.1f GF/s  %5.1f %%", flops / f.time * 1e-9, 100 * flops / f.time / f.peak);
  std::printf("\n");
  std::fflush(stdout);
}

const Shape wide[] = {{32, 64, 16},     {128, 64, 16},     {128, 32, 64},     {128, 32, 32},   {100, 200, 18},
                      {100, 100, 200},  {100, 300, 28},    {100, 300, 300},   {1024, 64, 16},  {1024, 32, 64},
                      {1024, 200, 18},  {1024, 100, 200},  {1024, 300, 300},  {128, 512, 784}, {128, 256, 512},
                      {1024, 512, 784}, {512, 2048, 1024}, {1024, 2048, 2048}};
const int64_t narrow[] = {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 15, 16, 17, 18, 20, 24, 25, 31, 32, 33, 40};

template <class T>
void run(const Isa& isa, const std::vector<std::string>& parts) {
  const auto& table = isa.dense<T>();
  const char* type = sizeof(T) == 4 ? "float" : "double";
  auto wanted = [&](const char* part) {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  auto row = [&](const char* what, Shape s, double flops, auto call) {
    print(what, isa.name, type, s, flops, measure<T>(isa.name, call));
  };
  if (wanted("forward"))
    for (Shape s : wide) {
      Layer<T> l(s.M, s.N, s.K, table);
      row("forward", s, l.flops(), [&] { l.forward(); });
    }
  if (wanted("gradients"))
    for (Shape s : wide) {
      Layer<T> l(s.M, s.N, s.K, table);
      row("grad_input", s, l.flops(), [&] { l.grad_input(); });
      row("grad_weight", s, l.flops(), [&] { l.grad_weight(); });
      row("grad_bias", s, 0, [&] { l.grad_bias(); });
    }
  if (wanted("narrow"))
    for (int64_t M : {1, 128, 1024})
      for (int64_t K : {32, 300})
        for (int64_t N : narrow) {
          Layer<T> l(M, N, K, table);
          row("narrow", {M, N, K}, l.flops(), [&] { l.forward(); });
        }
  if (wanted("steps"))  // a long K and the widths around every change in the number of chains
    for (int64_t M : {1, 1024})
      for (Shape s : {Shape{M, 1, 300}, {M, 2, 300},   {M, 5, 300},   {M, 10, 300},  {M, 16, 300}, {M, 17, 300},
                      {M, 18, 300},     {M, 32, 300},  {M, 33, 300},  {M, 64, 300},  {M, 65, 300}, {M, 100, 300},
                      {M, 128, 300},    {M, 129, 300}, {M, 300, 300}, {M, 100, 200}, {M, 10, 784}, {M, 64, 784},
                      {M, 32, 127},     {M, 32, 128},  {M, 64, 127},  {M, 64, 128}}) {
        Layer<T> l(s.M, s.N, s.K, table);
        row("steps", s, l.flops(), [&] { l.forward(); });
      }
  if (wanted("stream")) {  // what memory sets the pace of
    for (int64_t M : {1, 2, 4, 8})
      for (Shape s : {Shape{M, 64, 16},
                      {M, 100, 200},
                      {M, 300, 300},
                      {M, 256, 512},
                      {M, 512, 784},
                      {M, 2048, 1024},
                      {M, 2048, 2048}}) {
        Layer<T> l(s.M, s.N, s.K, table);
        row("(out,in)", s, l.flops(), [&] { l.forward_out_in(); });
        if (M > 1) continue;
        row("event, dX", s, l.flops(), [&] { l.grad_input(); });
        row("event, dW", s, l.flops(), [&] { l.grad_weight(); });
      }
    for (Shape s : {Shape{1, 2048, 1},
                    {128, 32, 1},
                    {128, 2048, 1},
                    {1024, 5, 1},
                    {1024, 64, 1},
                    {1024, 200, 1},
                    {1024, 300, 1},
                    {1024, 2048, 1},
                    {8192, 1, 1},
                    {8192, 5, 1},
                    {8192, 32, 1},
                    {8192, 200, 1},
                    {8192, 300, 1},
                    {8192, 2048, 1}}) {
      Layer<T> l(s.M, s.N, s.K, table);
      row("grad_bias", s, 0, [&] { l.grad_bias(); });
    }
  }
  if (wanted("few"))
    for (int64_t M : {1, 2, 3, 4, 6, 8, 12, 16})
      for (Shape s : {Shape{M, 300, 300}, Shape{M, 512, 784}, Shape{M, 100, 200}}) {
        Layer<T> l(s.M, s.N, s.K, table);
        row("few rows", s, l.flops(), [&] { l.forward(); });
        row("few, dX", s, l.flops(), [&] { l.grad_input(); });
      }
  if (wanted("layout"))
    for (Shape s : {Shape{1, 300, 300},
                    {8, 300, 300},
                    {64, 300, 300},
                    {1024, 300, 300},
                    {1024, 200, 18},
                    {128, 512, 784},
                    {128, 64, 16},
                    {128, 32, 64},
                    {512, 2048, 1024}}) {
      Layer<T> l(s.M, s.N, s.K, table);
      row("packed before", s, l.flops(), [&] { l.forward(); });
      row("(in,out)", s, l.flops(), [&] { l.forward_in_out(); });
      row("(out,in)", s, l.flops(), [&] { l.forward_out_in(); });
      row("pack (in,out)", s, 0, [&] { l.pack_straight(); });
      row("pack (out,in)", s, 0, [&] { l.pack(); });
    }
  if (wanted("event")) {  // batch 1 through whole nets, one layer after the other, the last without activation
    const std::vector<std::pair<const char*, std::vector<int64_t>>> nets = {
        {"jet", {16, 64, 32, 32, 5}},
        {"ecal", {12, 32, 16, 1}},
        {"autoencoder", {57, 32, 16, 3, 16, 32, 57}},
        {"higgs", {28, 300, 300, 300, 300, 1}}};
    for (const auto& [name, sizes] : nets)
      for (int64_t M : {int64_t(1), int64_t(1024)}) {
        std::vector<Layer<T>*> layers;
        double flops = 0;
        for (size_t i = 0; i + 1 < sizes.size(); i++) {
          layers.push_back(new Layer<T>(M, sizes[i + 1], sizes[i], table));
          flops += layers.back()->flops();
        }
        row(name, {M, sizes.back(), sizes.front()}, flops, [&] {
          const T* x = layers[0]->x;
          for (Layer<T>* l : layers) {
            table.forward({M,
                           l->N,
                           l->K,
                           x,
                           l->K,
                           l->packed,
                           nullptr,
                           0,
                           0,
                           l->bias,
                           l->y,
                           l->N,
                           {l == layers.back() ? Fused::nothing : Fused::relu}});
            x = l->y;
          }
        });
        for (Layer<T>* l : layers) delete l;
      }
  }
  if (wanted("threads")) {
    const int before = num_threads();
    for (Shape s : {Shape{1024, 300, 300},
                    {128, 512, 784},
                    {1024, 512, 784},
                    {1024, 64, 16},
                    {4096, 32, 64},
                    {1, 2048, 1024},
                    {512, 2048, 1024},
                    {100000, 64, 16},
                    {100000, 5, 32}})
      for (int n = 1; n <= 2; n++) {
        set_num_threads(n);
        Layer<T> l(s.M, s.N, s.K, table);
        const std::string suffix = " " + std::to_string(n);
        row(("forward" + suffix).c_str(), s, l.flops(), [&] { l.forward(); });
        row(("grad_input" + suffix).c_str(), s, l.flops(), [&] { l.grad_input(); });
        row(("grad_weight" + suffix).c_str(), s, l.flops(), [&] { l.grad_weight(); });
        row(("grad_bias" + suffix).c_str(), s, 0, [&] { l.grad_bias(); });
      }
    set_num_threads(before);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> names, parts;
  bool doubles = false;
  for (int i = 1; i < argc; i++) {
    bool is_isa = false;
    for (const Isa* isa : available_isas()) is_isa = is_isa || !std::strcmp(argv[i], isa->name);
    if (!std::strcmp(argv[i], "double")) doubles = true;
    else (is_isa ? names : parts).push_back(argv[i]);
  }
  if (std::find(parts.begin(), parts.end(), "threads") == parts.end()) set_num_threads(1);
  for (const Isa* isa : available_isas()) {
    if (names.empty() ? !std::strcmp(isa->name, "baseline")
                      : std::find(names.begin(), names.end(), isa->name) == names.end())
      continue;
    if (doubles) run<double>(*isa, parts);
    else run<float>(*isa, parts);
  }
}
