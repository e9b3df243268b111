// The steps of the optimizers: what their lists hold, and that it fits together.
#include "ops/checks.h"
#include "ops/rules.h"
#include "ops/update.h"

namespace tg {

UpdateLayout update_layout(const Op& op, const Attrs& attrs) {
  switch (op.id) {
    case op_sgd: return {attrs.real(1) != 0, 0};
    case op_rmsprop: return {1 + (attrs.real(4) != 0) + attrs.boolean(5), 1};
    case op_adam: return {2 + attrs.boolean(5), 1};
    case op_adagrad: return {1, 1};
    case op_asgd: return {1, 3};
    case op_nadam: return {2, 2};
    default: return {2, 1};
  }
}

bool overwrites(const Call& call, size_t i) {
  if (call.op.flags & kUpdates) return overwrites(update_layout(call.op, call.attrs), i, call.in.size());
  for (const Tensor& out : call.out)
    if (out.defined() && call.in[i].defined() && out.storage == call.in[i].storage) return true;
  return false;
}

namespace rules {

void update(Inference& c) {
  c.n_outs = 0;
  const UpdateLayout layout = update_layout(op(c.id), c.attrs);
  const auto groups = static_cast<size_t>(layout.groups()), n = c.in.size() / groups;
  if (c.in.size() % groups)
    refuse(c, ErrorKind::Runtime, "got ", c.in.size(), " tensors, expected a multiple of ", groups,
           ": parameters, gradients, ", layout.states, " states of their shapes, ", layout.scalars, " single numbers");
  for (size_t i = 0; i < c.in.size(); i++) {
    const Tensor &t = c.in[i], &parameter = c.in[i % n];
    if (t.dtype != Dtype::Float32 && t.dtype != Dtype::Float64)
      refuse(c, ErrorKind::Type, "tensor ", i, " is ", name(t.dtype), ", expected float32 or float64");
    if (i / n >= groups - static_cast<size_t>(layout.scalars)) {
      if (t.numel() != 1)
        refuse(c, ErrorKind::Runtime, "tensor ", i, " has shape ", t.shape, ", expected one element: a number that is ",
               "kept of parameter ", i % n);
    } else if (!(t.shape == parameter.shape) || t.dtype != parameter.dtype) {
      refuse(c, ErrorKind::Runtime, i / n == 1 ? "the gradient" : "a state", " of parameter ", i % n, " is ",
             name(t.dtype), " of shape ", t.shape, ", expected ", name(parameter.dtype), " of shape ", parameter.shape,
             " as the parameter");
    }
  }
}

}  // namespace rules
}  // namespace tg
