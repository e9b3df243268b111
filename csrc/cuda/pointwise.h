// Rows of math/pointwise.def and their derivatives over operands of any strides.
#pragma once
#include <type_traits>

#include "cuda/kernels.h"
#include "cuda/walk.h"
#include "math/pointwise_forms.h"

namespace tg::cuda {

template <class Form, class T>
struct Pointwise {
  static constexpr int inputs = Form::inputs;
  using Stored = typename stored<T>::type;
  using Result = std::conditional_t<Form::test, uint8_t, Stored>;
  Walk<inputs + 1> walk;
  Reader<Stored> in[inputs];
  Result* out;
  T p, q;

  TG_BODY void operator()(int64_t i) const {
    int64_t at[inputs + 1];
    walk.offsets(i, at);
    T x[inputs];
    for (int k = 0; k < inputs; k++) x[k] = T(in[k][at[k]]);
    out[at[inputs]] = Result(Form::at(x, p, q));
  }
};

template <class T>
T parameter(double p) {
  if constexpr (lane<T>::floating) return T(p);
  else return held<T>(bits(p));
}

template <class Form, class T>
void launch_pointwise(const Operand* in, const Operand& out, double p, double q, Stream stream) {
  Pointwise<Form, T> body;
  const Operand* all[Form::inputs + 1];
  for (int k = 0; k < Form::inputs; k++) {
    all[k] = &in[k];
    body.in[k] = Reader<typename stored<T>::type>(in[k]);
  }
  all[Form::inputs] = &out;
  body.walk = walk_over<Form::inputs + 1>(out.rank, out.shape, all);
  body.out = static_cast<typename Pointwise<Form, T>::Result*>(out.data);
  body.p = parameter<T>(p);
  body.q = parameter<T>(q);
  each(stream, body.walk.n, body);
}

template <class Form, class T>
constexpr PointwiseLaunch pointwise_kernel() {
  if constexpr (takes<T>(Form::dtypes)) return launch_pointwise<Form, T>;
  else return nullptr;
}

}  // namespace tg::cuda
