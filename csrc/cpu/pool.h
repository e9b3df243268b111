// Our own thread pool: fork-safe, spins briefly, then sleeps. No std templates here: kernel files include it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tg {

// Runs fn(ctx, 0) .. fn(ctx, tasks - 1), each once, on the caller and idle workers. Whoever is free takes the next task,
// so a worker that the system has put aside delays nobody. Nested calls and a second caller run their tasks themselves.
// The result must not depend on who runs what.
void parallel(int64_t tasks, void (*fn)(void* ctx, int64_t task), void* ctx);

int num_threads();            // how many threads parallel() may use, the caller included; 1 within a task
void set_num_threads(int n);  // n >= 1

// Thread-local buffer of at least `bytes`, 64-byte aligned, contents undefined; it grows and stays. One per slot.
void* scratch(int slot, size_t bytes);
inline constexpr int kScratchSlots = 8;

}  // namespace tg
