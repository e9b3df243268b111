#include "realtime/latency.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <thread>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace tg::realtime {
namespace {

double seconds_now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

#if defined(__x86_64__)
// No call begins before the first reading is done, nor ends after the second began.
inline uint64_t first_reading() {
  _mm_lfence();
  const uint64_t t = __rdtsc();
  _mm_lfence();
  return t;
}
inline uint64_t second_reading() {
  unsigned processor;
  const uint64_t t = __rdtscp(&processor);
  _mm_lfence();
  return t;
}
double measure_tick() {
  const double begin = seconds_now();
  const uint64_t first = __rdtsc();
  while (seconds_now() - begin < 0.05) {}
  const uint64_t last = __rdtsc();
  return (seconds_now() - begin) * 1e9 / static_cast<double>(last - first);
}
double nanoseconds_per_tick() {
  static const double tick = measure_tick();
  return tick;
}
void flush(const void* data, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) _mm_clflush(static_cast<const char*>(data) + i);
  _mm_mfence();
}
#else
uint64_t first_reading() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}
uint64_t second_reading() { return first_reading(); }
double nanoseconds_per_tick() { return 1; }
void flush(const void*, size_t) {}
#endif

// Reads through `bytes` of other data, a line at a time.
class Other {
 public:
  explicit Other(size_t bytes) : data_(bytes, 1) {}
  void pass() {
    for (size_t i = 0; i < data_.size(); i += 64) sum_ = sum_ + data_[i];
  }

 private:
  std::vector<unsigned char> data_;
  volatile unsigned sum_ = 0;
};

}  // namespace

const char* clock_name() {
#if defined(__x86_64__)
  return "rdtscp";
#else
  return "clock_gettime";
#endif
}

double clock_step() {
  uint64_t least = ~uint64_t(0);
  for (int i = 0; i < 2000; i++) {
    const uint64_t a = first_reading();
    uint64_t b = second_reading();
    while (b == a) b = second_reading();
    least = std::min(least, b - a);
  }
  return static_cast<double>(least) * nanoseconds_per_tick();
}

std::vector<float> time_calls(const Predictor& p, const float* x, int64_t rows, int64_t calls, Before before) {
  std::vector<float> y(static_cast<size_t>(p.outputs()));
  std::vector<float> times(static_cast<size_t>(calls));
  const double tick = nanoseconds_per_tick();
  std::vector<uint64_t> empty(1001);
  for (uint64_t& e : empty) {
    const uint64_t a = first_reading();
    e = second_reading() - a;
  }
  std::nth_element(empty.begin(), empty.begin() + 500, empty.end());
  const uint64_t cost = empty[500];
  Other other(before == Before::l1 ? 256 << 10 : before == Before::l2 ? 8 << 20 : 64);
  for (int64_t i = 0; i < 100; i++) p.run(x + i % rows * p.inputs(), y.data());
  for (int64_t i = 0; i < calls; i++) {
    const float* event = x + i % rows * p.inputs();
    if (before == Before::l1 || before == Before::l2) other.pass();
    if (before == Before::memory) {
      flush(p.block(), p.block_bytes());
      flush(event, sizeof(float) * static_cast<size_t>(p.inputs()));
    }
    if (before == Before::idle) std::this_thread::sleep_for(std::chrono::microseconds(100));
    const uint64_t a = first_reading();
    p.run(event, y.data());
    const uint64_t b = second_reading();
    times[static_cast<size_t>(i)] = static_cast<float>(static_cast<double>(b - a > cost ? b - a - cost : 0) * tick);
  }
  return times;
}

}  // namespace tg::realtime
