// Plan files: a program, its numbers, and events with their answers. docs/plan_file.md describes the bytes.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "realtime/predictor.h"

namespace tg::realtime {

// Events that exercise a program, and what it answers.
struct SelfTest {
  int32_t rows = 0;
  std::vector<float> x, y;
};
SelfTest self_test_of(const Program& program);

struct Plan {
  Program program;
  SelfTest test;
};

// A hash of every number and every instruction's meaning: what a changed bit changes.
uint64_t digest(const Program& program);

std::vector<std::byte> to_bytes(const Plan& plan);
// Throws Error(Value), with `who` in front, unless every byte is as it should be; then the plan is as valid as `validate`
// makes it. Takes memory in proportion to the bytes at most.
Plan from_bytes(std::span<const std::byte> bytes, const char* who);

// A predictor of the plan that has answered its events bit for bit; throws Error(Runtime) if it does not.
void check_self_test(const Predictor& predictor, const SelfTest& test, const char* who);

std::vector<std::byte> read_file(const char* path, const char* who);

}  // namespace tg::realtime
