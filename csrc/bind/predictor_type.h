// trigrad.realtime.Predictor: a C type whose call is a vectorcall on NumPy's arrays.
#pragma once
#include "bind/python.h"
#include "cuda/predictor.h"
#include "realtime/predictor.h"

namespace tg::bind {

void init_predictor_type(PyObject* module);

bool is_predictor(PyObject* value);
const realtime::Predictor& predictor_of(PyObject* predictor);
const realtime::Program& program_of(PyObject* predictor);
cuda::Predictor* gpu_of(PyObject* predictor);  // null: it answers on the CPU

}  // namespace tg::bind
