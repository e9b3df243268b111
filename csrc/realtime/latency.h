// How long single events take: every call by itself, between two readings of the processor's time stamp.
#pragma once
#include <cstdint>
#include <vector>

#include "realtime/predictor.h"

namespace tg::realtime {

enum class Before {
  nothing,  // the call before was the same: everything is in the nearest cache
  l1,       // other data has gone through the first cache,
  l2,       // or through the second;
  memory,   // weights and event have been flushed to memory
  idle,     // the thread has slept for 100 microseconds
};

// Nanoseconds of `calls` calls over the events x(rows, inputs) in turn, the cost of an empty measurement taken off.
std::vector<float> time_calls(const Predictor& predictor, const float* x, int64_t rows, int64_t calls, Before before);

const char* clock_name();  // what reads the time
double clock_step();       // nanoseconds between two readings that differ at all

}  // namespace tg::realtime
