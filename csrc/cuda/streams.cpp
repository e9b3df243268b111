#include "cuda/streams.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "cuda/loaded.h"

namespace tg::cuda {
namespace {

// The first is the default; then those of the pool, half of them of high priority; then other libraries'.
constexpr int kPool = 16, kForeign = 1 + 2 * kPool;
struct Streams {
  std::mutex mutex;
  int made[2] = {}, next[2] = {}, foreign = 0;
  std::atomic<void*> handles[kMaxStreams] = {};
};
Streams streams[kMaxDevices];

// What `stream` is asked from now on comes after what `before` was asked so far.
void follow(int index, void* stream, int before_index, void* before) {
  void* event = nullptr;
  ask<&Module::new_event>(before_index, false, &event);
  try {
    ask<&Module::record>(before_index, event, before);
    ask<&Module::follow>(index, stream, event);
  } catch (...) {
    module().drop_event(before_index, event);
    throw;
  }
  module().drop_event(before_index, event);
}

void* handle(int index, StreamId s) { return s ? streams[index].handles[s].load() : nullptr; }

struct Mark {
  int index;
  void* event;
};
void* mark(int index, StreamId stream) {
  auto m = std::make_unique<Mark>(Mark{index, nullptr});
  Failure failure;
  if (!module().new_event(index, false, &m->event, &failure)) return nullptr;
  if (module().record(index, m->event, handle(index, stream), &failure)) return m.release();
  module().drop_event(index, m->event);
  return nullptr;
}
bool passed(void* event, bool wait) {
  auto* m = static_cast<Mark*>(event);
  Failure failure;
  bool over = false;
  if (module().event_done(m->index, m->event, wait, &over, &failure) && !over) return false;
  module().drop_event(m->index, m->event);
  delete m;
  return true;
}

// ---- page-locked memory

struct Pinned {
  void* block;
  size_t bytes;
};
void drop_pinned(void* owner) {
  auto* p = static_cast<Pinned*>(owner);
  release_pinned(p->block, p->bytes);
  delete p;
}

}  // namespace

void* current_handle(int index) {
  const StreamId s = current_stream[index];
  return s ? streams[index].handles[s].load(std::memory_order_relaxed) : nullptr;
}

void copy(Place to_place, void* to, Place from_place, const void* from, size_t bytes, bool wait) {
  const bool to_host = to_place.device == Device::Cpu, from_host = from_place.device == Device::Cpu;
  const Place at = from_host ? to_place : from_place;  // whose stream does it
  Copy c{to,
         from,
         bytes,
         to_host ? kHost : to_place.index,
         from_host ? kHost : from_place.index,
         current_handle(at.index),
         wait};
  if (!bytes) return;
  if (to_host || from_host) {
    auto begin = [&] { ask<&Module::copy>(&c); };
    return wait ? wait_by(begin) : begin();
  }
  // What the other device was asked so far may still use the memory that is written, and what it is asked next reads it.
  c.wait = false;
  follow(at.index, c.stream, to_place.index, current_handle(to_place.index));
  ask<&Module::copy>(&c);
  follow(to_place.index, current_handle(to_place.index), at.index, c.stream);
}

void install_device_memory() {
  BlockSource blocks;
  blocks.take = [](int index, size_t bytes) {
    Failure failure;
    void* block = module().take(index, bytes, &failure);
    if (!block && failure.kind) raise(failure, "cuda");
    return block;
  };
  blocks.give = [](int index, void* block) { module().give(index, block); };
  // A freed block is kept until the device is full: giving it back would stop the device. Tools that watch memory want none kept.
  const char* caching = std::getenv("TRIGRAD_CUDA_CACHING");
  blocks.largest_cached = blocks.cache_limit = caching && !std::strcmp(caching, "0") ? 0 : size_t(-1);
  blocks.mark = mark;
  blocks.passed = passed;
  install_memory(Device::Cuda, blocks);
  blocks.take = [](int, size_t bytes) { return module().pin(bytes); };
  blocks.give = [](int, void* block) { module().unpin(block); };
  install_pinned(blocks);
}

StreamId new_stream(int index, int priority) {
  const int high = priority < 0;
  Streams& s = streams[index];
  std::lock_guard lock(s.mutex);
  const int at = s.next[high]++ % kPool, id = 1 + high * kPool + at;
  if (at == s.made[high]) {
    void* made = nullptr;
    ask<&Module::new_stream>(index, priority, &made);
    s.handles[id] = made;
    s.made[high]++;
  }
  return static_cast<StreamId>(id);
}

StreamId stream_of(int index, uintptr_t handle) {
  void* const given = reinterpret_cast<void*>(handle);
  Streams& s = streams[index];
  std::lock_guard lock(s.mutex);
  for (int id = 0; id < kForeign + s.foreign; id++)
    if (s.handles[id] == given && (id == 0 || given)) return static_cast<StreamId>(id);
  if (kForeign + s.foreign == kMaxStreams)
    fail(ErrorKind::Runtime, "[cuda] got the ", s.foreign + 1, "th stream of another library, expected at most ",
         s.foreign);
  s.handles[kForeign + s.foreign] = given;
  return static_cast<StreamId>(kForeign + s.foreign++);
}

uintptr_t handle_of(int index, StreamId stream) { return reinterpret_cast<uintptr_t>(handle(index, stream)); }

bool stream_done(int index, StreamId stream, bool wait) {
  bool done = false;
  ask<&Module::stream_done>(index, handle(index, stream), wait, &done);
  return done;
}

Event::~Event() {
  if (event_ && !forked_from_devices()) module().drop_event(index_, event_);
}
void Event::record(int index, StreamId stream) {
  if (index_ >= 0 && index != index_)
    fail(ErrorKind::Runtime, "[record] the event is of cuda:", index_, ", the stream of cuda:", index,
         ", expected one device");
  if (!event_) ask<&Module::new_event>(index, timed_, &event_);
  index_ = index;
  ask<&Module::record>(index, event_, cuda::handle(index, stream));
}
void Event::follow(int index, StreamId stream) const {
  if (event_) ask<&Module::follow>(index, cuda::handle(index, stream), event_);
}
bool Event::done(bool wait) const {
  bool done = true;
  if (event_) ask<&Module::event_done>(index_, event_, wait, &done);
  return done;
}
float Event::milliseconds_until(const Event& end) const {
  if (!timed_ || !end.timed_)
    fail(ErrorKind::Runtime, "[elapsed_time] got an event that takes no time, expected Event(enable_timing=True)");
  if (!event_ || !end.event_)
    fail(ErrorKind::Runtime, "[elapsed_time] got an event that was never recorded, expected two that were");
  if (!done(false) || !end.done(false))
    fail(ErrorKind::Runtime,
         "[elapsed_time] got an event that is not over, expected two that are; synchronize() with the later one");
  float milliseconds = 0;
  ask<&Module::elapsed>(index_, event_, end.event_, &milliseconds);
  return milliseconds;
}

void await_theirs(int index, uintptr_t theirs) {
  cuda::follow(index, current_handle(index), index, reinterpret_cast<void*>(theirs));
}
void await_ours(int index, uintptr_t theirs) {
  cuda::follow(index, reinterpret_cast<void*>(theirs), index, current_handle(index));
}

int device_of(const char* op, const void* address) {
  int32_t index = kHost;
  ask<&Module::device_of>(address, &index);
  if (index == kHost) fail(ErrorKind::Runtime, "[", op, "] got an address that is no GPU's, expected memory of a GPU");
  return index;
}

StorageRef pinned_storage(size_t bytes) {
  auto p = std::make_unique<Pinned>(Pinned{allocate_pinned(bytes), bytes});
  StorageRef made(new Storage(p->block, bytes, true, p.get(), drop_pinned));
  p.release();
  return made;
}
bool is_pinned(const Storage& storage) { return storage.foreign(drop_pinned); }

void transfer(const Tensor& to, const Tensor& from, bool wait) {
  const Tensor& host = to.device() == Device::Cpu ? to : from;
  const Place there = (to.device() == Device::Cpu ? from : to).place();
  const bool goes_on = !wait && is_pinned(*host.storage.get());
  copy(to.place(), to.data(), from.place(), from.data(), static_cast<size_t>(to.numel() * size_of(to.dtype)), !goes_on);
  if (goes_on) pinned_used_on(host.storage->data(), there.index, current_stream[there.index]);
}

}  // namespace tg::cuda
