// The device under the kernels: what of the CUDA runtime the module uses. device.cu has it of CUDA; the tests have one of the
// host's memory, on which the same kernels run (tests/cpp/emulated_device.cpp).
#pragma once
#include "cuda/abi.h"
#include "cuda/kernels.h"

namespace tg::cuda::device {

Versions versions();
int count();  // throws a Refusal where none can be asked for
Properties properties(int index);
// What kernels choose their shapes by.
struct Traits {
  int capability, multiprocessors;  // 10 major + minor of the compute capability
  size_t block_memory;  // shared memory, at most, of a block that shares its multiprocessor with another one
};
Traits traits(int index);
void* take(int index, size_t bytes);  // null: there is no room
void give(int index, void* block);
void memory(int index, uint64_t* free, uint64_t* total);
void* pin(size_t bytes);
void unpin(void* block);
void copy(const Copy& c);
// To the host, after what the call's stream was asked so far.
inline void to_host(const Call& c, void* to, const void* from, size_t bytes) {
  copy({to, from, bytes, kHost, c.index, c.stream});
}
int device_of(const void* address);
void synchronize(int index);

// Streams and events, as cuda/abi.h has them.
void* new_stream(int index, int priority);
bool stream_done(int index, void* stream, bool wait);
void* new_event(int index, bool timed);
void drop_event(int index, void* event);
void record(int index, void* event, void* stream);
void follow(int index, void* stream, void* event);
bool event_done(int index, void* event, bool wait);
float elapsed(int index, void* begin, void* end);

// What this thread starts is kept from now on, and made a graph at the end (cuda/abi.h).
void begin_capture(int index);
void* end_capture(int index);
void launch(int index, void* graph, void* stream);
void drop(int index, void* graph);

// While it lives, this thread works with the device, on the stream unless it captures; then with the device before, which may be
// another library's choice.
class Use {
 public:
  explicit Use(int index, void* stream = nullptr);
  ~Use();
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  Stream stream() const { return stream_; }
  void started() const;  // throws if the kernels since could not be started

 private:
  Stream stream_{};
  [[maybe_unused]] int before_ = 0, index_ = 0;
  [[maybe_unused]] void* context_ = nullptr;  // of the device before
};

}  // namespace tg::cuda::device
