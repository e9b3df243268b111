// Memory of GPUs shared with other libraries by __cuda_array_interface__, version 3.
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

PyObject* cuda_array_interface(PyObject* tensor);
// The tensor that shares the memory of an object which has one.
Tensor from_cuda_array(const char* op, PyObject* source);

}  // namespace tg::bind
