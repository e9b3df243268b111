// The version of the arithmetic: it rises when the bits of any result change on purpose. Every saved file carries it.
#pragma once

namespace tg {

inline constexpr int kArithmeticVersion = 1;

}  // namespace tg
