// Places the temporaries of a program in one arena: two share bytes only if one is dead before the other is born.
#pragma once
#include "plan/program.h"

namespace tg::plan {

// Sets Buffer::place of every temporary, and Program::arena_bytes.
void plan_memory(Program& program);

}  // namespace tg::plan
