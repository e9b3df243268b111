// Pickles of a trigrad.realtime.Predictor.
#pragma once
#include "bind/python.h"

namespace tg::bind {

// `__reduce__`: the bytes of the plan file and the options, so that the copy answers with the same bits, where this one does.
PyObject* reduce_predictor(PyObject* self, PyObject*);

}  // namespace tg::bind
