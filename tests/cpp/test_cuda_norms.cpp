// Normalisations of the CUDA module on the emulated device against the CPU's kernels.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "cuda/backend.h"
#include "cuda_pairs.h"

using namespace tg;
using namespace tg::test;

namespace {

std::vector<Tensor> moved(const std::vector<Tensor>& in) {
  std::vector<Tensor> out;
  for (const Tensor& t : in) out.push_back(t.defined() ? on_gpu(t) : t);
  return out;
}
void check_all(const Op& op, const Tensor* got, const Tensor* want, int n, const std::string& what) {
  for (int k = 0; k < n; k++) {
    CHECK_EQ(got[k].defined(), want[k].defined());
    if (want[k].defined()) check_same(got[k], want[k], op.name + " output " + std::to_string(k) + " " + what);
  }
}

// Through the door, the first `views` operands seen in the given way.
void both(const char* row, const std::vector<Tensor>& in, const Attrs& attrs, int kind = 0, size_t views = 0) {
  const Op& op = named(row);
  std::vector<Tensor> there = moved(in), here = in;
  for (size_t i = 0; i < views; i++) here[i] = view(here[i], kind), there[i] = view(there[i], kind);
  Tensor want[kMaxOutputs], got[kMaxOutputs];
  dispatch::call(op, there, attrs, got);
  dispatch::call(op, here, attrs, want);
  check_all(op, got, want, op.n_outputs,
            to_string(here[0].shape) + " " + name(in[0].dtype) + " " + std::to_string(kind));
}

// The kernels of a part of a plan, which no door leads to.
void parts(OpId id, const std::vector<Tensor>& in, const std::vector<Dims>& shapes, const Attrs& attrs,
           int64_t batch = 0) {
  Tensor out[2][kMaxOutputs];
  for (const Device device : {Device::Cpu, Device::Cuda}) {
    const bool gpu = device == Device::Cuda;
    std::vector<Tensor> from;
    for (const Tensor& t : in) from.push_back(!t.defined() ? t : gpu ? on_gpu(t) : on_cpu(on_gpu(t)));
    for (size_t k = 0; k < shapes.size(); k++) {
      const int overwritten = op(id).writes[k];
      out[gpu][k] = overwritten >= 0 ? from[size_t(overwritten)] : empty(shapes[k], in[0].dtype, device);
    }
    dispatch::backend(device)->kernels[id]({op(id), from, attrs, {out[gpu], shapes.size()}, batch});
  }
  check_all(op(id), out[1], out[0], static_cast<int>(shapes.size()), to_string(in[0].shape));
}

Tensor positive(const Dims& shape, Dtype t) {
  const Tensor x = drawn(shape, t);
  return dispatch::call1(named("square"), {x});
}

}  // namespace

static void batch_norm() {
  for (Dtype t : {Dtype::Float32, Dtype::Float64})
    for (const Dims& shape : {Dims{2, 1},
                              {31, 32},
                              {65, 33},
                              {1023, 3},
                              {1025, 40},
                              {5000, 10},
                              {3, 5, 1},
                              {20, 7, 33},
                              {6, 3, 4, 9},
                              {4, 0},
                              {40, 5, 0}})
      for (int kind = 0; kind < (shape[1] > 4 ? 3 : 1); kind++)
        for (int options = 0; options < 8; options++) {
          const bool training = options & 1, affine = options & 2, running = (options & 4) || !training;
          const Tensor x = drawn(shape, t);
          const int64_t rows = view(x, kind).shape[0], C = view(x, kind).shape[1];
          if (training && C && view(x, kind).numel() / C <= 1) continue;
          if (kind == 1 && rows * C == 0) continue;
          const Dims channels{C};
          Attrs a;
          a.add(Attr::boolean(training)), a.add(Attr::real(0.3)), a.add(Attr::real(1e-5));
          const Tensor none;
          both("native_batch_norm",
               {x, running ? drawn(channels, t) : none, running ? positive(channels, t) : none,
                affine ? drawn(channels, t) : none, affine ? drawn(channels, t) : none},
               a, kind, 1);
          if (options < 4)
            both("batch_norm_backward",
                 {drawn(shape, t), x, drawn(channels, t), positive(channels, t), affine ? drawn(channels, t) : none},
                 {}, kind, 2);
        }
}

// The statistics of a tensor that is a column of another, and not-a-numbers.
static void strided_statistics() {
  const Tensor x = drawn({70, 12}, Dtype::Float32, true);
  const Tensor wide[3] = {drawn({12, 3}, Dtype::Float32), positive({12, 3}, Dtype::Float32),
                          drawn({12, 3}, Dtype::Float32)};
  for (const bool training : {false, true}) {
    Attrs a;
    a.add(Attr::boolean(training)), a.add(Attr::real(0.1)), a.add(Attr::real(1e-3));
    Tensor out[2][kMaxOutputs], base[2][3];
    for (const bool gpu : {false, true}) {
      Tensor in[5] = {gpu ? on_gpu(x) : x};
      for (int k = 0; k < 3; k++) {
        base[gpu][k] = gpu ? on_gpu(wide[k]) : on_cpu(on_gpu(wide[k]));
        in[1 + k] = select("view", base[gpu][k], 1, k);
      }
      dispatch::call(named("native_batch_norm"), in, a, out[gpu]);
    }
    check_all(named("native_batch_norm"), out[1], out[0], 3, "of columns");
    for (int k = 0; k < 3; k++) check_same(base[1][k], base[0][k], "statistics that are columns");
  }
}

static void layer_norm() {
  for (Dtype t : {Dtype::Float32, Dtype::Float64})
    for (int64_t rows : {1, 3, 33, 300})
      for (int64_t n : {1, 2, 4, 5, 16, 31, 32, 33, 127, 1023, 1025, 9000})
        for (const bool affine : {false, true}) {
          if (rows * n > 300000) continue;
          const Tensor none, weight = affine ? drawn({n}, t) : none, bias = affine ? drawn({n}, t) : none;
          Attrs a, b;
          a.add(Dims{n}), a.add(Attr::real(1e-5));
          b.add(Dims{n});
          for (int kind : {0, 1}) {
            const Dims shape = kind ? Dims{n, rows} : Dims{rows, n};
            both("native_layer_norm", {drawn(shape, t), weight, bias}, a, kind, 1);
            both("layer_norm_backward",
                 {drawn(shape, t), drawn(shape, t), drawn({rows, 1}, t), positive({rows, 1}, t), weight}, b, kind, 2);
          }
        }
  Attrs two, back;
  two.add(Dims{6, 5}), two.add(Attr::real(1e-5));
  back.add(Dims{6, 5});
  for (const Tensor& x : {drawn({3, 70, 6, 5}, Dtype::Float32), drawn({0, 6, 5}, Dtype::Float32)}) {
    Dims statistics = x.shape;
    statistics[x.rank() - 1] = statistics[x.rank() - 2] = 1;
    const Tensor w = drawn({6, 5}, Dtype::Float32);
    both("native_layer_norm", {x, w, w}, two, x.numel() ? 1 : 0, 1);
    both("layer_norm_backward", {x, x, drawn(statistics, Dtype::Float32), positive(statistics, Dtype::Float32), w},
         back);
  }
  Attrs nothing;
  nothing.add(Dims{0}), nothing.add(Attr::real(1e-5));
  both("native_layer_norm", {drawn({4, 0}, Dtype::Float32), {}, {}}, nothing);
}

static void parts_of_plans() {
  for (Dtype t : {Dtype::Float32, Dtype::Float64})
    for (int64_t rows : {2, 64, 65, 1025})
      for (int64_t C : {1, 7, 40}) {
        const Tensor x = drawn({rows, C}, t), g = drawn({rows, C}, t), v = drawn({C}, t), w = drawn({C}, t), none;
        Attrs count, factors;
        count.add(Attr::integer(rows)), factors.add(Attr::integer(rows));
        factors.add(Attr::real(0.2)), factors.add(Attr::real(1e-5));
        for (int64_t batch : {int64_t{0}, int64_t{10000}}) {
          parts(op_channel_squares, {x, v}, {{C}}, count, batch);
          parts(op_channel_dot, {g, x, v}, {{C}}, {}, batch);
        }
        parts(op_channel_factors, {v, positive({C}, t), drawn({C}, t), positive({C}, t), w, v},
              {{C}, {C}, {C}, {C}, {2, C}}, factors);
        parts(op_channel_gradients, {v, w, positive({C}, t), none}, {{C}, {3, C}}, count);
        parts(op_channel_affine, {x, drawn({2, C}, t)}, {{rows, C}}, {});
        parts(op_channel_backward, {g, x, v, drawn({3, C}, t)}, {{rows, C}}, {});
      }
}

int main(int argc, char** argv) {
  cuda::require("test", 0);  // loads the module that TRIGRAD_CUDA_MODULE names
  return run(argc, argv, {CASE(batch_norm), CASE(strided_statistics), CASE(layer_norm), CASE(parts_of_plans)});
}
