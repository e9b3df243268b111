// The table of the optimizers' kernels: contiguous loops over the rules of math/update.h.
#include "cpu/simd.h"

#include "cpu/update.h"
#include "math/update.h"

namespace tg::TG_ISA_NS {
namespace {

static_assert(kUpdateNumbers == sizeof UpdateNumbers::c / sizeof(double) &&
              kUpdateFlags == sizeof UpdateNumbers::flag && kUpdateStates == kUpdateMostStates &&
              kUpdateScalars == kUpdateMostScalars);

template <class Rule>
void prepare(const double* attributes, double* scalar, UpdateNumbers* numbers) {
  *numbers = {};
  Rule::prepare(attributes, scalar, numbers->c, numbers->flag);
}

template <class Rule, int states, class V>
void step(const UpdateNumbers* numbers, typename lane<V>::S* parameter, const typename lane<V>::S* gradient,
          typename lane<V>::S* const* state, int64_t n) {
  using S = typename lane<V>::S;
  constexpr int w = lane<V>::n;
  V c[kUpdateNumbers], s[states + 1];
  bool flag[kUpdateFlags];
  S* kept[states + 1];
  for (int k = 0; k < kUpdateNumbers; k++) c[k] = broadcast<V>(S(numbers->c[k]));
  for (int k = 0; k < kUpdateFlags; k++) flag[k] = numbers->flag[k];
  for (int k = 0; k < states; k++) kept[k] = state[k];
  int64_t i = 0;
  for (; i + w <= n; i += w) {
    V p = load<V>(parameter + i);
    for (int k = 0; k < states; k++) s[k] = load<V>(kept[k] + i);
    Rule::template element<states>(c, flag, p, load<V>(gradient + i), s);
    store(parameter + i, p);
    for (int k = 0; k < states; k++) store(kept[k] + i, s[k]);
  }
  if (i < n) {
    const int rest = int(n - i);
    V p = load_n<V>(parameter + i, rest);
    for (int k = 0; k < states; k++) s[k] = load_n<V>(kept[k] + i, rest);
    Rule::template element<states>(c, flag, p, load_n<V>(gradient + i, rest), s);
    store_n(parameter + i, p, rest);
    for (int k = 0; k < states; k++) store_n(kept[k] + i, s[k], rest);
  }
}

}  // namespace

// One line per rule: how its kernels are called for 0 to 3 states, null where it does not have so many.
#define TG_RULES(V)                                                                                                  \
  {step<update_sgd, 0, V>, step<update_sgd, 1, V>, nullptr, nullptr},                                                \
      {nullptr, step<update_adagrad, 1, V>, nullptr, nullptr},                                                       \
      {nullptr, nullptr, step<update_adadelta, 2, V>, nullptr},                                                      \
      {nullptr, step<update_rmsprop, 1, V>, step<update_rmsprop, 2, V>, step<update_rmsprop, 3, V>},                 \
      {nullptr, nullptr, step<update_adam, 2, V>, step<update_adam, 3, V>},                                          \
      {nullptr, nullptr, step<update_adamax, 2, V>, nullptr}, {nullptr, nullptr, step<update_nadam, 2, V>, nullptr}, \
      {nullptr, nullptr, step<update_radam, 2, V>, nullptr}, {nullptr, step<update_asgd, 1, V>, nullptr, nullptr},   \
      {nullptr, nullptr, step<update_rprop, 2, V>, nullptr},

extern const UpdateTable update_table;
const UpdateTable update_table = {
    {prepare<update_sgd>, prepare<update_adagrad>, prepare<update_adadelta>, prepare<update_rmsprop>,
     prepare<update_adam>, prepare<update_adamax>, prepare<update_nadam>, prepare<update_radam>, prepare<update_asgd>,
     prepare<update_rprop>},
    {TG_RULES(vf)},
    {TG_RULES(vd)},
};

}  // namespace tg::TG_ISA_NS
