// Shape rules of sorts and scans.
#include <limits>

#include "ops/checks.h"
#include "ops/rules.h"

namespace tg::rules {
namespace {

int64_t length(const Tensor& x, int axis) { return x.rank() ? x.shape[axis] : 1; }

// The axis of the attribute `attr`, along which the kernels keep indices of 32 bits.
int sorted_axis(Inference& c, int attr) {
  require_compute(c, c.in[0].dtype);
  const int axis = normalize_axis(c.op, c.attrs.integer(attr), c.in[0].rank());
  if (length(c.in[0], axis) > std::numeric_limits<uint32_t>::max())
    refuse(c, ErrorKind::Runtime, "input has shape ", c.in[0].shape, ", expected fewer than 2^32 elements along dim ",
           axis);
  return axis;
}

void values_and_indices(Inference& c, const Dims& shape) {
  c.n_outs = 2;
  c.outs[0] = {shape, c.in[0].dtype};
  c.outs[1] = {shape, Dtype::Int64};
}

}  // namespace

void scan(Inference& c) {
  require_compute(c, c.in[0].dtype);
  normalize_axis(c.op, c.attrs.integer(0), c.in[0].rank());
  const Dtype t = c.attrs.has(1) ? c.attrs.type(1) : is_floating(c.in[0].dtype) ? c.in[0].dtype : Dtype::Int64;
  if (t != Dtype::Float32 && t != Dtype::Float64 && t != Dtype::Int64)
    refuse(c, ErrorKind::Type, "dtype is ", name(t), ", expected float32, float64 or int64");
  c.outs[0] = {c.in[0].shape, t};
  c.cast[0] = static_cast<int>(t);
}

void sort(Inference& c) {
  sorted_axis(c, 0);
  values_and_indices(c, c.in[0].shape);
}

void topk(Inference& c) {
  const int axis = sorted_axis(c, 1);
  const int64_t k = c.attrs.integer(0), n = length(c.in[0], axis);
  if (k < 0 || k > n)
    refuse(c, ErrorKind::Runtime, "k is ", k, ", expected 0 to ", n, ", the elements along dim ", axis, " of input ",
           c.in[0].shape);
  Dims shape = c.in[0].shape;
  if (!shape.empty()) shape[axis] = k;
  values_and_indices(c, shape);
}

void kthvalue(Inference& c) {
  const int axis = sorted_axis(c, 1);
  const int64_t n = length(c.in[0], axis);
  if (n == 0)
    refuse(c, ErrorKind::Index, "input has shape ", c.in[0].shape, ", expected an element at least along dim ", axis);
  if (c.attrs.has(0) && (c.attrs.integer(0) < 1 || c.attrs.integer(0) > n))
    refuse(c, ErrorKind::Runtime, "k is ", c.attrs.integer(0), ", expected 1 to ", n, ", the elements along dim ", axis,
           " of input ", c.in[0].shape);
  Dims shape = c.in[0].shape;
  if (!shape.empty()) {
    if (c.attrs.boolean(2)) shape[axis] = 1;
    else shape.erase(axis);
  }
  values_and_indices(c, shape);
}

}  // namespace tg::rules
