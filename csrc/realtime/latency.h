// How long single events take: every call by itself, between two readings of the processor's time stamp. And what the
// machine could do at best.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "realtime/predictor.h"

namespace tg::realtime {

// What is timed: a function of x(inputs), y(outputs), and where its weights lie.
struct Subject {
  using Run = int32_t (*)(const void* context, const float* x, float* y);
  struct Range {
    const void* data;
    size_t bytes;
  };
  Run run;
  const void* context;
  std::vector<Range> weights;
};
Subject subject_of(const Predictor& predictor);
Subject nothing();  // a call that does nothing

// What happens before each call. With none of these the call before was the same: everything is in the nearest cache.
struct Before {
  int64_t other_bytes = 0;  // so much other data goes through the caches
  bool flush = false;       // weights and event are flushed to memory
  int64_t idle_us = 0;      // the thread sleeps
};

// Nanoseconds of `calls` calls over the events x(rows, inputs) in turn, as the clock gave them; last, what an empty
// measurement took.
std::vector<float> time_calls(const Subject& subject, const float* x, int64_t rows, int32_t inputs, int32_t outputs,
                              int64_t calls, const Before& before);

struct Clock {
  const char* name;  // what reads the time
  double step;       // nanoseconds between two readings that differ at all
  bool flushes;      // can data be flushed to memory?
};
Clock clock_of_calls();

struct Limits {
  double fma_ns;        // from an fma to one that takes its result
  double fmas_per_ns;   // elements
  double bytes_per_ns;  // loaded from the cache in which so many bytes stay
};
Limits limits(const char* isa, size_t bytes);

// Of all ways from the event to the answer the one with most fmas of float dense layers: each waits for the one before.
int64_t longest_chain(const Program& program);

}  // namespace tg::realtime
