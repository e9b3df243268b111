// Runs a program: the same kernels over the same views as when it was recorded, without shape rules and allocations of the
// door. Not for two threads at once.
#pragma once
#include <memory>

#include "plan/program.h"

namespace tg::plan {

// Thrown when a value is not as expected; `id` is the expectation's.
struct Unexpected {
  int id;
  Tensor value;  // its one element
};

class Executor {
 public:
  Executor(Program program, const Backend& backend);

  const Program& program() const { return program_; }
  // The memory of an input or an output, or another memory of a state: the buffer starts `base` bytes into the storage.
  void bind(int buffer, const StorageRef& storage, int64_t base);
  const StorageRef& bound(int buffer) const { return bound_[static_cast<size_t>(buffer)]; }
  int64_t uses(int buffer) const { return static_cast<int64_t>(uses_[static_cast<size_t>(buffer)].size()); }
  // Of an instruction whose numbers are read anew.
  Attrs& attrs(size_t instruction) { return steps_[instruction].attrs; }
  // The view as a tensor on what is bound now.
  Tensor tensor(const View& v) const;

  // A run that throws has changed no state.
  void run();
  // A run with the nanoseconds that each instruction took.
  void run_timed(std::vector<double>& nanoseconds);

 private:
  struct Step {
    const Op* op;
    Kernel kernel;
    size_t in, n_in, out, n_out;  // places in operands_
    size_t written, n_written;    // places in written_
    Attrs attrs;
  };
  struct Use {
    size_t operand;
    int64_t offset;  // elements from the start of the buffer
  };
  void start();
  void execute(const Step& step);
  template <class Each>
  void run_all(Each each);

  Program program_;
  std::vector<Step> steps_;
  std::vector<Tensor> operands_;
  std::vector<std::vector<Use>> uses_;  // per buffer
  std::vector<StorageRef> bound_;       // per buffer
  std::vector<int64_t> base_;           // per buffer: its first byte in what is bound
  std::vector<int> written_;            // the states, inputs and outputs that a step writes: their versions rise
  StorageRef arena_;
  std::vector<int> starting_;  // buffers that start with bytes of their own
  std::vector<int> at_risk_;
  std::vector<std::vector<std::byte>> copies_;  // of those at risk
};

}  // namespace tg::plan
