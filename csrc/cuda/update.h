// The steps of the optimizers (math/update.h) over a list of parameters at once: the numbers that the elements of a parameter share
// are prepared by a thread each, then blocks take chunks of the elements. Nothing comes from the host but pointers and attributes.
#pragma once
#include "cuda/kernels.h"
#include "math/update.h"

namespace tg::cuda {

// Some parameters of a list, as many as the arguments of a kernel hold.
struct Parameters {
  static constexpr int most = 40;
  struct Parameter {
    void* member[2 + kUpdateStates];  // itself, its gradient, its states
    void* scalar[kUpdateScalars];     // the single numbers that are kept of it
    int64_t length, first_block;
    bool wide[kUpdateScalars];  // scalars of float64
    bool aligned;               // its members are, as vectors

    TG_BODY double get(int k) const {
      return wide[k] ? *static_cast<double*>(scalar[k]) : double(*static_cast<float*>(scalar[k]));
    }
    TG_BODY void set(int k, double v) const {
      if (wide[k]) *static_cast<double*>(scalar[k]) = v;
      else *static_cast<float*>(scalar[k]) = float(v);
    }
  };
  int count = 0;
  int64_t blocks = 0;  // of all
  Parameter of[most];

  TG_BODY const Parameter& holder(int64_t block) const {
    int low = 0, high = count;  // the last one that starts at the block or before
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (of[middle].first_block <= block) low = middle;
      else high = middle;
    }
    return of[low];
  }
};

struct UpdateAttributes {
  static constexpr int most = 8;
  Live of[most];
  TG_BODY void read(double* a) const {
    TG_UNROLLED
    for (int k = 0; k < most; k++) a[k] = of[k].real();
  }
};
struct UpdateNumbers {
  double c[kUpdateNumbers];
  bool flag[kUpdateFlags];
};

// What is handed to each launch by value.
static_assert(sizeof(Parameters) + sizeof(UpdateAttributes) <= 4000);

template <class Rule>
struct PrepareUpdate {
  UpdateAttributes attributes;
  Parameters parameters;
  int scalars;
  UpdateNumbers* numbers;  // (parameters)
  TG_BODY void operator()(int64_t j) const {
    double a[UpdateAttributes::most], scalar[kUpdateScalars] = {};
    attributes.read(a);
    const Parameters::Parameter& p = parameters.of[j];
    TG_UNROLLED
    for (int k = 0; k < kUpdateScalars; k++)
      if (k < scalars) scalar[k] = p.get(k);
    UpdateNumbers n = {};
    Rule::prepare(a, scalar, n.c, n.flag);
    numbers[j] = n;
    TG_UNROLLED
    for (int k = 0; k < kUpdateScalars; k++)
      if (k < scalars) p.set(k, scalar[k]);
  }
};

template <class Rule, int states, class T>
struct UpdateElements {
  static constexpr int threads = 256, vector = 16 / int(sizeof(T)), vectors = 2, chunk = threads * vector * vectors;
  struct Shared {};
  struct Own {};
  struct alignas(16) Vector {
    T v[vector];
  };
  UpdateAttributes attributes;
  Parameters parameters;
  const UpdateNumbers* numbers;  // of the parameters; null: they keep none, so that all share those of the attributes

  TG_BODY int64_t steps() const { return 0; }
  TG_BODY void load(int64_t, int64_t, int, Shared&) const {}
  TG_BODY void work(int64_t, int64_t, int, const Shared&, Own&) const {}
  TG_BODY void end(int64_t, int, Own&) const {}

  TG_BODY void begin(int64_t block, int thread, Own&) const {
    const Parameters::Parameter& p = parameters.holder(block);
    UpdateNumbers n = {};
    if constexpr (__is_same(Rule, update_sgd)) {
      double a[UpdateAttributes::most];
      attributes.read(a);
      Rule::prepare(a, nullptr, n.c, n.flag);
    } else {
      n = numbers[&p - parameters.of];
    }
    T c[kUpdateNumbers];
    TG_UNROLLED
    for (int k = 0; k < kUpdateNumbers; k++) c[k] = T(n.c[k]);
    const int64_t first = (block - p.first_block) * chunk + thread * vector;
    TG_UNROLLED
    for (int i = 0; i < vectors; i++) {
      const int64_t at = first + i * (threads * vector), left = p.length - at;
      if (left >= vector && p.aligned) several(p, at, c, n.flag);
      else
        for (int k = 0; k < vector && k < left; k++) one(p, at + k, c, n.flag);
    }
  }
  TG_BODY static void several(const Parameters::Parameter& p, int64_t at, const T* c, const bool* flag) {
    Vector member[2 + states];
    TG_UNROLLED
    for (int m = 0; m < 2 + states; m++)
      member[m] = *reinterpret_cast<const Vector*>(static_cast<T*>(p.member[m]) + at);
    TG_UNROLLED
    for (int k = 0; k < vector; k++) {
      T s[states + 1];
      TG_UNROLLED
      for (int m = 0; m < states; m++) s[m] = member[2 + m].v[k];
      Rule::template element<states>(c, flag, member[0].v[k], member[1].v[k], s);
      TG_UNROLLED
      for (int m = 0; m < states; m++) member[2 + m].v[k] = s[m];
    }
    TG_UNROLLED
    for (int m = 0; m < 2 + states; m++)
      if (m != 1) *reinterpret_cast<Vector*>(static_cast<T*>(p.member[m]) + at) = member[m];
  }
  TG_BODY static void one(const Parameters::Parameter& p, int64_t at, const T* c, const bool* flag) {
    T s[states + 1];
    TG_UNROLLED
    for (int m = 0; m < states; m++) s[m] = static_cast<const T*>(p.member[2 + m])[at];
    T& parameter = static_cast<T*>(p.member[0])[at];
    Rule::template element<states>(c, flag, parameter, static_cast<const T*>(p.member[1])[at], s);
    TG_UNROLLED
    for (int m = 0; m < states; m++) static_cast<T*>(p.member[2 + m])[at] = s[m];
  }
};

}  // namespace tg::cuda
