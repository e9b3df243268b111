// The op table.
#pragma once
#include <span>
#include <string_view>

#include "ops/op.h"

namespace tg {

// All rows, indexed by OpId. Built once.
std::span<const Op> ops();
const Op* find_op(std::string_view name);

// A copy of the text that lives as long as the process: what Attr::word() points to.
const char* intern(std::string_view text);

}  // namespace tg
