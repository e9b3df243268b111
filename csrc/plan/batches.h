// Steps over the batches of a data set: the rows of each are copied into the arguments of a program, which is then run.
#pragma once
#include <chrono>
#include <span>
#include <vector>

#include "plan/executor.h"

namespace tg::plan {

// Some rows of tables, in any order. All tensors are contiguous; batch[i] (rows, ...) has the dtype and the row of
// tables[i] (N, ...).
struct Batches {
  std::vector<Tensor> tables, batch;
  Tensor order;  // int64, N numbers of rows; undefined: as they lie

  // The rows from place `first` of the order on, into the batch.
  void gather(int64_t first) const;
};

// An attribute that goes on by `advance` from one step to the next: the step of a random number.
struct Draw {
  size_t instruction;
  int attribute;
  int64_t advance;
  void go_on(Executor& executor, int64_t steps) const;
};

// One run for each of `losses`, in which it leaves the one element of `loss`; it stops early when `time` is over. Returns how
// many it made, one at least. What the first run throws is thrown; a later one that would throw is not made.
size_t run_batches(Executor& executor, const Batches& batches, int64_t first, const View& loss,
                   std::span<const Draw> draws, std::span<double> losses, std::chrono::nanoseconds time);

// The same on any device, each step done before the next begins.
size_t run_one_by_one(Executor& executor, const Batches& batches, int64_t first, const View& loss,
                      std::span<const Draw> draws, std::span<double> losses, std::chrono::nanoseconds time);

}  // namespace tg::plan
