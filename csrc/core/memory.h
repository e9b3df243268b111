// 64-byte aligned blocks with a bounded cache of freed ones, so that temporaries do not page-fault on every call.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/place.h"

namespace tg {

inline constexpr size_t kAlignment = 64;

// Throws Error(Memory) when the system refuses. A block of 0 bytes has a valid address.
void* allocate(size_t bytes);
void release(void* block, size_t bytes);

// Memory of other devices, through a cache of the same kind for each of them. A freed block may be handed out again while the
// device still works on it: whatever works on it next comes after, for a device does its calls in order.
struct BlockSource {
  void* (*take)(int index, size_t bytes) = nullptr;  // null: there is no room
  void (*give)(int index, void* block) = nullptr;
  size_t largest_cached = 0, cache_limit = 0;
};
void install_memory(Device device, const BlockSource& source);
void* allocate_on(Place place, size_t bytes);
void release_on(Place place, void* block, size_t bytes);

inline void* allocate(size_t bytes, Place place) {
  return place.device == Device::Cuda ? allocate_on(place, bytes) : allocate(bytes);
}
inline void release(void* block, size_t bytes, Place place) {
  if (place.device == Device::Cuda) release_on(place, block, bytes);
  else release(block, bytes);
}

struct MemoryStats {
  size_t in_use, peak;         // bytes that storages hold now, and the most they ever held
  size_t cached, cache_limit;  // bytes kept for reuse, and the most that are kept
  size_t allocations;          // blocks handed out so far
};
MemoryStats memory_stats(Place place = {});
void empty_cache(Place place = {});
void reset_peak(Place place = {});  // the peak is counted anew from what is in use

}  // namespace tg
