// A program: a straight list of instructions over numbered buffers. Plain data, made by a recorder (recorder.h), rewritten by
// passes (passes.h), laid out by the planner (planner.h), run by an executor (executor.h).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "ops/op.h"

namespace tg::plan {

enum class Role : uint8_t {
  input,      // an argument: its memory is given at each run
  state,      // was there before the recording: parameters, statistics, moments. Outside the arena, changed in place
  constant,   // made from Python numbers while recording: its bytes belong to the program
  temporary,  // lives within a run, in the arena
  output,     // made by a run and seen after it: results, new gradients. Its memory is given at each run
};
const char* name(Role role);

struct Buffer {
  Role role = Role::temporary;
  size_t bytes = 0;
  StorageRef
      storage;  // of a state or a constant. Of a temporary or an output: the bytes that it starts with in each run
};

// What an instruction reads or writes: elements of a buffer. Offset and strides count elements.
struct View {
  int buffer = -1;  // -1: an optional tensor that is absent
  int64_t offset = 0;
  Dims shape, strides;
  Dtype dtype = Dtype::Float32;

  bool defined() const { return buffer >= 0; }
  int64_t numel() const;
  bool contiguous() const;  // row by row, from its offset on
};
bool same(const View& a, const View& b);

struct Instruction {
  const Op* op = nullptr;        // null: an expectation
  std::vector<View> in, out;     // an output that overwrites an input is the same view
  std::vector<bool> overwrites;  // per input
  Attrs attrs;
  bool checked = false;  // what it might refuse has been refused before
  uint8_t precision = kExact;
  Together together = Together::alone;  // with those after it
  int calls = 1;                        // so many are done in one go then, this one among them
  int live = -1;  // >= 0: attributes are numbers that are read anew before each run; which, the program's user knows

  // The demand that the one element of in[0] lies from attribute 0 to attribute 1; a run stops where it does not. What then
  // is to be said the program's user knows, by attribute 2.
  bool is_expectation() const { return !op; }
  bool may_refuse() const { return !op || (!checked && (op->flags & kRefuses)); }
  bool writes(int buffer) const;
  bool reads(int buffer) const;  // an output that is overwritten unread does not count
};

struct Program {
  Place place;  // of all buffers, but for constants of one element that the host has
  std::vector<Buffer> buffers;
  std::vector<Instruction> instructions;
  std::vector<View> inputs;   // one per argument
  std::vector<View> outputs;  // what is seen afterwards, in the order in which it was asked for

  double flops(const Instruction& i) const;
  int64_t bytes(const Instruction& i) const;  // read and written
  std::string text() const;
};

// Does the instruction read all of what it overwrites? copy_ and fill_ do not.
bool reads_overwritten(const Op& op);

}  // namespace tg::plan
