// A program made ready for one instruction set: steps, packed weights and nothing else, in one aligned block that has been
// written, so that its pages are there. A Predictor is constant after it is made: any number of threads may share it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "realtime/kernels.h"
#include "realtime/program.h"

namespace tg::realtime {

struct Options {
  bool tiles = false;            // pack for run_rows as well; without, it takes rows one by one
  bool lock_memory = false;      // keep the block from being swapped out
  bool vnni = true;              // sums of integers by the instructions made for them, where there are any
  bool flush_denormals = false;  // denormals count as zero: faster where they occur, and no longer the contract's bits
};

// The answer's threshold and the logits beyond which it is decided without the last function.
struct Cut {
  float threshold;
  float above, below;  // logit > above: passes; logit < below: does not
};

class Predictor {
 public:
  // Throws Error: the program is refused (validate), too wide for the stack of a real-time thread, or there is no memory.
  Predictor(const Program& program, const KernelTable& kernels, const Options& options = {});

  int32_t inputs() const { return inputs_; }
  int32_t outputs() const { return outputs_; }
  const void* block() const { return block_.data; }
  size_t block_bytes() const { return block_.bytes; }
  size_t stack_bytes() const { return sizeof(float) * static_cast<size_t>(one_.scratch); }
  double work() const { return work_; }  // multiply-adds of an event, about
  const char* isa() const { return kernels_->isa; }
  bool locked() const { return block_.locked; }
  bool flush_denormals() const { return flush_denormals_; }

  // x(inputs) -> y(outputs). No allocation, lock or system call; the activations are on the caller's stack.
  // False, and y as it was, if the program refuses the event.
  bool run(const float* x, float* y) const noexcept;
  // x(rows, inputs) -> y(rows, outputs): tiles of events, each through all layers in cache; threads take tiles. Every row
  // has the bits of `run`. Returns how many rows were answered: `rows`, or the place of the first one that is refused.
  int64_t run_rows(const float* x, int64_t rows, float* y) const noexcept;

  // Is output `index` of `run` at least the threshold? Decided by the logit where that is clear.
  Cut cut(float threshold) const;
  bool passes(const float* x, const Cut& cut, int32_t index, bool* refused = nullptr) const noexcept;

 private:
  struct Block {
    std::byte* data = nullptr;
    size_t bytes = 0;
    bool locked = false;
    Block() = default;
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    ~Block();
  };
  struct Steps {
    const Step *first = nullptr, *last = nullptr;
    int32_t scratch = 0, answer = 0;  // floats, and where in them a tile's answers are
  };
  class Packer;

  void run_steps(const Steps& steps, const float* x, float* y) const noexcept;
  void run_tiles(const float* x, int64_t rows, float* y, bool streams) const noexcept;
  int64_t accepted(const float* x, int64_t rows) const noexcept;

  const KernelTable* kernels_;
  Block block_;
  Steps one_, logits_, tile_;
  int32_t inputs_, outputs_;
  double work_;  // multiply-adds of an event
  bool refuse_nan_, flush_denormals_, decides_by_logit_ = false;
};

}  // namespace tg::realtime
