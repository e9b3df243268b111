// What the files with module-level functions of their own add to the extension.
#pragma once
#include "bind/python.h"

namespace tg::bind {

void init_testing(PyObject* module);
void init_cuda(PyObject* module);
PyObject* out_of_memory_error();  // the class that a full GPU raises

}  // namespace tg::bind
