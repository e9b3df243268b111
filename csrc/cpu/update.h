// Kernels of the optimizers' rows, of one ISA.
#pragma once
#include <stdint.h>

namespace tg {

// What the elements of a parameter share, from the attributes; `scalar` is brought up to date.
struct UpdateNumbers {
  double c[8];
  bool flag[4];
};
using UpdatePrepare = void (*)(const double* attributes, double* scalar, UpdateNumbers* numbers);

// One step of n elements of a parameter: its gradient and its states lie beside it.
template <class T>
using UpdateStep = void (*)(const UpdateNumbers* numbers, T* parameter, const T* gradient, T* const* states, int64_t n);

inline constexpr int kUpdateRules = 10;  // in the order of KernelOp: sgd, adagrad, ... rprop
inline constexpr int kUpdateMostStates = 3, kUpdateMostScalars = 3;

struct UpdateTable {
  UpdatePrepare prepare[kUpdateRules];
  UpdateStep<float> step_f32[kUpdateRules][kUpdateMostStates + 1];  // [rule][number of states]
  UpdateStep<double> step_f64[kUpdateRules][kUpdateMostStates + 1];
};

}  // namespace tg
