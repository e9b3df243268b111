// A device of the host's memory, for the kernels of csrc/cuda as host code. Its memory can be touched only while a kernel or a
// copy runs: whoever reads a tensor of the device behind the backend's back gets a segmentation fault, as on a GPU.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cuda/device.h"

namespace tg::cuda::device {
namespace {

constexpr size_t kPage = 4096, kMemory = size_t{1} << 30;  // 1 GiB on each of two devices
constexpr size_t kHuge = size_t{2} << 20;                  // of a page whose protection changes at once
std::mutex mutex;
std::byte* const ground = [] {
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
    if (top[d]) mprotect(ground + d * kMemory, (top[d] + kHuge - 1) / kHuge * kHuge, how);
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

// Streams do their calls at once, but say so late: an event is over once its stream or it was waited for, or after it was asked for
// twice. So memory that is handed on too early is seen.
struct Event {
  bool timed = false, over = true, recorded = false;
  int asked = 0;
  std::chrono::steady_clock::time_point at;
};
Event* event_of(void* event) { return static_cast<Event*>(event); }
std::mutex queue;
std::map<void*, std::set<Event*>> pending;  // by stream
void pass(void* stream) {
  const std::lock_guard lock(queue);
  for (Event* e : pending[stream]) e->over = true;
  pending.erase(stream);
}
void pass_all() {
  const std::lock_guard lock(queue);
  for (const auto& [stream, events] : pending)
    for (Event* e : events) e->over = true;
  pending.clear();
}

// Work that does not end before it is let go: then what waits for the device waits, though no longer than a minute.
std::atomic<bool> held{false};
void wait_while_held() {
  using namespace std::chrono;
  const auto end = steady_clock::now() + seconds(60);
  while (held && steady_clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
}

using Graph = std::vector<std::function<void()>>;
thread_local std::unique_ptr<Graph> capturing;
void not_captured(const char* what) {
  if (capturing) throw Refusal{ErrorKind::Runtime, std::string(what) + " while a graph is captured"};
}

}  // namespace

// TRIGRAD_EMULATED_ALONE: one device, which does not say what it is, so that tests can be tried as on a machine with a GPU.
bool alone() { return std::getenv("TRIGRAD_EMULATED_ALONE") != nullptr; }

Versions versions() { return alone() ? Versions{13000, 13000, "900"} : Versions{0, 0, "the host"}; }
int count() { return alone() ? 1 : 2; }

Properties properties(int) {
  Properties p;
  std::strcpy(p.name, alone() ? "a GPU" : "emulated");
  p.major = alone() ? 9 : 0;
  p.memory = kMemory;
  return p;
}

Traits traits(int) { return {90, 4, size_t{60} << 10}; }

void* take(int index, size_t bytes) {
  bytes = (bytes + kPage - 1) / kPage * kPage;
  const Open open;
  void* block;
  if (const auto found = given[index].find(bytes); found != given[index].end()) {
    block = found->second;
    given[index].erase(found);
  } else {
    if (bytes > kMemory - top[index]) return nullptr;
    block = ground + index * kMemory + top[index];
    top[index] += bytes;
    protect(PROT_READ | PROT_WRITE);
  }
  taken[index][block] = bytes;
  std::memset(block, 0xff, std::min(bytes, kHuge));  // as floats NaN: nobody may count on what is there
  return block;
}
void give(int index, void* block) {
  const Open open;
  const auto found = taken[index].find(block);
  std::memset(block, 0xff, std::min(found->second, kHuge));
  given[index].emplace(found->second, block);
  taken[index].erase(found);
}

void memory(int index, uint64_t* free, uint64_t* total) {
  const Open open;
  size_t held = 0;
  for (const auto& [block, bytes] : taken[index]) held += bytes;
  *free = kMemory - held;
  *total = kMemory;
}

void* pin(size_t bytes) { return std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage); }
void unpin(void* block) { std::free(block); }

void copy(const Copy& c) {
  if (c.wait) {
    not_captured("a copy that waits");
    wait_while_held();
  }
  const Open open;
  std::memcpy(c.to, c.from, c.bytes);
  if (c.wait) pass(c.stream);
}
int device_of(const void* address) {
  const auto* at = static_cast<const std::byte*>(address);
  return at < ground || at >= ground + 2 * kMemory ? kHost : at < ground + kMemory ? 0 : 1;
}
void synchronize(int) {
  not_captured("waiting for the device");
  pass_all();
}

void* new_stream(int, int) { return new char; }
bool stream_done(int, void* stream, bool wait) {
  if (wait) pass(stream);
  const std::lock_guard lock(queue);
  return pending.count(stream) == 0;
}
void* new_event(int, bool timed) { return new Event{timed, true, false, 0, {}}; }
void drop_event(int, void* event) {
  const std::lock_guard lock(queue);
  for (auto& [stream, events] : pending) events.erase(event_of(event));
  delete event_of(event);
}
void record(int, void* event, void* stream) {
  const std::lock_guard lock(queue);
  Event& e = *event_of(event);
  e.over = false;
  e.recorded = true;
  e.at = std::chrono::steady_clock::now();
  pending[stream].insert(&e);
}
void follow(int, void*, void*) {}
bool event_done(int, void* event, bool wait) {
  const std::lock_guard lock(queue);
  Event& e = *event_of(event);
  const bool over = e.over;
  e.over |= wait || e.asked++ > 0;
  for (auto& [stream, events] : pending)  // what its stream was asked before is over too
    if (wait && events.count(&e))
      for (Event* before : events) before->over |= before->at <= e.at;
  return wait || over;
}
float elapsed(int, void* begin, void* end) {
  const std::lock_guard lock(queue);
  const Event &a = *event_of(begin), &b = *event_of(end);
  if (!a.timed || !b.timed || !a.recorded || !b.recorded)
    throw Refusal{ErrorKind::Runtime, "the time between two events: invalid resource handle"};
  return std::chrono::duration<float, std::milli>(b.at - a.at).count();
}

void begin_capture(int) {
  not_captured("capturing");
  capturing = std::make_unique<Graph>();
}
void* end_capture(int) { return capturing.release(); }
void launch(int index, void* graph, void*) {
  not_captured("launching a graph");
  const Use on(index);
  for (const auto& work : *static_cast<Graph*>(graph)) work();
}
void drop(int, void* graph) { delete static_cast<Graph*>(graph); }

extern "C" __attribute__((visibility("default"))) void hold_emulated(bool hold) { held = hold; }

Use::Use(int index, void*) : index_(index) {
  open();
  stream_.kept = capturing.get();
}
Use::~Use() { close(); }
void Use::started() const {}

}  // namespace tg::cuda::device
