// What shape rules ask of inputs, and how they refuse: "[op] got, expected; remedy".
#pragma once
#include <cstring>
#include <initializer_list>

#include "core/error.h"
#include "ops/op.h"
#include "ops/table.h"

namespace tg::rules {

template <class... Pieces>
[[noreturn]] void refuse(const Inference& c, ErrorKind kind, const Pieces&... pieces) {
  fail(kind, "[", c.op, "] ", pieces...);
}

inline void require_compute(const Inference& c, Dtype t) {
  if (!is_compute(t))
    refuse(c, ErrorKind::Type, "got ", name(t),
           ", which is storage only; expected a compute dtype: cast it first, for instance .to(",
           is_floating(t) ? "float32" : "int64", ")");
}

// These ops do not promote: all floating inputs must agree (as in PyTorch).
inline Dtype same_floating(Inference& c, std::initializer_list<int> inputs) {
  int first = -1;
  for (int i : inputs) {
    if (!c.in[i].defined()) continue;
    const Dtype t = c.in[i].dtype;
    if (t != Dtype::Float32 && t != Dtype::Float64)
      refuse(c, ErrorKind::Type, "input ", i, " is ", name(t), ", expected float32 or float64; cast it with .float()");
    if (first < 0) first = i;
    else if (t != c.in[first].dtype)
      refuse(c, ErrorKind::Type, "inputs ", first, " and ", i, " are ", name(c.in[first].dtype), " and ", name(t),
             ", expected one dtype; cast one of them with .to()");
  }
  return c.in[first].dtype;
}

// The same for products of matrices, which a GPU also takes in 16 bits: sums are in float32, results are rounded to 16 bits.
inline Dtype same_factors(Inference& c, std::initializer_list<int> inputs) {
  const Tensor& first = c.in[*inputs.begin()];
  const Dtype t = first.dtype;
  if (first.device() != Device::Cuda || (t != Dtype::Float16 && t != Dtype::BFloat16)) return same_floating(c, inputs);
  for (int i : inputs)
    if (c.in[i].defined() && c.in[i].dtype != t)
      refuse(c, ErrorKind::Type, "inputs ", *inputs.begin(), " and ", i, " are ", name(t), " and ", name(c.in[i].dtype),
             ", expected one dtype; cast one of them with .to()");
  return t;
}

// Bit i set: axis i is reduced. None: all of them.
inline unsigned reduced_axes(const Inference& c, int rank) {
  if (!c.attrs.has(0) || (c.attrs.list.empty() && !no_axes_means_none(c.id))) return (1u << rank) - 1;
  unsigned mask = 0;
  for (int64_t d : c.attrs.list) {
    const int axis = normalize_axis(c.op, d, rank);
    if (mask >> axis & 1) refuse(c, ErrorKind::Runtime, "dim ", axis, " appears twice in dim=", c.attrs.list);
    mask |= 1u << axis;
  }
  return rank ? mask : 0;
}

// Output shape; the number of elements that go into each output is returned.
inline int64_t reduce_shape(Inference& c) {
  const Tensor& x = c.in[0];
  const unsigned mask = reduced_axes(c, x.rank());
  const bool keep = c.attrs.boolean(1);
  int64_t n = 1;
  Dims shape;
  for (int i = 0; i < x.rank(); i++) {
    if (mask >> i & 1) {
      n *= x.shape[i];
      if (keep) shape.push_back(1);
    } else {
      shape.push_back(x.shape[i]);
    }
  }
  c.outs[0].shape = shape;
  return n;
}

// An extremum of no elements; `n` go into each result, of which there may be none. As in PyTorch an error of the index
// where an axis was given, or places are asked for.
inline void require_elements(const Inference& c, int64_t n) {
  const bool axes = c.attrs.has(0) && !c.attrs.list.empty(), places = !std::strncmp(c.op, "arg", 3);
  if (n == 0)
    refuse(c, axes || places ? ErrorKind::Index : ErrorKind::Runtime, "got an empty reduction: input ", c.in[0].shape,
           " has no element to choose from, expected at least one; check the shape before");
}

inline void require_rank(const Inference& c, int input, const char* what, int rank, const char* layout) {
  if (c.in[input].rank() != rank)
    refuse(c, ErrorKind::Runtime, what, " has shape ", c.in[input].shape, ", expected ", rank, " dimensions ", layout);
}

inline bool reduction_none(const Inference& c, int attr) {
  const char* r = c.attrs.text(attr);
  if (std::strcmp(r, "none") && std::strcmp(r, "mean") && std::strcmp(r, "sum"))
    refuse(c, ErrorKind::Value, "reduction is '", r, "', expected 'none', 'mean' or 'sum'");
  return !std::strcmp(r, "none");
}

inline void require_probability(const Inference& c, double p) {
  if (!(p >= 0 && p <= 1)) refuse(c, ErrorKind::Value, "p is ", p, ", expected a probability from 0 to 1");
}

inline Dtype required_floating(const Inference& c, Dtype t) {
  if (t != Dtype::Float32 && t != Dtype::Float64)
    refuse(c, ErrorKind::Type, "dtype is ", name(t), ", expected float32 or float64");
  return t;
}

inline void checked_size(const Inference& c) { count(c.attrs.list); }

}  // namespace tg::rules
