// Functions of the extension with which trigrad.realtime.study measures.
#pragma once
#include "bind/python.h"

namespace tg::bind {

void init_latency(PyObject* module);

}  // namespace tg::bind
