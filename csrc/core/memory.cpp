#include "core/memory.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "core/error.h"

namespace tg {
namespace {

constexpr size_t kLargestCached = size_t{128} << 20;  // larger blocks go straight back to the system
constexpr size_t kCacheLimit = size_t{256} << 20;     // bytes kept in all
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

class Cache {
 public:
  Cache() {
    // A child of fork() must not inherit a lock that another thread held.
    pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                   [] { instance().mutex_.unlock(); });
  }
  static Cache& instance() {
    static Cache* cache = new Cache;  // never destroyed: storages may outlive static destructors
    return *cache;
  }
  void* take(size_t rounded) {
    std::lock_guard lock(mutex_);
    in_use_ += rounded;
    peak_ = std::max(peak_, in_use_);
    allocations_++;
    auto& bin = bins_[class_index(rounded)];
    if (rounded > kLargestCached || bin.empty()) return nullptr;
    void* block = bin.back();
    bin.pop_back();
    cached_ -= rounded;
    return block;
  }
  bool keep(void* block, size_t rounded) {
    std::lock_guard lock(mutex_);
    in_use_ -= rounded;
    if (rounded > kLargestCached) return false;
    if (cached_ + rounded > kCacheLimit) drop_all();  // old sizes make room for those in use
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
    return {in_use_, peak_, cached_, kCacheLimit, allocations_};
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    peak_ = in_use_;
  }

 private:
  void drop_all() {
    for (auto& bin : bins_) {
      for (void* block : bin) std::free(block);
      bin.clear();
    }
    cached_ = 0;
  }

  std::mutex mutex_;
  std::vector<void*> bins_[kClasses];
  size_t in_use_ = 0, peak_ = 0, cached_ = 0, allocations_ = 0;
};

// Fresh memory of the system. A fault per 4 KiB page would cost more than most ops over the block: large blocks ask for
// huge pages.
void* from_system(size_t rounded) {
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

}  // namespace

void* allocate(size_t bytes) {
  if (bytes > (size_t{1} << 47))
    fail(ErrorKind::Memory, "cannot allocate ", bytes, " bytes: more than the address space holds");
  const size_t rounded = class_bytes(bytes);
  if (void* block = Cache::instance().take(rounded)) return block;
  void* block = from_system(rounded);
  if (!block) {
    empty_cache();
    block = from_system(rounded);
  }
  if (!block) {
    Cache::instance().forget(rounded);
    fail(ErrorKind::Memory, "cannot allocate ", bytes, " bytes: the system refused");
  }
  return block;
}

void release(void* block, size_t bytes) {
  if (!Cache::instance().keep(block, class_bytes(bytes))) std::free(block);
}

MemoryStats memory_stats() { return Cache::instance().stats(); }
void empty_cache() { Cache::instance().clear(); }
void reset_peak() { Cache::instance().reset_peak(); }

}  // namespace tg
