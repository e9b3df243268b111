// How a product's outputs are stored, four neighbours of a row at a time: as they are, through an activation, or times the
// derivative of one.
#pragma once
#include "cuda/elements.h"
#include "math/pointwise_forms.h"

namespace tg::cuda {

// Rows that end a product's kernel: the activations. The other pointwise rows of one argument follow as a call of their own.
TG_FN constexpr bool ends_product(int op) { return op >= id_tanh && op <= id_softplus && (op - id_tanh) % 3 == 0; }

// A form (math/pointwise_forms.h) of the activation `op`, of the values that it takes. One copy of all activations for the kernels of a
// file: they are called where the sums are done.
template <template <class> class Form, class T, class... Ts>
TG_SLOW T of_activation(int op, T p, T q, Ts... values) {
  const T in[] = {values...};
  switch (op) {
#define TG_UNARY(name, ...)                                                                            \
  case ends_product(id_##name) ? int(id_##name):                                                       \
    -2 - int(id_##name) : if constexpr (ends_product(id_##name)) return Form<op_##name>::at(in, p, q); \
    break;
#define TG_BINARY(...)
#define TG_UNARY_BITS(...)
#define TG_BINARY_BITS(...)
#define TG_UNARY_TEST(...)
#define TG_BINARY_TEST(...)
#include "math/pointwise.def"
    default: break;
  }
  return in[0];
}

// Where a product's outputs go: rows of N, one after the other.
struct Rows {
  void* data = nullptr;
  Dtype type = Dtype::Float32;
  int64_t N = 0;
  bool wide = false;  // four outputs can be stored as one

  template <class T>
  TG_BODY void store(int64_t m, int64_t n, const Four<T>& y) const {
    const int64_t place = m * N + n;
    if (wide) {
      if (type == dtype_like<T>) {
        *reinterpret_cast<Four<T>*>(static_cast<T*>(data) + place) = y;
      } else if constexpr (sizeof(T) == 4) {
        FourHalves h;
        TG_UNROLLED
        for (int e = 0; e < 4; e++) h.at[e] = type == Dtype::Float16 ? to_half(y.at[e]).bits : to_bfloat(y.at[e]).bits;
        *reinterpret_cast<FourHalves*>(static_cast<uint16_t*>(data) + place) = h;
      }
      return;
    }
    TG_UNROLLED
    for (int e = 0; e < 4; e++)
      if (n + e < N) set_element<T>(data, type, place + e, y.at[e]);
  }
};

template <class T>
struct AsIs {
  Rows rows;
  TG_BODY void operator()(int64_t m, int64_t n, const Four<T>& y) const { rows.store(m, n, y); }
};

template <class T>
struct Activated {
  Rows rows;
  int op = -1;
  T p = 0, q = 0;
  TG_BODY void operator()(int64_t m, int64_t n, Four<T> y) const {
    if (op >= 0) {
      TG_UNROLLED
      for (int e = 0; e < 4; e++)
        y.at[e] = op == id_relu ? op_relu::f(y.at[e], T(0), T(0)) : of_activation<forward>(op, p, q, y.at[e]);
    }
    rows.store(m, n, y);
  }
};

// The gradient that arrives at an activation, made into the one that leaves it.
template <class T>
struct Sloped {
  Rows rows;
  int op = -1;  // the activation; -1: the gradient as it is
  T p = 0, q = 0;
  const T *input = nullptr, *output = nullptr;  // of the activation; null: it is not looked at
  TG_BODY void operator()(int64_t m, int64_t n, Four<T> y) const {
    if (op >= 0) {
      TG_UNROLLED
      for (int e = 0; e < 4; e++) {
        if (n + e >= rows.N) continue;
        const int64_t place = m * rows.N + n + e;
        const T x = input ? input[place] : y.at[e], f = output ? output[place] : y.at[e];
        y.at[e] = of_activation<slope>(op, p, q, y.at[e], x, f);
      }
    }
    rows.store(m, n, y);
  }
};

}  // namespace tg::cuda
