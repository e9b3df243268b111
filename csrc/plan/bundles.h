// Bundles: instructions one after the other that one kernel does in one go (ops/op.h, Together).
#pragma once
#include "plan/schedule.h"

namespace tg::plan {

// Brings side by side what can be done in one go, and says so (Instruction::together).
void bundle(Program& program);

// How many steps of a slot, from step k on, are done in one go: those that the schedule has left side by side.
size_t bundled(const Program& program, const Slot& slot, size_t k);

}  // namespace tg::plan
