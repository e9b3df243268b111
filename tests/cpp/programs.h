// Programs made without Python: calls of rows by name, recorded, with memory to run them; a step of training.
#pragma once
#include <algorithm>
#include <atomic>
#include <vector>

#include "core/memory.h"
#include "ops/dispatch.h"
#include "ops/table.h"
#include "plan/executor.h"
#include "plan/recorder.h"

namespace tg::test {

inline const Op& named(const char* name) {
  const Op* o = find_op(name);
  if (!o) fail(ErrorKind::Runtime, "no op ", name);
  return *o;
}

// The first attributes as given, the others as the row has them.
inline Attrs with(const Op& op, std::initializer_list<Attr> given = {}) {
  Attrs attrs;
  for (const Attr& a : given) attrs.add(a);
  for (size_t k = given.size(); k < op.attributes.size(); k++) attrs.add(op.attribute(static_cast<int>(k)).fallback);
  return attrs;
}

inline std::vector<Tensor> call(const char* name, std::vector<Tensor> in, std::initializer_list<Attr> given = {}) {
  const Op& op = named(name);
  std::vector<Tensor> out(static_cast<size_t>(op.n_outputs));
  dispatch::call(op, in, with(op, given), out);
  return out;
}

inline Tensor drawn(const Dims& shape, int64_t step) {
  Tensor t = empty(shape, Dtype::Float32);
  for (int64_t i = 0; i < t.numel(); i++)
    t.data<float>()[i] = static_cast<float>((i * 7919 + step * 104729) % 1013) / 1013.0f - 0.5f;
  return t;
}
inline Tensor labels(int64_t n, int64_t classes) {
  Tensor t = empty({n}, Dtype::Int64);
  for (int64_t i = 0; i < n; i++) t.data<int64_t>()[i] = i % classes;
  return t;
}

inline std::atomic<uint64_t> recordings{1000};  // each numbers its storages from here on

// The calls of `body`, which takes arguments and gives results, as a program.
template <class F>
plan::Program recorded(std::vector<Tensor> arguments, F body) {
  const uint64_t first = ++recordings << 32;
  plan::Recording recording(arguments, first);
  dispatch::set_recorder(&recording);
  next_birth = first;
  const std::vector<Tensor> results = body();
  dispatch::set_recorder(nullptr);
  next_birth = 0;
  return recording.finish(results);
}

// Memory for arguments and results.
inline void give_memory(plan::Executor& executor, const std::vector<Tensor>& arguments) {
  const plan::Program& p = executor.program();
  for (size_t i = 0; i < arguments.size(); i++) executor.bind(p.inputs[i].buffer, arguments[i].storage, 0);
  for (size_t b = 0; b < p.buffers.size(); b++)
    if (p.buffers[b].role == plan::Role::output)
      executor.bind(static_cast<int>(b), StorageRef(new Storage(p.buffers[b].bytes)), 0);
}

// A step of training: layers with normalisation and dropout, cross entropy, Adam.
struct Training {
  Tensor x, y;
  std::vector<Tensor> parameters, first, second, counts, kept;
  bool normalized;

  explicit Training(int64_t rows, bool normalized)
      : x(drawn({rows, 16}, 1)), y(labels(rows, 5)), normalized(normalized) {
    const int64_t sizes[] = {16, 64, 33, 5};
    for (int k = 0; k < 3; k++) {
      parameters.push_back(drawn({sizes[k + 1], sizes[k]}, 2 + k));
      parameters.push_back(drawn({sizes[k + 1]}, 5 + k));
    }
    if (normalized)
      for (int k = 0; k < 2; k++) {
        parameters.push_back(drawn({sizes[k + 1]}, 8 + k));
        parameters.push_back(drawn({sizes[k + 1]}, 10 + k));
        kept.push_back(drawn({sizes[k + 1]}, 12 + k));
        kept.push_back(drawn({sizes[k + 1]}, 14 + k));
        for (int64_t i = 0; i < sizes[k + 1]; i++) kept.back().data<float>()[i] += 1;
      }
    for (const Tensor& p : parameters) {
      first.push_back(drawn(p.shape, 0)), second.push_back(drawn(p.shape, 0));
      for (Tensor* t : {&first.back(), &second.back()}) std::fill_n(t->data<float>(), t->numel(), 0.0f);
      counts.push_back(scalar(0.0, Dtype::Float32));
    }
  }

  std::vector<Tensor> step() {
    const auto& p = parameters;
    std::vector<Tensor> inputs{x}, hidden, normal, mean, inverse;
    for (size_t k = 0; k < 2; k++) {
      Tensor z = call("dense", {inputs.back(), p[2 * k], p[2 * k + 1]})[0];
      hidden.push_back(z);
      if (normalized) {
        const auto n = call("native_batch_norm", {z, kept[2 * k], kept[2 * k + 1], p[6 + 2 * k], p[7 + 2 * k]},
                            {Attr::boolean(true), Attr::real(0.1), Attr::real(1e-5)});
        z = n[0];
        mean.push_back(n[1]), inverse.push_back(n[2]);
      }
      z = call("relu", {z})[0];
      normal.push_back(z);
      if (normalized)
        z = call("native_dropout", {z}, {Attr::real(0.25), Attr::integer(1), Attr::integer(0), Attr::integer(3)})[0];
      inputs.push_back(z);
    }
    const Tensor logits = call("dense", {inputs.back(), p[4], p[5]})[0];
    const auto loss = call("native_cross_entropy", {logits, y, {}});
    Tensor g = call("cross_entropy_backward", {scalar(1.0, Dtype::Float32), logits, y, loss[1], loss[2], {}})[0];
    std::vector<Tensor> gradients(parameters.size());
    for (size_t k = 3; k-- > 0;) {
      Tensor before;
      if (k) before = call("dense_grad_input", {g, p[2 * k]})[0];
      gradients[2 * k] = call("dense_grad_weight", {g, inputs[k]})[0];
      gradients[2 * k + 1] = call("dense_grad_bias", {g})[0];
      if (!k) break;
      g = before;
      if (normalized)
        g = call("native_dropout", {g}, {Attr::real(0.25), Attr::integer(1), Attr::integer(0), Attr::integer(3)})[0];
      g = call("relu_backward", {g, normal[k - 1], normal[k - 1]})[0];
      if (normalized) {
        const auto n = call("batch_norm_backward", {g, hidden[k - 1], mean[k - 1], inverse[k - 1], p[4 + 2 * k]});
        g = n[0];
        gradients[4 + 2 * k] = n[1], gradients[5 + 2 * k] = n[2];
      }
    }
    std::vector<Tensor> members = parameters;
    for (const std::vector<Tensor>* group : {&gradients, &first, &second, &counts})
      members.insert(members.end(), group->begin(), group->end());
    const Op& adam = named("adam_");
    dispatch::call(adam, members, with(adam, {Attr::real(1e-3)}), {});
    return {loss[0]};
  }
};

}  // namespace tg::test
