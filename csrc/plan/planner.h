// Places the temporaries of a program in one arena: two share bytes only if one is dead before the other is born.
#pragma once
#include <vector>

#include "plan/schedule.h"

namespace tg::plan {

// The arena: what is shared, then a part for each shard. Places count bytes from the start of the part.
struct Layout {
  std::vector<int64_t> place;              // per buffer; -1: not in the arena
  std::vector<std::vector<int64_t>> sums;  // per slot: a shard's stacks of sums, in the order of its steps
  int64_t shared = 0, shard = 0;           // bytes of each part
  int64_t total(size_t shards) const { return shared + shard * static_cast<int64_t>(shards); }
};
// Bytes from one entry of a stack of sums to the next.
int64_t entry_bytes(const View& sum);
Layout plan_memory(const Program& program, const Schedule& schedule);

}  // namespace tg::plan
