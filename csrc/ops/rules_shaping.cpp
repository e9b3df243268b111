// Shape rules of cat, pad and the triangles.
#include "ops/checks.h"
#include "ops/rules.h"

namespace tg::rules {
namespace {
// PyTorch lets a 1-d tensor of no elements stand anywhere in a list.
bool is_nothing(const Tensor& t) { return t.rank() == 1 && t.shape[0] == 0; }
}  // namespace

void cat(Inference& c) {
  if (c.in.empty()) refuse(c, ErrorKind::Value, "got an empty list, expected at least one tensor");
  const Tensor* first = nullptr;
  Dtype dtype = c.in[0].dtype;
  for (size_t i = 0; i < c.in.size(); i++) {
    if (c.in[i].rank() == 0)
      refuse(c, ErrorKind::Runtime, "tensor ", i, " has shape (), expected at least one dimension; use stack");
    dtype = promote(dtype, c.in[i].dtype);
    if (!first && !is_nothing(c.in[i])) first = &c.in[i];
  }
  c.cast[0] = static_cast<int>(dtype);
  c.outs[0] = {first ? first->shape : Dims{0}, dtype};
  if (!first) return;
  const int axis = normalize_axis(c.op, c.attrs.integer(0), first->rank());
  int64_t length = 0;
  for (size_t i = 0; i < c.in.size(); i++) {
    const Dims& shape = c.in[i].shape;
    if (is_nothing(c.in[i])) continue;
    bool fits = shape.size() == first->rank();
    for (int k = 0; fits && k < shape.size(); k++) fits = k == axis || shape[k] == first->shape[k];
    if (!fits)
      refuse(c, ErrorKind::Runtime, "tensor ", i, " has shape ", shape, " beside ", first->shape,
             ", expected equal lengths in all dimensions but ", axis);
    if (__builtin_add_overflow(length, shape[axis], &length))
      refuse(c, ErrorKind::Memory, "the result has more elements than a 64-bit integer can count");
  }
  c.outs[0].shape[axis] = length;
}

void pad(Inference& c) {
  const Dims &shape = c.in[0].shape, &pad = c.attrs.list;
  if (pad.size() % 2)
    refuse(c, ErrorKind::Runtime, "pad ", pad, " has ", pad.size(), " entries, expected two per dimension");
  if (pad.size() > 2 * shape.size())
    refuse(c, ErrorKind::Runtime, "pad ", pad, " is for ", pad.size() / 2, " dimensions, but input has shape ", shape);
  c.outs[0] = {shape, c.in[0].dtype};
  for (int k = 0; k < pad.size() / 2; k++) {
    int64_t& length = c.outs[0].shape[shape.size() - 1 - k];
    const int64_t before = pad[2 * k], after = pad[2 * k + 1];
    const int64_t left = length + (before < 0 ? before : 0) + (after < 0 ? after : 0);  // of the input
    int64_t padded;
    if (__builtin_add_overflow(length, before, &padded) || __builtin_add_overflow(padded, after, &padded))
      refuse(c, ErrorKind::Memory, "pad ", pad, " asks for more elements than a 64-bit integer can count");
    if (left < 0 || padded < 0)
      refuse(c, ErrorKind::Runtime, "pad ", pad, " takes more than the ", length, " elements of dimension ",
             shape.size() - 1 - k, " of input ", shape, ", expected at most all of them");
    length = padded;
  }
}

void triangle(Inference& c) {
  if (c.in[0].rank() < 2)
    refuse(c, ErrorKind::Runtime, "input has shape ", c.in[0].shape, ", expected at least 2 dimensions");
  c.outs[0] = {c.in[0].shape, c.in[0].dtype};
}

}  // namespace tg::rules
