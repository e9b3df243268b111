// Streams, events and page-locked memory of CUDA.
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace tg::cuda {

// ---- streams: those that were made are kept, and handed out in turn

StreamId new_stream(int index, int priority);     // negative: before others
StreamId stream_of(int index, uintptr_t handle);  // another library's
uintptr_t handle_of(int index, StreamId stream);  // as CUDA knows it
bool stream_done(int index, StreamId stream, bool wait);

// The end of what a stream was asked when it was recorded.
class Event {
 public:
  explicit Event(bool timed) : timed_(timed) {}
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(int index, StreamId stream);  // its device is the first that it is recorded on
  void follow(int index, StreamId stream) const;
  bool done(bool wait) const;
  float milliseconds_until(const Event& end) const;
  int index() const { return index_; }  // -1: it was never recorded
  uintptr_t handle() const { return reinterpret_cast<uintptr_t>(event_); }

 private:
  const bool timed_;
  int index_ = -1;
  void* event_ = nullptr;
};

// A stream of another library, or ours, is to wait for the other.
void await_theirs(int index, uintptr_t handle);
void await_ours(int index, uintptr_t handle);

// ---- page-locked memory, which devices read and write while the host goes on

StorageRef pinned_storage(size_t bytes);
bool is_pinned(const Storage& storage);

// The bytes of contiguous `from` into contiguous `to`, at another place. Without `wait` the host goes on where its memory is pinned.
void transfer(const Tensor& to, const Tensor& from, bool wait);

// The GPU whose memory is at an address that another library gave.
int device_of(const char* op, const void* address);

}  // namespace tg::cuda
