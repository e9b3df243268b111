// trigrad.realtime.Predictor: a C type whose call is a vectorcall on NumPy's arrays.
#pragma once
#include "bind/python.h"

namespace tg::bind {

void init_predictor_type(PyObject* module);

}  // namespace tg::bind
