// What latency_cpp.py times: ways of answering one event, each behind a function pointer.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

struct Layer {
  int inputs, outputs;
  std::vector<float> weight, bias;  // (outputs, inputs), (outputs)
};
struct Problem {
  std::vector<Layer> layers;
  std::vector<float> events;  // (count, inputs)
  int count;
};

struct Engine {
  std::string name;
  void (*call)(const void* self, const float* x, float* y);
  std::shared_ptr<const void> self;
};

// ---- plain Eigen with sizes that the compiler knows, as one writes it by hand
#if defined(WITH_EIGEN)
#include <Eigen/Dense>

enum class Last { none, sigmoid, softmax };

template <Last last, int K, int N, int... rest>
struct EigenNet {
  static constexpr bool ends = sizeof...(rest) == 0;
  struct Nothing {
    void set(const Layer*) {}
  };
  template <bool end, class Dummy = void>
  struct Next {
    using type = EigenNet<last, N, rest...>;
  };
  template <class Dummy>
  struct Next<true, Dummy> {
    using type = Nothing;
  };
  Eigen::Matrix<float, N, K> w;
  Eigen::Matrix<float, N, 1> b;
  typename Next<ends>::type next;
  EIGEN_MAKE_ALIGNED_OPERATOR_NEW

  void set(const Layer* layer) {
    w = Eigen::Map<const Eigen::Matrix<float, N, K, K == 1 ? Eigen::ColMajor : Eigen::RowMajor>>(layer->weight.data());
    b = Eigen::Map<const Eigen::Matrix<float, N, 1>>(layer->bias.data());
    next.set(layer + 1);
  }
  template <class X>
  void run(const X& x, float* y) const {
    Eigen::Matrix<float, N, 1> z = b;
    z.noalias() += w * x;
    if constexpr (!ends) {
      z = z.cwiseMax(0.f);
      next.run(z, y);
    } else {
      if constexpr (last == Last::sigmoid) z = (1.f + (-z.array()).exp()).inverse().matrix();
      if constexpr (last == Last::softmax) {
        z = (z.array() - z.maxCoeff()).exp().matrix();
        z /= z.sum();
      }
      Eigen::Map<Eigen::Matrix<float, N, 1>> out(y);
      out = z;
    }
  }
};
template <Last last, int K, int... rest>
Engine eigen(const Problem& p) {
  using Net = EigenNet<last, K, rest...>;
  auto net = std::shared_ptr<Net>(new Net);
  net->set(p.layers.data());
  return {"Eigen",
          [](const void* self, const float* x, float* y) {
            static_cast<const Net*>(self)->run(Eigen::Map<const Eigen::Matrix<float, K, 1>>(x), y);
          },
          net};
}
#endif

// ---- XNNPACK's operators of 2022, without threads
#if defined(WITH_XNNPACK)
#include <xnnpack.h>

#include <cmath>

struct XnnNet {
  std::vector<xnn_operator_t> dense;
  xnn_operator_t last = nullptr;
  bool softmax = false;
  std::vector<float> a, b;
};
inline void must(xnn_status status) {
  if (status != xnn_status_success) std::fprintf(stderr, "XNNPACK answers %d\n", status), std::exit(4);
}
inline Engine xnnpack(const Problem& p, const std::string& output) {
  must(xnn_initialize(nullptr));
  auto net = std::make_shared<XnnNet>();
  size_t widest = 0;
  for (size_t i = 0; i < p.layers.size(); i++) {
    const Layer& l = p.layers[i];
    const auto K = static_cast<size_t>(l.inputs), N = static_cast<size_t>(l.outputs);
    xnn_operator_t made = nullptr;
    must(xnn_create_fully_connected_nc_f32(K, N, K, N, l.weight.data(), l.bias.data(),
                                           i + 1 < p.layers.size() ? 0.f : -INFINITY, INFINITY, 0, &made));
    net->dense.push_back(made);
    widest = N > widest ? N : widest;
  }
  const auto N = static_cast<size_t>(p.layers.back().outputs);
  net->softmax = output == "softmax";
  if (net->softmax) must(xnn_create_softmax_nc_f32(N, N, N, 0, &net->last));
  if (output == "sigmoid") must(xnn_create_sigmoid_nc_f32(N, N, N, 0, &net->last));
  net->a.resize(widest + 64), net->b.resize(widest + 64);
  return {"XNNPACK",
          [](const void* self, const float* x, float* y) {
            auto& n = *const_cast<XnnNet*>(static_cast<const XnnNet*>(self));
            float *in = nullptr, *out = n.a.data();
            for (size_t i = 0; i < n.dense.size(); i++) {
              float* const to = i + 1 == n.dense.size() && !n.last ? y : out;
              xnn_setup_fully_connected_nc_f32(n.dense[i], 1, in ? in : x, to, nullptr);
              xnn_run_operator(n.dense[i], nullptr);
              in = to, out = to == n.a.data() ? n.b.data() : n.a.data();
            }
            if (!n.last) return;
            if (n.softmax) xnn_setup_softmax_nc_f32(n.last, 1, in, y, nullptr);
            else xnn_setup_sigmoid_nc_f32(n.last, 1, in, y, nullptr);
            xnn_run_operator(n.last, nullptr);
          },
          net};
}
#endif
