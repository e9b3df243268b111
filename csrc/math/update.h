// What one step of each optimizer does to a parameter: the numbers that all its elements share, once per parameter, and
// the elements, for any lane type. A rule is a struct of
//
//   prepare(a, scalar, c, flag)       a: the attributes of its row in ops/table.cpp, true as 1; scalar: the single numbers
//                                     that are kept per parameter, brought up to date here; c, flag: what element reads
//   element<states>(c, flag, p, g, s) the parameter, its gradient and the states of its shape, one lane each
//
// The arithmetic of prepare is double. The states, scalars and attributes of each rule are named at its row.
#pragma once
#include "activation.h"

namespace TG_MATH_NS {

inline constexpr int kUpdateNumbers = 8, kUpdateFlags = 4, kUpdateStates = 3, kUpdateScalars = 3;

// from + weight (to - from)
template <class V>
TG_FN V toward(V from, V to, V weight) {
  return fma(weight, to - from, from);
}
// keep x + (1 - keep) y^2, with rest = 1 - keep
template <class V>
TG_FN V square_average(V x, V y, V keep, V rest) {
  return fma(rest * y, y, keep * x);
}
// Gradients to be followed upwards, and the pull to zero.
template <class V>
TG_FN V descent(V p, V g, bool maximize, V weight_decay, bool decays) {
  if (maximize) g = -g;
  return decays ? fma(weight_decay, p, g) : g;
}
// The pull to zero of the decoupled kind acts on the parameter itself: what it is multiplied by.
TG_FN double decoupled(double lr, double weight_decay) { return fma(-lr, weight_decay, 1.0); }

struct update_sgd {
  TG_MEMBER void prepare(const double* a, double*, double* c, bool* flag) {
    const double lr = a[0], momentum = a[1], dampening = a[2], weight_decay = a[3], nesterov = a[4], maximize = a[5],
                 l1 = a[6];
    c[0] = lr;
    c[1] = momentum;
    c[2] = 1 - dampening;
    c[3] = weight_decay;
    c[4] = lr * l1;
    flag[0] = maximize != 0;
    flag[1] = nesterov != 0;
    flag[2] = l1 != 0;
    flag[3] = weight_decay != 0;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[3], flag[3]);
    if constexpr (states == 1) {
      s[0] = fma(c[1], s[0], c[2] * g);
      g = flag[1] ? fma(c[1], s[0], g) : s[0];
    }
    p = fma(-c[0], g, p);
    // The proximal step of l1 |p|: what lies within lr l1 of zero becomes exactly zero.
    if (flag[2]) p = select(le(abs(p), c[4]), V{}, p - copysign(c[4], p));
  }
};

struct update_adagrad {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    const double lr = a[0], lr_decay = a[1], weight_decay = a[2], eps = a[3], maximize = a[4];
    c[0] = lr / fma(scalar[0], lr_decay, 1.0);
    c[1] = weight_decay;
    c[2] = eps;
    flag[0] = maximize != 0;
    flag[1] = weight_decay != 0;
    scalar[0] += 1;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[1], flag[1]);
    s[0] = fma(g, g, s[0]);
    p = fma(-c[0], g / (sqrt(s[0]) + c[2]), p);
  }
};

struct update_adadelta {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    const double lr = a[0], rho = a[1], eps = a[2], weight_decay = a[3], maximize = a[4];
    c[0] = lr;
    c[1] = rho;
    c[2] = 1 - rho;
    c[3] = eps;
    c[4] = weight_decay;
    flag[0] = maximize != 0;
    flag[1] = weight_decay != 0;
    scalar[0] += 1;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[4], flag[1]);
    s[0] = square_average(s[0], g, c[1], c[2]);
    const V change = sqrt(s[1] + c[3]) / sqrt(s[0] + c[3]) * g;
    s[1] = square_average(s[1], change, c[1], c[2]);
    p = fma(-c[0], change, p);
  }
};

struct update_rmsprop {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    const double lr = a[0], alpha = a[1], eps = a[2], weight_decay = a[3], momentum = a[4], centered = a[5],
                 maximize = a[6];
    c[0] = lr;
    c[1] = alpha;
    c[2] = 1 - alpha;
    c[3] = eps;
    c[4] = weight_decay;
    c[5] = momentum;
    flag[0] = maximize != 0;
    flag[1] = weight_decay != 0;
    flag[2] = centered != 0;
    scalar[0] += 1;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[4], flag[1]);
    s[0] = square_average(s[0], g, c[1], c[2]);
    V spread = s[0];
    const bool centered = states == 3 || (states == 2 && flag[2]);
    if constexpr (states > 1) {
      if (centered) {
        s[1] = toward(s[1], g, c[2]);
        spread = fma(-s[1], s[1], spread);
      }
    }
    V step = g / (sqrt(spread) + c[3]);
    if constexpr (states == 3) step = s[2] = fma(c[5], s[2], step);
    if constexpr (states == 2)
      if (!centered) step = s[1] = fma(c[5], s[1], step);
    p = fma(-c[0], step, p);
  }
};

struct update_adam {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    const double lr = a[0], beta1 = a[1], beta2 = a[2], eps = a[3], weight_decay = a[4], maximize = a[6],
                 decouple = a[7];
    const double step = scalar[0] += 1;
    c[0] = lr / (1 - pow(beta1, step));
    c[1] = 1 - beta1;
    c[2] = beta2;
    c[3] = 1 - beta2;
    c[4] = 1 / sqrt(1 - pow(beta2, step));
    c[5] = eps;
    c[6] = weight_decay;
    c[7] = decoupled(lr, weight_decay);
    flag[0] = maximize != 0;
    flag[1] = weight_decay != 0 && decouple == 0;
    flag[2] = weight_decay != 0 && decouple != 0;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[6], flag[1]);
    if (flag[2]) p = p * c[7];
    s[0] = toward(s[0], g, c[1]);
    s[1] = square_average(s[1], g, c[2], c[3]);
    V spread = s[1];
    if constexpr (states == 3) spread = s[2] = maximum(s[2], spread);
    p = fma(-c[0], s[0] / fma(sqrt(spread), c[4], c[5]), p);
  }
};

struct update_adamax {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    const double lr = a[0], beta1 = a[1], beta2 = a[2], eps = a[3], weight_decay = a[4], maximize = a[5];
    const double step = scalar[0] += 1;
    c[0] = lr / (1 - pow(beta1, step));
    c[1] = 1 - beta1;
    c[2] = beta2;
    c[3] = eps;
    c[4] = weight_decay;
    flag[0] = maximize != 0;
    flag[1] = weight_decay != 0;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[4], flag[1]);
    s[0] = toward(s[0], g, c[1]);
    s[1] = maximum(c[2] * s[1], abs(g) + c[3]);
    p = fma(-c[0], s[0] / s[1], p);
  }
};

struct update_nadam {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    const double lr = a[0], beta1 = a[1], beta2 = a[2], eps = a[3], weight_decay = a[4], momentum_decay = a[5],
                 decouple = a[6], maximize = a[7];
    const double step = scalar[0] += 1;
    const double mu = beta1 * fma(-0.5, pow(0.96, step * momentum_decay), 1.0);
    const double mu_next = beta1 * fma(-0.5, pow(0.96, (step + 1) * momentum_decay), 1.0);
    const double product = scalar[1] *= mu;
    c[0] = lr * (1 - mu) / (1 - product);
    c[1] = lr * mu_next / fma(-product, mu_next, 1.0);
    c[2] = 1 - beta1;
    c[3] = beta2;
    c[4] = 1 - beta2;
    c[5] = 1 / sqrt(1 - pow(beta2, step));
    c[6] = eps;
    c[7] = decouple != 0 ? decoupled(lr, weight_decay) : weight_decay;
    flag[0] = maximize != 0;
    flag[1] = weight_decay != 0 && decouple == 0;
    flag[2] = weight_decay != 0 && decouple != 0;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[7], flag[1]);
    if (flag[2]) p = p * c[7];
    s[0] = toward(s[0], g, c[2]);
    s[1] = square_average(s[1], g, c[3], c[4]);
    const V step = fma(c[1], s[0], c[0] * g);
    p = p - step / fma(sqrt(s[1]), c[5], c[6]);
  }
};

struct update_radam {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    const double lr = a[0], beta1 = a[1], beta2 = a[2], eps = a[3], weight_decay = a[4], decouple = a[5],
                 maximize = a[6];
    const double step = scalar[0] += 1;
    const double power = pow(beta2, step), rest = 1 - power;
    const double longest = 2 / (1 - beta2) - 1;                   // of the averages of squares, ever
    const double length = fma(-2 * step, power / rest, longest);  // at this step
    c[0] = lr / (1 - pow(beta1, step));
    flag[2] = length > 5;  // long enough for the variance to be known
    const double ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length);
    c[1] = flag[2] ? c[0] * sqrt(ratio * rest) : 0;
    c[2] = 1 - beta1;
    c[3] = beta2;
    c[4] = 1 - beta2;
    c[5] = eps;
    c[6] = decouple == 0 ? weight_decay : 0;
    c[7] = decouple != 0 ? decoupled(lr, weight_decay) : 1;
    flag[0] = maximize != 0;
    flag[1] = weight_decay != 0;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[6], flag[1]);
    p = p * c[7];
    s[0] = toward(s[0], g, c[2]);
    s[1] = square_average(s[1], g, c[3], c[4]);
    p = flag[2] ? fma(-c[1], s[0] / (sqrt(s[1]) + c[5]), p) : fma(-c[0], s[0], p);
  }
};

struct update_asgd {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    const double lr = a[0], lambd = a[1], alpha = a[2], t0 = a[3], weight_decay = a[4], maximize = a[5];
    const double step = scalar[0] += 1;
    c[0] = scalar[1];
    c[1] = fma(-lambd, scalar[1], 1.0);
    c[2] = scalar[2];
    c[3] = weight_decay;
    flag[0] = maximize != 0;
    flag[1] = weight_decay != 0;
    flag[2] = scalar[2] != 1;
    scalar[1] = lr / pow(fma(lambd * lr, step, 1.0), alpha);
    scalar[2] = 1 / maximum(1.0, step - t0);
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    g = descent(p, g, flag[0], c[3], flag[1]);
    p = fma(-c[0], g, p * c[1]);
    s[0] = flag[2] ? toward(s[0], p, c[2]) : p;
  }
};

struct update_rprop {
  TG_MEMBER void prepare(const double* a, double* scalar, double* c, bool* flag) {
    for (int k = 0; k < 4; k++) c[k] = a[k];  // eta_minus, eta_plus, the smallest and the largest step
    flag[0] = a[4] != 0;                      // maximize
    scalar[0] += 1;
  }
  template <int states, class V>
  TG_MEMBER void element(const V* c, const bool* flag, V& p, V g, V* s) {
    if (flag[0]) g = -g;
    const V turn = g * s[0];  // s[0]: the gradient before, s[1]: the step
    const V factor = select(gt(turn, V{}), c[1], select(lt(turn, V{}), c[0], constant<V>(1)));
    s[1] = minimum(maximum(s[1] * factor, c[2]), c[3]);
    g = select(lt(turn, V{}), V{}, g);
    p = fma(-signum(g), s[1], p);
    s[0] = g;
  }
};

}  // namespace TG_MATH_NS
