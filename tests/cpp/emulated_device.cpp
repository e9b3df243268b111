// A device of the host's memory, for the kernels of csrc/cuda as host code. Its memory can be touched only while a kernel or a
// copy runs: whoever reads a tensor of the device behind the backend's back gets a segmentation fault, as on a GPU.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

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

// Open for this thread as for all others: a test that should fault does so between calls. A kernel may ask for memory, or copy,
// while it is being started: then the memory is open already.
thread_local int opened = 0;
void open() {
  if (opened++) return;
  mutex.lock();
  protect(PROT_READ | PROT_WRITE);
}
void close() {
  if (--opened) return;
  protect(PROT_NONE);
  mutex.unlock();
}
struct Open {
  Open() { open(); }
  ~Open() { close(); }
};

using Graph = std::vector<std::function<void()>>;
thread_local std::unique_ptr<Graph> capturing;
void not_captured(const char* what) {
  if (capturing) throw Refusal{ErrorKind::Runtime, std::string(what) + " while a graph is captured"};
}

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
  if (!opened) lock.lock();
  void* block;
  if (const auto found = given[index].find(bytes); found != given[index].end()) {
    block = found->second;
    given[index].erase(found);
  } else {
    if (bytes > kMemory - top[index]) return nullptr;
    block = memory + index * kMemory + top[index];
    top[index] += bytes;
    if (opened) protect(PROT_READ | PROT_WRITE);
  }
  taken[index][block] = bytes;
  return block;
}
void give(int index, void* block) {
  std::unique_lock lock(mutex, std::defer_lock);
  if (!opened) lock.lock();
  const auto found = taken[index].find(block);
  given[index].emplace(found->second, block);
  taken[index].erase(found);
}

void to_device(int, void* to, const void* from, size_t bytes) {
  not_captured("copying to the device");
  const Open open;
  std::memcpy(to, from, bytes);
}
void to_host(int, void* to, const void* from, size_t bytes) {
  not_captured("copying from the device");
  const Open open;
  std::memcpy(to, from, bytes);
}
void synchronize(int) { not_captured("waiting for the device"); }

void begin_capture(int) {
  not_captured("capturing");
  capturing = std::make_unique<Graph>();
}
void* end_capture(int) { return capturing.release(); }
void launch(int index, void* graph) {
  not_captured("launching a graph");
  const Use on(index);
  for (const auto& work : *static_cast<Graph*>(graph)) work();
}
void drop(int, void* graph) { delete static_cast<Graph*>(graph); }

Use::Use(int index) : index_(index) {
  open();
  stream_.kept = capturing.get();
}
Use::~Use() { close(); }
void Use::started() const {}

}  // namespace tg::cuda::device
