// Python arguments for an op, read by the parameters of its row.
#pragma once
#include <span>
#include <string>

#include "bind/python.h"
#include "ops/op.h"

namespace tg::bind {

struct Arguments {
  Few<Tensor> in;
  Few<PyObject*> objects;  // borrowed; what input i was made from, null where it was not given
  Attrs attrs;
  Place place;                // of the outputs, where no tensor says it
  bool non_blocking = false;  // of copy_: PyTorch's word for copies that go on while Python does
  std::span<const Tensor> inputs() const { return {in.data(), in.size()}; }
  std::span<PyObject* const> given() const { return {objects.data(), objects.size()}; }
};

// Positional and keyword arguments as vectorcall hands them over. `axis` and `keepdims` are understood as well, `device`
// (bind/device.h) where the row has no tensor, and `non_blocking` by copy_.
void read_arguments(const Op& op, PyObject* const* args, Py_ssize_t n, PyObject* names, Arguments& result);

// The same from a sequence of tensors (None where not given; the members of a list follow the others) and a sequence of
// attributes; and a device, or null.
void read_arguments(const Op& op, PyObject* tensors, PyObject* attributes, PyObject* device, Arguments& result);

// "sum(input, dim=None, keepdim=False, dtype=None)"
std::string python_signature(const Op& op);

// For the methods of Tensor: fills values[i] with the argument called names[i] (null if it is not given).
void read_names(const char* function, std::initializer_list<const char*> names, PyObject* const* args, Py_ssize_t n,
                PyObject* keywords, PyObject** values);

}  // namespace tg::bind
