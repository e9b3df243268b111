// Dense kernels of one ISA: matrix products in the canonical orders of csrc/math/order.h.
// Plain structs and function pointers; every ISA exports one DenseTable<float> and one DenseTable<double>.
// Results depend on the operands alone, never on the ISA, the number of threads, the batch or the layout.
#pragma once
#include <stdint.h>

namespace tg {

enum class Fused { nothing, relu, function };

// What happens to y while its rows are hot. `function` is a contiguous pointwise kernel (cpu/pointwise.h):
// out[i] = f(in[0][i], p, q).
template <class T>
struct DenseActivation {
  Fused kind = Fused::nothing;
  void (*function)(const void* const* in, void* out, int64_t n, double p, double q) = nullptr;
  __attribute__((always_inline)) void apply(T* y, int64_t n) const {  // in place; no symbol of its own in ISA objects
    const void* in[1] = {y};
    function(in, y, n, p, q);
  }
  double p = 0, q = 0;
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

// dX(M,K) = dY(M,N) W(N,K): dense order, the sum runs over N
template <class T>
struct DenseGradInput {
  int64_t M, N, K;
  const T* dy;  // (M,N), unit stride along N
  int64_t dy_row;
  const T* w;  // (N,K), any strides
  int64_t w_n, w_k;
  T* dx;  // (M,K), unit stride along K
  int64_t dx_row;
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
