// Memory shared with numpy and with anything that has the buffer protocol. Numpy is looked up when it is needed first.
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

bool is_numpy_array(PyObject* value);
// 'b' bool, 'i' integer, 'f' real number, 0 for everything else: what kind of numpy scalar is it?
char numpy_scalar_kind(PyObject* value);

// The tensor that shares the array's memory: zero copy, read-only where the array is.
Tensor from_buffer(const char* op, PyObject* array);

// numpy's view of the tensor's memory.
PyObject* to_numpy(PyObject* tensor);
PyObject* array_interface(const char* op, const Tensor& t);  // numpy's dictionary
const char* array_typestr(Dtype t);                          // its name for a dtype, null if it has none

}  // namespace tg::bind
