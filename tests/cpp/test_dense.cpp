// The dense kernels of every ISA against the plain loops of csrc/math/reference.h, bit for bit.
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "math/reference.h"

using namespace tg;

namespace {

constexpr int64_t sizes[] = {0, 1, 2, 5, 7, 8, 15, 16, 17, 31, 33, 63, 65};
struct Shape {
  int64_t M, N, K;
};
constexpr Shape shapes[] = {
    {1, 64, 16},     {128, 64, 16},  {128, 32, 64},  {129, 5, 32},    {100, 200, 18}, {100, 2, 100},  {67, 300, 300},
    {1, 300, 300},   {2, 300, 300},  {70, 1, 300},   {65, 10, 256},   {50, 256, 784}, {33, 96, 1100}, {1, 130, 2000},
    {300, 18, 18},   {1000, 10, 33}, {1000, 33, 10}, {5000, 5, 7},    {5000, 18, 3},  {4097, 3, 16},  {9000, 1, 1},
    {260, 129, 128}, {64, 520, 24},  {3, 1000, 40},  {3, 1100, 1030}, {70, 2100, 3},  {130, 512, 70}, {66, 26, 512}};

// Random numbers of mixed magnitude and sign, in a buffer that ends where the data ends.
template <class T>
std::unique_ptr<T[]> random_numbers(int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::unique_ptr<T[]> data(new T[size_t(n)]);
  for (int64_t i = 0; i < n; i++) data[size_t(i)] = T(normal(engine) * std::exp2(double(int(engine() % 7)) - 3));
  return data;
}

template <class T>
void check_same(const T* got, int64_t row, const T* expected, int64_t M, int64_t N, const std::string& what) {
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++)
      if (!test::same_bits(got[m * row + n], expected[m * N + n]))
        return test::record(false, __FILE__, __LINE__,
                            what + " differs at " + std::to_string(m) + ", " + std::to_string(n) + ": " +
                                test::shown(got[m * row + n]) + " for " + test::shown(expected[m * N + n]));
  test::record(true, __FILE__, __LINE__, what);
}

template <class T>
void double_it(const void* const* inputs, void* output, int64_t n, double p, double q) {
  const T* in = static_cast<const T*>(inputs[0]);
  T* out = static_cast<T*>(output);
  for (int64_t i = 0; i < n; i++) out[i] = in[i] * T(p) + T(q);
}

// Operands of one shape and what the reference makes of them.
template <class T>
struct Case {
  int64_t M, N, K;
  std::unique_ptr<T[]> x, w, bias, dy;
  std::vector<T> y, y_relu, y_function, y_plain, dx, dw, db;
  Case(int64_t M, int64_t N, int64_t K) : M(M), N(N), K(K) {
    const auto seed = unsigned(M * 10007 + N * 101 + K);
    x = random_numbers<T>(M * K, seed);
    w = random_numbers<T>(N * K, seed + 1);
    bias = random_numbers<T>(N, seed + 2);
    dy = random_numbers<T>(M * N, seed + 3);
    y.resize(size_t(M * N)), y_plain.resize(y.size()), dx.resize(size_t(M * K)), dw.resize(size_t(N * K)),
        db.resize(size_t(N));
    reference::dense(M, N, K, x.get(), w.get(), bias.get(), y.data());
    reference::dense(M, N, K, x.get(), w.get(), static_cast<const T*>(nullptr), y_plain.data());
    reference::dense_grad_input(M, N, K, dy.get(), w.get(), dx.data());
    reference::dense_grad_weight(M, N, K, dy.get(), x.get(), dw.data());
    reference::sum_rows(M, N, dy.get(), db.data());
    y_relu = y_function = y;
    for (T& v : y_relu) v = v <= 0 ? T(0) : v;
    const void* in[] = {y.data()};
    double_it<T>(in, y_function.data(), M * N, 2, 1);
  }
};

template <class T>
std::vector<T> transposed(const T* a, int64_t M, int64_t N) {
  std::vector<T> t(size_t(M * N));
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) t[size_t(n * M + m)] = a[m * N + n];
  return t;
}

template <class T>
void check_case(const Case<T>& c, const DenseTable<T>& table, const std::string& isa) {
  const int64_t M = c.M, N = c.N, K = c.K;
  const std::string shape = " " + isa + (sizeof(T) == 4 ? " float " : " double ") + std::to_string(M) + "x" +
                            std::to_string(N) + "x" + std::to_string(K);
  const std::vector<T> wt = transposed(c.w.get(), N, K);
  std::unique_ptr<T[]> packed(new T[size_t(table.packed_size(N, K))]);
  const T untouched = T(-77);
  const int64_t row = N + 3;  // rows of y further apart than they are long
  std::vector<T> y(size_t(M * row), untouched);
  auto forward = [&](const T* image, const T* w, int64_t w_n, int64_t w_k, const T* bias, DenseActivation<T> activation,
                     const std::vector<T>& expected, const char* what) {
    std::fill(y.begin(), y.end(), untouched);
    table.forward({M, N, K, c.x.get(), K, image, w, w_n, w_k, bias, y.data(), row, activation});
    check_same(y.data(), row, expected.data(), M, N, what + shape);
    bool kept = true;
    for (int64_t m = 0; m < M; m++)
      for (int64_t n = N; n < row; n++) kept = kept && y[size_t(m * row + n)] == untouched;
    if (!kept) test::record(false, __FILE__, __LINE__, std::string(what) + " wrote beyond its rows" + shape);
  };
  table.pack(c.w.get(), K, 1, N, K, packed.get());
  forward(packed.get(), nullptr, 0, 0, c.bias.get(), {}, c.y, "forward packed");
  forward(packed.get(), nullptr, 0, 0, nullptr, {}, c.y_plain, "forward without bias");
  forward(packed.get(), nullptr, 0, 0, c.bias.get(), {Fused::relu}, c.y_relu, "forward relu");
  forward(packed.get(), nullptr, 0, 0, c.bias.get(), {Fused::function, double_it<T>, 2, 1}, c.y_function,
          "forward function");
  forward(nullptr, c.w.get(), K, 1, c.bias.get(), {}, c.y, "forward (out,in)");
  forward(nullptr, c.w.get(), K, 1, c.bias.get(), {Fused::relu}, c.y_relu, "forward (out,in) relu");
  forward(nullptr, c.w.get(), K, 1, c.bias.get(), {Fused::function, double_it<T>, 2, 1}, c.y_function,
          "forward (out,in) function");
  forward(nullptr, wt.data(), 1, N, c.bias.get(), {}, c.y, "forward (in,out)");
  forward(nullptr, wt.data(), 1, N, c.bias.get(), {Fused::relu}, c.y_relu, "forward (in,out) relu");
  forward(nullptr, wt.data(), 1, N, c.bias.get(), {Fused::function, double_it<T>, 2, 1}, c.y_function,
          "forward (in,out) function");
  {  // rows of y one after the other
    std::vector<T> close(size_t(M * N));
    table.forward({M,
                   N,
                   K,
                   c.x.get(),
                   K,
                   packed.get(),
                   nullptr,
                   0,
                   0,
                   c.bias.get(),
                   close.data(),
                   N,
                   {Fused::function, double_it<T>, 2, 1}});
    check_same(close.data(), N, c.y_function.data(), M, N, "forward function, no gaps" + shape);
  }
  table.pack(wt.data(), 1, N, N, K, packed.get());
  forward(packed.get(), nullptr, 0, 0, c.bias.get(), {}, c.y, "forward packed from (in,out)");

  std::unique_ptr<T[]> dx(new T[size_t(M * K)]), dw(new T[size_t(N * K)]), db(new T[size_t(N)]),
      p(new T[size_t(M * N)]);
  table.grad_input({M, N, K, c.dy.get(), N, c.w.get(), K, 1, dx.get(), K, {}});
  check_same(dx.get(), K, c.dx.data(), M, K, "grad_input" + shape);
  table.grad_weight({M, N, K, c.dy.get(), N, c.x.get(), K, dw.get(), K, db.get(), shard_rows(M)});
  check_same(dw.get(), K, c.dw.data(), N, K, "grad_weight" + shape);
  check_same(db.get(), N, c.db.data(), 1, N, "grad_bias" + shape);

  const std::vector<T> xt = transposed(c.x.get(), M, K);
  table.matmul({M, N, K, c.x.get(), K, 1, c.w.get(), 1, K, p.get(), N});
  check_same(p.get(), N, c.y_plain.data(), M, N, "matmul x w^T" + shape);
  table.matmul({M, N, K, xt.data(), 1, M, wt.data(), N, 1, p.get(), N});
  check_same(p.get(), N, c.y_plain.data(), M, N, "matmul of a transposed x" + shape);
}

template <class T>
void every_isa(int64_t M, int64_t N, int64_t K) {
  const Case<T> c(M, N, K);
  for (const Isa* isa : available_isas()) check_case<T>(c, isa->dense<T>(), isa->name);
}

void small_sizes() {
  for (int64_t M : sizes)
    for (int64_t N : sizes)
      for (int64_t K : sizes) {
        every_isa<float>(M, N, K);
        if ((M + N + K) % 3 == 0) every_isa<double>(M, N, K);
      }
}
void real_shapes() {
  for (const Shape& s : shapes) every_isa<float>(s.M, s.N, s.K), every_isa<double>(s.M, s.N, s.K);
}
// More rows than one task takes, enough work for all threads.
void threads() {
  const int before = num_threads();
  for (int n : {1, 2, 3, 4, 8}) {
    set_num_threads(n);
    every_isa<float>(1000, 64, 32);
    every_isa<float>(20, 1000, 70);
    every_isa<float>(6000, 5, 32);
    every_isa<double>(700, 37, 65);
    every_isa<float>(1, 1030, 1030);
    every_isa<float>(2100, 1100, 2);
  }
  set_num_threads(before);
}
// Each row of a batch has the bits of that row alone.
void rows_alone() {
  const int64_t N = 37, K = 50, M = 130;
  const Case<float> c(M, N, K);
  for (const Isa* isa : available_isas()) {
    const auto& table = isa->dense<float>();
    for (int64_t first : {0, 1, 64, 129}) {
      std::vector<float> y(N);
      table.forward({1, N, K, c.x.get() + first * K, K, nullptr, c.w.get(), K, 1, c.bias.get(), y.data(), N, {}});
      check_same(y.data(), N, c.y.data() + first * N, 1, N, std::string("row alone ") + isa->name);
    }
  }
}
// NaN and infinities stay where they are; padded lanes never leak.
void not_finite() {
  const float inf = INFINITY, nan = NAN;
  for (const Isa* isa : available_isas())
    for (int64_t M : {1, 20}) {
      const int64_t N = 5, K = 9;
      std::vector<float> x(size_t(M * K), 0.5f), w(size_t(N * K), 1.0f), y(size_t(M * N)), expected(y.size());
      w[0] = inf, w[K] = nan, w[2 * K + 3] = -inf, x[4] = -0.0f;
      reference::dense(M, N, K, x.data(), w.data(), static_cast<const float*>(nullptr), expected.data());
      isa->dense<float>().forward({M, N, K, x.data(), K, nullptr, w.data(), K, 1, nullptr, y.data(), N, {}});
      check_same(y.data(), N, expected.data(), M, N, std::string("not finite ") + isa->name);
      isa->dense<float>().forward({M, N, K, x.data(), K, nullptr, w.data(), K, 1, nullptr, y.data(), N, {Fused::relu}});
      CHECK(std::isnan(y[1]));
      CHECK_BITS(y[2], 0.0f);
      CHECK_BITS(y[0], inf);
    }
}

}  // namespace

int main(int argc, char** argv) {
  return test::run(argc, argv,
                   {CASE(small_sizes), CASE(real_shapes), CASE(threads), CASE(rows_alone), CASE(not_finite)});
}
