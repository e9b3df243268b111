// A predictor on a GPU: a realtime program packed as a net (event_net.h) and handed to the CUDA module. An answer has the bits of the
// CPU's predictor.
#pragma once
#include <memory>
#include <mutex>

#include "cuda/event_net.h"
#include "realtime/program.h"

namespace tg::cuda {

class Predictor {
 public:
  struct Options {
    bool persistent = false;
    double idle = 1;  // seconds without an event after which a persistent kernel ends; the next event starts it again
    double timeout = 1;  // seconds that an answer may take
  };
  // Throws Error: CUDA is absent, the program has what a GPU does not compute, or it does not fit.
  Predictor(const realtime::Program& program, int index, const Options& options);
  ~Predictor();
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;

  int index() const { return index_; }
  bool persistent() const { return options_.persistent; }

  // One event; others wait for their turn. `wait` is for an answer that has not come soon, and ends the turn.
  class Turn {
   public:
    explicit Turn(Predictor& p) : p_(p), lock_(p.mutex_) {}
    bool run(const float* x, float* y);  // true: y is there
    void wait(float* y);                 // throws an Error if it does not come

   private:
    Predictor& p_;
    std::unique_lock<std::mutex> lock_;
  };
  void run(const float* x, float* y);

  void close();  // a kernel that stays ends; then nothing is answered any more

 private:
  bool answered(const float* x, float* y, double seconds);

  std::mutex mutex_;
  void* handle_ = nullptr;
  int index_;
  Options options_;
  int process_;
};

// All predictors that are open are closed: before a process ends.
void close_predictors();

}  // namespace tg::cuda
