// trigrad.Size: the tuple that holds a shape.
#pragma once
#include "bind/python.h"
#include "core/shape.h"

namespace tg::bind {

void init_size_type(PyObject* module);
PyObject* make_size(const Dims& shape);    // new reference
PyObject* make_tuple(const Dims& values);  // a plain tuple, for strides

}  // namespace tg::bind
