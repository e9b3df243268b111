// The part of a trigrad.realtime.Predictor that is on a GPU.
#pragma once
#include <memory>

#include "bind/python.h"
#include "cuda/predictor.h"
#include "realtime/plan_file.h"

namespace tg::bind {

// A predictor on GPU `index` that has answered the program's events with the CPU's bits.
std::unique_ptr<cuda::Predictor> predictor_on_gpu(const realtime::Program& program, int index, bool persistent,
                                                  const realtime::SelfTest& test);

// One event. Other threads of Python run when the answer takes longer than events take.
void run_on_gpu(cuda::Predictor& predictor, const float* x, float* y);

void init_predictor_cuda(PyObject* module);

}  // namespace tg::bind
