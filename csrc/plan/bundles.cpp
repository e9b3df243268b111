#include "plan/bundles.h"

#include <algorithm>

namespace tg::plan {
namespace {

bool is(const Instruction& i, OpId id) { return i.op && i.op->id == id; }

// grad f'(input, output) of a pointwise row f with one input
bool is_derivative(const Instruction& i) {
  if (!i.op || i.op->id >= kPointwiseOps || i.op->id == 0) return false;
  const PointwiseInfo& before = kPointwiseInfo[i.op->id - 1];
  return before.differentiable && before.arity == 1;
}

// Rows of a product, as it writes them.
bool alike(const View& v, const View& rows) {
  return v.defined() && v.shape == rows.shape && v.dtype == rows.dtype && v.contiguous();
}

// Is the gradient of an input all that the derivative multiplies, and seen by nobody else?
bool goes_through(const Program& p, const Instruction& product, const Instruction& derivative) {
  if (!is(product, op_dense_grad_input) || !is_derivative(derivative)) return false;
  const View &gradient = product.out[0], &out = derivative.out[0];
  const Buffer& b = p.buffers[static_cast<size_t>(gradient.buffer)];
  if (b.role != Role::temporary || b.storage || !same(derivative.in[0], gradient) || !alike(gradient, gradient) ||
      gradient.shape.size() < 1 || out.buffer == gradient.buffer)
    return false;
  for (int k = 1; k < 3; k++) {
    const View& v = derivative.in[static_cast<size_t>(k)];
    if (!same(v, gradient) && (v.buffer == gradient.buffer || v.buffer == out.buffer || !alike(v, gradient)))
      return false;
  }
  return alike(out, gradient) && !product.reads(out.buffer) &&
         std::ranges::none_of(derivative.overwrites, [](bool o) { return o; });
}

// dW and db from one gradient.
bool are_of_one_layer(const Instruction& weight, const Instruction& bias) {
  return is(weight, op_dense_grad_weight) && is(bias, op_dense_grad_bias) && same(weight.in[0], bias.in[0]) &&
         weight.out[0].buffer != bias.out[0].buffer;
}

// Each product moves to where the derivative is, the only one that looks at it, if nothing on the way changes what it reads.
void join_derivatives(Program& p) {
  std::vector<Instruction>& list = p.instructions;
  for (size_t k = 0; k < list.size(); k++) {
    if (!is(list[k], op_dense_grad_input) || list[k].together != Together::alone) continue;
    const int made = list[k].out[0].buffer;
    size_t reader = 0;
    int touched = 0;  // by others
    for (size_t j = 0; j < list.size(); j++)
      if (j != k && (list[j].reads(made) || list[j].writes(made))) reader = j, touched++;
    if (touched != 1 || reader < k || !goes_through(p, list[k], list[reader])) continue;
    bool free = true;
    for (size_t j = k + 1; j < reader; j++)
      for (const View& v : list[k].in) free &= !list[j].writes(v.buffer);
    if (!free) continue;
    list[k].together = Together::input_gradient;
    list[k].calls = 2;
    const auto at = list.begin() + static_cast<std::ptrdiff_t>(k);
    std::rotate(at, at + 1, list.begin() + static_cast<std::ptrdiff_t>(reader));
    if (reader > k + 1) k--;  // another one stands here now
  }
}

}  // namespace

void bundle(Program& p) {
  join_derivatives(p);
  for (size_t k = 0; k + 1 < p.instructions.size(); k++)
    if (are_of_one_layer(p.instructions[k], p.instructions[k + 1])) {
      p.instructions[k].together = Together::parameter_gradients;
      p.instructions[k].calls = 2;
    }
}

size_t bundled(const Program& p, const Slot& slot, size_t k) {
  const size_t first = static_cast<size_t>(slot.steps[k].instruction);
  const auto calls = static_cast<size_t>(p.instructions[first].calls);
  if (calls == 1 || k + calls > slot.steps.size() || !slot.lists.empty()) return 1;
  for (size_t j = 1; j < calls; j++)
    if (static_cast<size_t>(slot.steps[k + j].instruction) != first + j) return 1;
  return calls;
}

}  // namespace tg::plan
