// 64-byte aligned blocks with a bounded cache of freed ones, so that temporaries do not page-fault on every call.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tg {

inline constexpr size_t kAlignment = 64;

// Throws Error(Memory) when the system refuses. A block of 0 bytes has a valid address.
void* allocate(size_t bytes);
void release(void* block, size_t bytes);

struct MemoryStats {
  size_t in_use, cached;
};
MemoryStats memory_stats();
void empty_cache();

}  // namespace tg
