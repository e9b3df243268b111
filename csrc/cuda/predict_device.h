// What a predictor has of the device: memory that the host shares, a stream of its own, and on it a graph or a kernel that stays.
// predict_device.cu has it of CUDA; the tests have one whose kernel that stays is a thread of the host's.
#pragma once
#include <functional>

#include "cuda/device.h"
#include "cuda/predict.h"

namespace tg::cuda::device {

// How much a block has on the chip, how many kernels may stay on the device at once, and does the driver end those that take long?
struct Room {
  size_t chip;
  int seats;
  bool watched;
};
Room room(int index);

class Seat {
 public:
  explicit Seat(int index);
  ~Seat();  // of a stream on which nothing runs
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

  // Memory of the device with these bytes in it, and memory of the host, zeros, with its address for the device.
  void* take(const void* bytes, size_t count);
  void* share(size_t count, void** on_device);
  void free();  // both kinds

  void run(const EventBody& body, Stream stream) const;  // once
  void capture(const std::function<void(Stream)>& work);
  void launch();                      // what was captured
  void start(const EventBody& body);  // until it is told to end, or nothing comes
  bool idle();                        // is all done? Throws a Refusal if the device has failed

 private:
  struct Parts;
  int index_;
  Parts* parts_;
};

}  // namespace tg::cuda::device
