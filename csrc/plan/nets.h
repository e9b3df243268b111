// Runs of instructions that are a net of dense layers, or a step of its training up to the gradients: what one kernel may do in one
// go, with all that it makes on the way in no memory at all (ops/op.h, Together::net and Together::training).
#pragma once
#include <functional>
#include <span>

#include "plan/program.h"

namespace tg::plan {

// Marks those that `fits`. Nobody outside of a net may see what its layers make but the last, and of a step more than the loss,
// the last layer's result and the gradients. An operand without memory is an undefined tensor of its shape, whose offset is the
// number of its buffer.
void find_nets(Program& program, const std::function<bool(Together, std::span<const Instruction>)>& fits);

// Per buffer: it is seen by one net alone, which leaves it unwritten.
std::vector<bool> unseen(const Program& program);

}  // namespace tg::plan
