// Tensors from nested Python sequences.
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

// Numbers, or lists and tuples of them to any depth up to 8. Without `dtype`: floats make the default dtype, integers int64,
// bools bool, as in PyTorch.
Tensor from_nested(PyObject* data, const Dtype* dtype);

// What is called often, without the conversions of pybind11.
extern PyMethodDef creation_functions[];

}  // namespace tg::bind
