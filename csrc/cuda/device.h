// The device under the kernels: what of the CUDA runtime the module uses. device.cu has it of CUDA; the tests have one of the
// host's memory, on which the same kernels run (tests/cpp/emulated_device.cpp).
#pragma once
#include "cuda/abi.h"
#include "cuda/kernels.h"

namespace tg::cuda::device {

int count();  // throws a Refusal where none can be asked for
Properties properties(int index);
void* take(int index, size_t bytes);  // null: there is no room
void give(int index, void* block);
void to_device(int index, void* to, const void* from, size_t bytes);  // done on return, after all calls before
void to_host(int index, void* to, const void* from, size_t bytes);
void synchronize(int index);

// What this thread starts is kept from now on, and made a graph at the end (cuda/abi.h).
void begin_capture(int index);
void* end_capture(int index);
void launch(int index, void* graph);
void drop(int index, void* graph);

// While it lives, this thread works with the device; then with the one before, which may be another library's choice.
class Use {
 public:
  explicit Use(int index);
  ~Use();
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  Stream stream() const { return stream_; }
  void started() const;  // throws if the kernels since could not be started

 private:
  Stream stream_{};
  int before_ = 0, index_ = 0;
};

}  // namespace tg::cuda::device
