#include "core/memory.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "core/error.h"

namespace tg {
namespace {

constexpr int kClasses = 4 * 64;

// Size classes: four per power of two, so at most 25 % is wasted.
size_t class_bytes(size_t bytes) {
  bytes = std::max(bytes, kAlignment);
  const size_t step = std::max<size_t>(std::bit_floor(bytes) / 4, kAlignment);
  return (bytes + step - 1) / step * step;
}
int class_index(size_t rounded) {
  const int power = std::bit_width(rounded | kAlignment) - 1;  // no class is smaller, and the compiler may know it
  return 4 * power + static_cast<int>((rounded >> (power - 2)) & 3);
}

// Fresh memory of the system. A fault per 4 KiB page would cost more than most ops over the block: large blocks ask for
// huge pages.
void* from_system(int, size_t rounded) {
#if defined(MADV_HUGEPAGE)
  constexpr size_t huge = size_t{2} << 20;
  if (rounded >= 2 * huge) {
    void* block = std::aligned_alloc(huge, (rounded + huge - 1) / huge * huge);
    if (block) madvise(block, rounded / huge * huge, MADV_HUGEPAGE);
    return block;
  }
#endif
  return std::aligned_alloc(kAlignment, rounded);
}
void to_system(int, void* block) { std::free(block); }

class Cache {
 public:
  Cache(Place place, const BlockSource& source) : place_(place), source_(source) {}

  void* allocate(size_t bytes) {
    if (bytes > (size_t{1} << 47))
      fail(ErrorKind::Memory, "cannot allocate ", bytes, " bytes: more than the address space holds");
    const size_t rounded = class_bytes(bytes);
    if (void* block = take(rounded)) return block;
    void* block = source_.take(place_.index, rounded);
    if (!block) {
      clear();
      block = source_.take(place_.index, rounded);
    }
    if (!block) {
      forget(rounded);
      if (place_.device == Device::Cpu)
        fail(ErrorKind::Memory, "cannot allocate ", bytes, " bytes: the system refused");
      fail(ErrorKind::Memory, "cannot allocate ", bytes, " bytes on ", name(place_), ", where tensors hold ",
           stats().in_use, ": the device has no more; free tensors, or work on smaller batches");
    }
    return block;
  }
  void release(void* block, size_t bytes) {
    if (!keep(block, class_bytes(bytes))) source_.give(place_.index, block);
  }

  void* take(size_t rounded) {
    std::lock_guard lock(mutex_);
    in_use_ += rounded;
    peak_ = std::max(peak_, in_use_);
    allocations_++;
    auto& bin = bins_[class_index(rounded)];
    if (rounded > source_.largest_cached || bin.empty()) return nullptr;
    void* block = bin.back();
    bin.pop_back();
    cached_ -= rounded;
    return block;
  }
  bool keep(void* block, size_t rounded) {
    std::lock_guard lock(mutex_);
    in_use_ -= rounded;
    if (rounded > source_.largest_cached) return false;
    if (cached_ + rounded > source_.cache_limit) drop_all();  // old sizes make room for those in use
    try {
      bins_[class_index(rounded)].push_back(block);
    } catch (const std::bad_alloc&) {
      return false;
    }
    cached_ += rounded;
    return true;
  }
  void forget(size_t rounded) {  // an allocation that failed
    std::lock_guard lock(mutex_);
    in_use_ -= rounded;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    drop_all();
  }
  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return {in_use_, peak_, cached_, source_.cache_limit, allocations_};
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    peak_ = in_use_;
  }
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  void drop_all() {
    for (auto& bin : bins_) {
      for (void* block : bin) source_.give(place_.index, block);
      bin.clear();
    }
    cached_ = 0;
  }

  const Place place_;
  const BlockSource source_;  // blocks larger than its largest_cached go straight back
  std::mutex mutex_;
  std::vector<void*> bins_[kClasses];
  size_t in_use_ = 0, peak_ = 0, cached_ = 0, allocations_ = 0;
};

// The caches live as long as the process: storages may outlive static destructors.
Cache& cpu_cache() {
  static Cache* cache = [] {
    auto* made = new Cache({}, {from_system, to_system, size_t{128} << 20, size_t{256} << 20});
    // A child of fork() must not inherit a lock that another thread held. (Other devices do not work in a child anyway.)
    static Cache* of_fork = made;
    pthread_atfork([] { of_fork->lock(); }, [] { of_fork->unlock(); }, [] { of_fork->unlock(); });
    return made;
  }();
  return *cache;
}

constinit std::mutex installing;
BlockSource sources[kDevices];
std::atomic<Cache*> caches[kDevices][kMaxDevices];

Cache& cache_of(Place place) {
  if (place.device != Device::Cuda) return cpu_cache();
  std::atomic<Cache*>& slot = caches[static_cast<int>(place.device)][place.index];
  if (Cache* made = slot.load(std::memory_order_acquire)) return *made;
  std::lock_guard lock(installing);
  const BlockSource& source = sources[static_cast<int>(place.device)];
  if (!source.take)
    fail(ErrorKind::Runtime, "cannot allocate on ", name(place), ": nothing here can; expected a tensor on cpu");
  if (!slot.load()) slot.store(new Cache(place, source), std::memory_order_release);
  return *slot.load();
}

}  // namespace

void* allocate(size_t bytes) { return cpu_cache().allocate(bytes); }
void release(void* block, size_t bytes) { cpu_cache().release(block, bytes); }

void install_memory(Device device, const BlockSource& source) {
  std::lock_guard lock(installing);
  sources[static_cast<int>(device)] = source;
}
void* allocate_on(Place place, size_t bytes) { return cache_of(place).allocate(bytes); }
void release_on(Place place, void* block, size_t bytes) { cache_of(place).release(block, bytes); }

MemoryStats memory_stats(Place place) { return cache_of(place).stats(); }
void empty_cache(Place place) { cache_of(place).clear(); }
void reset_peak(Place place) { cache_of(place).reset_peak(); }

}  // namespace tg
