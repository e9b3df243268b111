// Predictors as the module's entry offers them (cuda/abi.h).
#pragma once
#include "cuda/abi.h"

namespace tg::cuda::predictors {

void* open(int index, const EventNet& net, PredictorMode mode, double idle_seconds);  // throws a Refusal
// An event's answer. Without x it goes on waiting for that of the event before. False: not within these seconds.
bool run(void* predictor, const float* x, float* y, double seconds);
void give_up(void* predictor);  // it is not waited for any more, and answers nothing
// Its kernel ends and all that it holds is given back. Throws a Refusal, and holds on to it, if the kernel does not end.
void close(void* predictor);
// Kernels that stay on the device, or with kHost on any, end; the next event starts them again. For what waits until nothing runs
// there.
void rest(int index);

}  // namespace tg::cuda::predictors
