// Dense kernels of one ISA: matrix products in the canonical orders of csrc/math/order.h.
// Plain structs and function pointers; every ISA exports one DenseTable<float> and one DenseTable<double>.
// Results depend on the operands alone, never on the ISA, the number of threads, the batch or the layout.
#pragma once
#include <stdint.h>

namespace tg {

enum class Fused { nothing, relu, function, relu_slope, tanh_slope, sigmoid_slope };

// What happens to the rows of a result while they are hot. `function` is a contiguous pointwise kernel (cpu/pointwise.h), in
// place: y[i] = f(y[i], p, q), or, for a derivative, dx[i] = f(dx[i], input[i], output[i], p, q). It serves the kinds of
// slopes as well, where a product does not have them in registers.
template <class T>
struct DenseActivation {
  Fused kind = Fused::nothing;
  void (*function)(const void* const* in, void* out, int64_t n, double p, double q) = nullptr;
  double p = 0, q = 0;
  const T *input = nullptr, *output = nullptr;  // of a derivative: rows like the result's; null: not read
  int64_t row = 0;

  // No symbols of their own in ISA objects.
  __attribute__((always_inline)) bool is_slope() const { return kind > Fused::function; }
  __attribute__((always_inline)) const T* slope_of() const { return kind == Fused::relu_slope ? input : output; }
  __attribute__((always_inline)) bool goes_aside() const { return kind >= Fused::function; }
  __attribute__((always_inline)) void apply(T* y, int64_t n, int64_t at = 0) const {
    const void* in[3] = {y, input ? input + at : y, output ? output + at : y};
    function(in, y, n, p, q);
  }
};

// y(M,N) = activation(x(M,K) W(N,K)^T + bias(N)), dense order
template <class T>
struct DenseForward {
  int64_t M, N, K;
  const T* x;  // (M,K), unit stride along K
  int64_t x_row;
  const T* packed;  // W as pack(W, w_n, w_k, N, K, ...) left it, or null: then the kernel packs W for itself
  const T* w;       // (N,K), any strides; not read when packed
  int64_t w_n, w_k;
  const T* bias;  // (N), or null
  T* y;           // (M,N), unit stride along N, apart from all inputs
  int64_t y_row;
  DenseActivation<T> activation;
};

// dX(M,K) = dY(M,N) W(N,K), times the derivative of an activation: dense order, the sum runs over N
template <class T>
struct DenseGradInput {
  int64_t M, N, K;
  const T* dy;  // (M,N), unit stride along N
  int64_t dy_row;
  const T* w;  // (N,K), any strides
  int64_t w_n, w_k;
  T* dx;  // (M,K), unit stride along K
  int64_t dx_row;
  DenseActivation<T> slope;
};

// dW(N,K) = dY(M,N)^T X(M,K) and db(N) = column sums of dY: batch order, the sum runs over M, which may be a
// subtree of a larger batch
template <class T>
struct DenseGradWeight {
  int64_t M, N, K;
  const T* dy;  // (M,N), unit stride along N
  int64_t dy_row;
  const T* x;  // (M,K), unit stride along K; not read when dw is null
  int64_t x_row;
  T* dw;  // (N,K), unit stride along K, or null
  int64_t dw_row;
  T* db;          // (N), or null
  int64_t shard;  // rows of a shard of the batch order
};

// C(M,N) = A(M,K) B(K,N): dense order. Batches are the caller's loop (or its parallel tasks: nested calls run serially).
template <class T>
struct Matmul {
  int64_t M, N, K;
  const T* a;  // any strides
  int64_t a_m, a_k;
  const T* b;  // any strides
  int64_t b_k, b_n;
  T* c;  // unit stride along N, apart from all inputs
  int64_t c_row;
};

template <class T>
struct DenseTable {
  int64_t (*packed_size)(int64_t N, int64_t K);  // elements, to be aligned to 64 bytes
  void (*pack)(const T* w, int64_t w_n, int64_t w_k, int64_t N, int64_t K, T* packed);
  void (*forward)(const DenseForward<T>&);
  void (*grad_input)(const DenseGradInput<T>&);
  void (*grad_weight)(const DenseGradWeight<T>&);
  void (*matmul)(const Matmul<T>&);
};

}  // namespace tg
