// A device of the host's memory, for the kernels of csrc/cuda as host code. Its memory can be touched only while a kernel or a
// copy runs: whoever reads a tensor of the device behind the backend's back gets a segmentation fault, as on a GPU.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>

#include "cuda/device.h"

namespace tg::cuda::device {
namespace {

constexpr size_t kPage = 4096, kMemory = size_t{1} << 30;  // 1 GiB on each of two devices
constexpr size_t kHuge = size_t{2} << 20;                  // of a page whose protection changes at once
std::mutex mutex;
std::byte* const memory = [] {
  void* all = mmap(nullptr, 2 * kMemory + kHuge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const auto start = (reinterpret_cast<uintptr_t>(all) + kHuge - 1) / kHuge * kHuge;
  madvise(reinterpret_cast<void*>(start), 2 * kMemory, MADV_HUGEPAGE);
  return reinterpret_cast<std::byte*>(start);
}();
size_t top[2];                          // of the blocks so far
std::multimap<size_t, void*> given[2];  // blocks that may be taken again, by their bytes
std::map<void*, size_t> taken[2];

void protect(int how) {
  for (int d = 0; d < 2; d++)
    if (top[d]) mprotect(memory + d * kMemory, (top[d] + kHuge - 1) / kHuge * kHuge, how);
}

// Open while it lives, for this thread as for all others: a test that should fault does so between calls.
class Open {
 public:
  Open() : lock_(mutex) { protect(PROT_READ | PROT_WRITE); }
  ~Open() { protect(PROT_NONE); }

 private:
  std::lock_guard<std::mutex> lock_;
};

// A kernel may ask for memory while it is being started: then the memory is open already.
thread_local bool open_here = false;

}  // namespace

int count() { return 2; }

Properties properties(int) {
  Properties p;
  std::strcpy(p.name, "emulated");
  p.memory = kMemory;
  return p;
}

void* take(int index, size_t bytes) {
  bytes = (bytes + kPage - 1) / kPage * kPage;
  std::unique_lock lock(mutex, std::defer_lock);
  if (!open_here) lock.lock();
  void* block;
  if (const auto found = given[index].find(bytes); found != given[index].end()) {
    block = found->second;
    given[index].erase(found);
  } else {
    if (bytes > kMemory - top[index]) return nullptr;
    block = memory + index * kMemory + top[index];
    top[index] += bytes;
    if (open_here) protect(PROT_READ | PROT_WRITE);
  }
  taken[index][block] = bytes;
  return block;
}
void give(int index, void* block) {
  std::unique_lock lock(mutex, std::defer_lock);
  if (!open_here) lock.lock();
  const auto found = taken[index].find(block);
  given[index].emplace(found->second, block);
  taken[index].erase(found);
}

void to_device(int, void* to, const void* from, size_t bytes) {
  const Open open;
  std::memcpy(to, from, bytes);
}
void to_host(int, void* to, const void* from, size_t bytes) {
  const Open open;
  std::memcpy(to, from, bytes);
}
void synchronize(int) {}

Use::Use(int index) : index_(index) {
  mutex.lock();
  protect(PROT_READ | PROT_WRITE);
  open_here = true;
}
Use::~Use() {
  open_here = false;
  protect(PROT_NONE);
  mutex.unlock();
}
void Use::started() const {}

}  // namespace tg::cuda::device
