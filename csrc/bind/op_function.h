// A row of the op table as a Python callable, which is a method as well: found on Tensor it takes the tensor first.
#pragma once
#include "bind/python.h"
#include "ops/op.h"

namespace tg::bind {

// Makes the type and one function per row: into `ops_module` by the row's name; where the first parameter is the
// tensor that one would write a method for, as a method of Tensor too, with its in-place form if the row has one.
void init_op_functions(PyObject* core_module, PyObject* ops_module);

// Calls with arguments read already; the result is what Python gets.
struct Arguments;
PyObject* call_op(const Op& op, Arguments& arguments);
PyObject* call_op_inplace(const Op& op, Arguments& arguments);

}  // namespace tg::bind
