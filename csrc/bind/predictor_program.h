// A predictor's program from what the Python lowering hands over.
#pragma once
#include "bind/python.h"
#include "realtime/program.h"

namespace tg::bind {

// {"width": [int], "instructions": [dict], "refuse_nan": bool}. An instruction has "code", "a", "out" and what its code needs:
// "b", "function" (a row of pointwise.def), "p", "q", "relu", "a_offset", "out_offset", "count", "constants" (float32 arrays
// of one or two axes, or None). Code "batch_norm" has mean, var, weight, bias and "eps"; it becomes affine.
realtime::Program to_program(PyObject* description);

}  // namespace tg::bind
