// Rewrites of a program that change its speed and none of its bits.
#pragma once
#include "plan/program.h"

namespace tg::plan {

// An activation that alone reads a dense layer becomes part of it.
void fuse_activations(Program& program);
// What is computed twice from the same is computed once.
void share_common(Program& program);
// What nobody sees is left out; what may refuse stays.
void drop_dead(Program& program);

void optimise(Program& program);

}  // namespace tg::plan
