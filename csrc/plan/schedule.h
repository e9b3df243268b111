// When what of a program is run, and by whom.
//
// Most of a training step works row by row: row i of a result needs row i of the operands and things that all rows share, the
// weights. Such instructions are run by shards: each thread takes some of the rows through all of them, one after the other,
// with its intermediate results in memory of its own, and meets the others only where something needs all rows. A shard that
// would not stay in the cache of its core takes its rows by units, each through all steps. Sums over the rows (gradients of
// weights) are made of subtrees of the batch order's tree (tree.h), which are joined as that tree joins them: the bits are
// those of one thread and one call.
#pragma once
#include <vector>

#include "plan/program.h"
#include "plan/tree.h"

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

// A subtree of the sums over the rows. Its sum becomes entry `entry` of the shard's stack; then the topmost two entries merge
// so many times.
struct Piece {
  Rows rows;
  int entry, merges;
};

struct Unit {
  Rows rows;
  std::vector<Piece> pieces;
};

// entry `to_entry` of shard `to` += entry `from_entry` of shard `from`, of each sum that a slot has made
struct Join {
  int to, to_entry, from, from_entry;
};

// Something to be done after a sharded slot, before anything depends on it: the joins of a sum, or a step of the slot that
// follows.
struct Task {
  bool joins;
  size_t step, out;  // of joins: that output of that step of the slot before
};

// Either instructions that run whole, one after the other, or a list that every shard runs on its rows.
struct Slot {
  bool sharded = false;
  // Of what runs whole: lists that do not depend on each other, for threads to share. They begin with the joins of the slot
  // before. Empty: the steps in their order.
  std::vector<std::vector<Task>> lists;
  std::vector<Scheduled> steps;
  std::vector<std::vector<Unit>> units;  // per shard
  int64_t most_rows = 0;                 // of a unit
  int entries = 0;                       // of the longest stack
  std::vector<Join> joins;               // in order, after all shards

  bool by_units() const;  // some shard has several
};

struct Schedule {
  int64_t rows = 0;          // of the batch
  std::vector<Rows> shards;  // empty: nothing is sharded
  std::vector<Slot> slots;
  std::vector<bool> apart;  // per buffer: each shard has its rows in memory of its own
  std::vector<bool> block;  // per buffer: only the rows of one unit, which nobody sees after it

  // States and arguments that something writes before the last instruction that may refuse.
  std::vector<int> at_risk(const Program& program) const;
};

// The rows of a program's batch: the length of its first argument; 0 if it has none.
int64_t batch_rows(const Program& program);
// The instructions in their order.
Schedule in_order(const Program& program);
// For so many threads. With one, or where shards would not pay, the instructions in their order.
Schedule make_schedule(const Program& program, int threads);

}  // namespace tg::plan
