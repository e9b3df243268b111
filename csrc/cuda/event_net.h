// A small net for one event at a time, as the extension hands it to the module: plain data, steps over rows of float32. A step
// makes n numbers that do not depend on each other, each a function of what the steps before have written.
#pragma once
#include <cstdint>

#include "math/pointwise_ids.h"

namespace tg::cuda {

// The activations that a model's layers have. Others would make the kernel large for nothing.
// clang-format off
#define TG_EVENT_FUNCTIONS(X) \
  X(neg) X(square) X(tanh) X(sigmoid) X(relu) X(leaky_relu) X(elu) X(selu) X(celu) X(silu) X(gelu) X(gelu_tanh) \
  X(mish) X(softplus) X(softsign) X(softshrink) X(hardshrink) X(hardtanh) X(hardsigmoid) X(hardswish) \
  X(threshold) X(logsigmoid)
// clang-format on

inline bool event_function(int32_t id) {
  switch (id) {
#define TG_CASE(name) case id_##name:
    TG_EVENT_FUNCTIONS(TG_CASE)
#undef TG_CASE
    return true;
    default: return false;
  }
}

struct EventStep {
  enum Code : int32_t {
    copy,         // a[i]
    dense,        // bias c[i] + the sum of w[k, i] a[k] over k < K, in `chains` interleaved chains; no bias: c < 0
    affine,       // fma(a[i], w[i], w[n + i])
    prelu,        // a[i] where it is > 0, else w[i] a[i]
    standardize,  // (clamp(a[i] or, where NaN, w[i]; w[n + i], w[2 n + i]) - w[3 n + i]) w[4 n + i]
    add,          // a[i] with b[i]
    sub,
    mul,
    maximum,
    step,      // 1 where a[i] >= 0, else 0
    largest,   // of a[i K], ..., a[i K + K - 1]
    lane_max,  // a row of K in 16 lanes: the greatest of lane i
    exp_less,  // exp(a[i] - the greatest of the lanes b)
    lane_sum,  // lane i of a row of K added up
    share,     // a[i] / the sum of the lanes b
    log_share  // (a[i] - the greatest of the lanes b) - log(the sum of the lanes at w)
  };
  int32_t code = 0;
  int32_t function = -1;  // PointwiseId of what the number goes through at last, with p and q
  int32_t n = 0, K = 0, chains = 1;
  int32_t a = 0, b = 0, out = 0;  // where rows begin, in floats from the first value
  int32_t w = 0, c = -1;          // where its constants begin, in floats from the first number
  float p = 0, q = 0;
};

// Value 0 is the event's first feature.
struct EventNet {
  const EventStep* steps = nullptr;
  const float* numbers = nullptr;
  int32_t count = 0, floats = 0;  // of steps, of numbers
  int32_t values = 0;             // floats of all rows
  int32_t inputs = 0, outputs = 0, answer = 0;
};

// How a predictor takes an event.
enum class PredictorMode : int32_t {
  graph,      // a CUDA graph is launched
  persistent  // a kernel that stays on the device waits for it
};

}  // namespace tg::cuda
