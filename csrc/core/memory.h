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
  size_t in_use, peak;         // bytes that storages hold now, and the most they ever held
  size_t cached, cache_limit;  // bytes kept for reuse, and the most that are kept
  size_t allocations;          // blocks handed out so far
};
MemoryStats memory_stats();
void empty_cache();
void reset_peak();  // the peak is counted anew from what is in use

}  // namespace tg
