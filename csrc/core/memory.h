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

// ---- memory of other devices, through a cache of the same kind for each of them

// A device works through streams: each does its calls in order, beside the others. 0 is the default one.
using StreamId = uint8_t;
inline constexpr int kMaxStreams = 64;  // of one device
extern constinit thread_local StreamId current_stream[kMaxDevices];

// A freed block may be handed out again while the device still works on it, on the stream that it was taken on: whatever works on
// it next comes after. If other streams used it, it waits until they are done with what they had to do when it was freed.
struct BlockSource {
  void* (*take)(int index, size_t bytes) = nullptr;  // null: there is no room
  void (*give)(int index, void* block) = nullptr;
  size_t largest_cached = 0, cache_limit = 0;
  void* (*mark)(int index,
                StreamId stream) = nullptr;          // an event behind the stream's calls so far; null: there is none
  bool (*passed)(void* event, bool wait) = nullptr;  // once true, the event is gone
};
void install_memory(Device device, const BlockSource& source);
void* allocate_on(Place place, size_t bytes, StreamId stream);
void release_on(Place place, void* block, size_t bytes, StreamId stream);
void used_on(Place place, void* block, StreamId stream);  // before it is released

// Memory of the host that devices read and write by themselves, with a cache of its own.
void install_pinned(const BlockSource& source);
void* allocate_pinned(size_t bytes);
void release_pinned(void* block, size_t bytes);
void pinned_used_on(void* block, int index, StreamId stream);  // by a copy that was just begun

// Is this a process that was forked from one which used devices? They are lost to it, and to call on them would not end well.
bool forked_from_devices();

struct MemoryStats {
  size_t in_use, peak;         // bytes that storages hold now, and the most they ever held
  size_t cached, cache_limit;  // bytes kept for reuse, and the most that are kept
  size_t reserved_peak;        // the most that were in use or kept
  size_t allocations;          // blocks handed out so far
  size_t retries, refusals;    // how often the cache was emptied to make room, and how often in vain
};
MemoryStats memory_stats(Place place = {});
MemoryStats pinned_memory_stats();
void empty_cache(Place place = {});
void empty_pinned_cache();
void reset_peak(Place place = {});  // the peaks are counted anew from what is in use

}  // namespace tg
