// What the files with module-level functions of their own add to the extension.
#pragma once
#include "bind/python.h"

namespace tg::bind {

void init_testing(PyObject* module);
void init_cuda(PyObject* module);

}  // namespace tg::bind
