// Rows that look at a whole batch, taken apart: what works row by row or sums over rows may then be shared out, and the rest,
// which knows all rows, is small. The parts keep the bits of the row.
#pragma once
#include "plan/program.h"

namespace tg::plan {

struct Lowered {
  Program program;          // its buffers begin with those of the program that it was made of
  std::vector<int> origin;  // per instruction: the one of which it is a part
};

// `rows`: of the batch. Losses over classes and binary cross-entropy, batch normalisation in training, and, for so many
// threads, steps of optimizers.
Lowered lowered(const Program& program, int64_t rows, int threads);

}  // namespace tg::plan
