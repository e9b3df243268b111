// trigrad.dtype: one immortal object per element type.
#pragma once
#include "bind/python.h"
#include "core/dtype.h"

namespace tg::bind {

void init_dtype_type(PyObject* module);  // adds `dtype` and the twelve objects

PyObject* dtype_object(Dtype t);  // borrowed
bool is_dtype(PyObject* value);

// A trigrad dtype, Python's bool, int or float, or anything numpy takes for a dtype. Errors name `op` and `param`.
Dtype to_dtype(const char* op, const char* param, PyObject* value);

}  // namespace tg::bind
