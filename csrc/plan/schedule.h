// When what of a program is run, and by whom.
//
// Most of a training step works row by row: row i of a result needs row i of the operands and things that all rows share, the
// weights. Such instructions are run by shards: each thread takes some of the rows through all of them, one after the other,
// with its intermediate results in memory of its own, and meets the others only where something needs all rows. Sums over
// the rows (gradients of weights) are left as partial sums, joined afterwards. The rows are cut where the tree of the batch
// order (math/order.h) is cut, so the bits are those of one thread.
#pragma once
#include <array>
#include <vector>

#include "plan/program.h"

namespace tg::plan {

// How one operand is seen by a shard.
enum class Part : uint8_t {
  whole,  // as it is
  rows,   // its rows: the first axis is the batch
  sum,    // (an output) its share of a sum over the rows
};

struct Scheduled {
  int instruction;
  std::vector<Part> in, out;  // empty: run whole
};

// Either instructions that run whole, one after the other, or a list that every shard runs on its rows.
struct Slot {
  bool sharded = false;
  int64_t block = 0;  // > 0: a shard takes so many rows at a time through all steps, so that they stay in its cache
  std::vector<Scheduled> steps;
};

struct Rows {
  int64_t first, end;
};

// partial[to] += partial[from], of each sum that the slot before has made
struct Join {
  int to, from;
};

struct Schedule {
  std::vector<Rows> shards;  // empty: nothing is sharded
  std::vector<Join> joins;   // in order
  std::vector<Slot> slots;   // sums of a sharded slot are joined after it
  std::vector<bool> apart;   // per buffer: each shard has its rows in memory of its own
  std::vector<bool> block;   // per buffer: only the rows of one block, which nobody sees after it

  // States and arguments that something writes before the last instruction that may refuse.
  std::vector<int> at_risk(const Program& program) const;
};

// For so many threads. With one, or where it would not pay, the instructions in their order.
Schedule make_schedule(const Program& program, int threads);

}  // namespace tg::plan
