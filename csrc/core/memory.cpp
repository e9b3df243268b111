#include "core/memory.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>
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
  Cache(std::string where, const BlockSource& source, int index = 0)
      : where_(std::move(where)), source_(source), index_(index) {}

  void* allocate(size_t bytes, StreamId stream = 0) {
    if (bytes > (size_t{1} << 47))
      fail(where_.empty() ? ErrorKind::Memory : ErrorKind::DeviceMemory, "cannot allocate ", bytes, " bytes",
           where_.empty() ? "" : " ", where_, ": more than the address space holds");
    const size_t rounded = class_bytes(bytes);
    if (void* block = take(rounded, stream)) return block;
    void* block = source_.take(index_, rounded);
    if (!block) {
      retry();
      block = source_.take(index_, rounded);
    }
    if (block) return block;
    const size_t others = refuse(rounded);
    if (where_.empty()) fail(ErrorKind::Memory, "cannot allocate ", bytes, " bytes: the system refused");
    fail(ErrorKind::DeviceMemory, "cannot allocate ", bytes, " bytes ", where_, ", where tensors hold ", others,
         ": there is no room for more; free tensors, or work on smaller batches");
  }
  void release(void* block, size_t bytes, StreamId stream = 0) {
    const size_t rounded = class_bytes(bytes);
    if (source_.mark && postpone(block, rounded, stream)) return;
    if (!keep(block, rounded, stream)) source_.give(index_, block);
  }
  void used(void* block, int index, StreamId stream) {
    std::lock_guard lock(mutex_);
    std::vector<Use>& uses = uses_[block];
    for (const Use& u : uses)
      if (u.index == index && u.stream == stream) return;
    uses.push_back({index, stream});
  }
  void clear() {
    std::lock_guard lock(mutex_);
    drop_all();
  }
  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return {in_use_, peak_, cached_, source_.cache_limit, reserved_peak_, allocations_, retries_, refusals_};
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    peak_ = in_use_;
    reserved_peak_ = in_use_ + cached_;
  }
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  struct Use {
    int index;
    StreamId stream;
  };
  struct Waiting {
    void* block;
    size_t rounded;
    StreamId stream;
    std::vector<void*> events;
  };
  struct Bins {
    std::vector<void*> of[kClasses];
  };

  Bins* bins_of(int stream) { return stream ? others_[stream].get() : &first_; }
  void* take(size_t rounded, StreamId stream) {
    std::lock_guard lock(mutex_);
    if (!waiting_.empty()) [[unlikely]]
      settle(false);
    in_use_ += rounded;
    peak_ = std::max(peak_, in_use_);
    allocations_++;
    Bins* const bins = bins_of(stream);
    if (rounded > source_.largest_cached || !bins || bins->of[class_index(rounded)].empty()) {
      reserved_peak_ = std::max(reserved_peak_, in_use_ + cached_);
      return nullptr;
    }
    auto& bin = bins->of[class_index(rounded)];
    void* block = bin.back();
    bin.pop_back();
    cached_ -= rounded;
    return block;
  }
  bool keep(void* block, size_t rounded, StreamId stream) {
    std::lock_guard lock(mutex_);
    in_use_ -= rounded;
    if (rounded > source_.largest_cached) return false;
    if (cached_ + rounded > source_.cache_limit) drop_all();  // old sizes make room for those in use
    if (!put(block, rounded, stream)) return false;
    cached_ += rounded;
    return true;
  }
  [[gnu::always_inline]] bool put(void* block, size_t rounded, StreamId stream) {
    try {
      if (stream && !others_[stream]) [[unlikely]]
        others_[stream] = std::make_unique<Bins>();
      bins_of(stream)->of[class_index(rounded)].push_back(block);
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }

  // A block that others than its own stream used waits for them.
  bool postpone(void* block, size_t rounded, StreamId stream) {
    std::lock_guard lock(mutex_);
    if (uses_.empty()) return false;
    const auto found = uses_.find(block);
    if (found == uses_.end()) return false;
    Waiting w{block, rounded, stream, {}};
    for (const Use& u : found->second)
      if (void* event = source_.mark(u.index, u.stream)) w.events.push_back(event);
    uses_.erase(found);
    in_use_ -= rounded;
    cached_ += rounded;
    waiting_.push_back(std::move(w));
    return true;
  }
  // Blocks whose wait is over go to the others.
  void settle(bool wait) {
    std::erase_if(waiting_, [&](Waiting& w) {
      while (!w.events.empty() && source_.passed(w.events.back(), wait)) w.events.pop_back();
      if (!w.events.empty()) return false;
      if (w.rounded > source_.largest_cached || !put(w.block, w.rounded, w.stream)) {
        source_.give(index_, w.block);
        cached_ -= w.rounded;
      }
      return true;
    });
  }

  void retry() {
    std::lock_guard lock(mutex_);
    retries_++;
    drop_all();
  }
  size_t refuse(size_t rounded) {  // what others hold
    std::lock_guard lock(mutex_);
    refusals_++;
    return in_use_ -= rounded;
  }
  void drop_all() {
    settle(true);
    for (int stream = 0; stream < kMaxStreams; stream++) {
      Bins* const bins = bins_of(stream);
      if (!bins) continue;
      for (auto& bin : bins->of) {
        for (void* block : bin) source_.give(index_, block);
        bin.clear();
      }
    }
    cached_ = 0;
  }

  const std::string where_;
  const BlockSource source_;  // blocks larger than its largest_cached go straight back
  const int index_;
  std::mutex mutex_;
  Bins first_;                                 // taken on the default stream
  std::unique_ptr<Bins> others_[kMaxStreams];  // on others; made when there are any
  std::unordered_map<void*, std::vector<Use>> uses_;
  std::vector<Waiting> waiting_;
  size_t in_use_ = 0, peak_ = 0, cached_ = 0, reserved_peak_ = 0, allocations_ = 0, retries_ = 0, refusals_ = 0;
};

// The caches live as long as the process: storages may outlive static destructors.
Cache& cpu_cache() {
  static Cache* cache = [] {
    auto* made = new Cache("", {from_system, to_system, size_t{128} << 20, size_t{256} << 20});
    // A child of fork() must not inherit a lock that another thread held.
    static Cache* of_fork = made;
    pthread_atfork([] { of_fork->lock(); }, [] { of_fork->unlock(); }, [] { of_fork->unlock(); });
    return made;
  }();
  return *cache;
}

constinit std::mutex installing;
BlockSource sources[kDevices];
std::atomic<Cache*> caches[kDevices][kMaxDevices];
std::atomic<Cache*> pinned{nullptr};
std::atomic<bool> forked{false};

// In a child the devices' memory is neither freed nor handed out, and their locks may be held by threads that it does not have.
void watch_forks() {
  static const bool watched = [] { return pthread_atfork(nullptr, nullptr, [] { forked = true; }) == 0; }();
  static_cast<void>(watched);
}

Cache& cache_of(Place place) {
  if (place.device != Device::Cuda) return cpu_cache();
  std::atomic<Cache*>& slot = caches[static_cast<int>(place.device)][place.index];
  if (Cache* made = slot.load(std::memory_order_acquire)) return *made;
  std::lock_guard lock(installing);
  const BlockSource& source = sources[static_cast<int>(place.device)];
  if (!source.take)
    fail(ErrorKind::Runtime, "cannot allocate on ", name(place), ": nothing here can; expected a tensor on cpu");
  if (!slot.load()) slot.store(new Cache("on " + name(place), source, place.index), std::memory_order_release);
  return *slot.load();
}

Cache& pinned_cache() {
  Cache* made = pinned.load(std::memory_order_acquire);
  if (!made) fail(ErrorKind::Runtime, "cannot allocate page-locked memory: CUDA is absent");
  return *made;
}

void require_unforked() {
  if (forked)
    fail(ErrorKind::Runtime,
         "this process was forked from one that used CUDA, which is lost to it; start processes with ",
         "multiprocessing's 'spawn' method, or use CUDA after the fork only");
}

}  // namespace

void* allocate(size_t bytes) { return cpu_cache().allocate(bytes); }
void release(void* block, size_t bytes) { cpu_cache().release(block, bytes); }

constinit thread_local StreamId current_stream[kMaxDevices] = {};

void install_memory(Device device, const BlockSource& source) {
  watch_forks();
  std::lock_guard lock(installing);
  sources[static_cast<int>(device)] = source;
}
void* allocate_on(Place place, size_t bytes, StreamId stream) {
  require_unforked();
  return cache_of(place).allocate(bytes, stream);
}
void release_on(Place place, void* block, size_t bytes, StreamId stream) {
  if (!forked) cache_of(place).release(block, bytes, stream);
}
void used_on(Place place, void* block, StreamId stream) { cache_of(place).used(block, place.index, stream); }

void install_pinned(const BlockSource& source) {
  watch_forks();
  pinned.store(new Cache("of page-locked memory", source), std::memory_order_release);
}
void* allocate_pinned(size_t bytes) {
  require_unforked();
  return pinned_cache().allocate(bytes);
}
void release_pinned(void* block, size_t bytes) {
  if (!forked) pinned_cache().release(block, bytes);
}
void pinned_used_on(void* block, int index, StreamId stream) { pinned_cache().used(block, index, stream); }

bool forked_from_devices() { return forked; }

MemoryStats memory_stats(Place place) { return cache_of(place).stats(); }
MemoryStats pinned_memory_stats() { return pinned_cache().stats(); }
void empty_cache(Place place) { cache_of(place).clear(); }
void empty_pinned_cache() { pinned_cache().clear(); }
void reset_peak(Place place) { cache_of(place).reset_peak(); }

}  // namespace tg
