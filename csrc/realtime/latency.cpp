#include "realtime/latency.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "math/order.h"
#include "realtime/probes.h"

namespace tg {
namespace realtime {
namespace {

[[maybe_unused]] double seconds_now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

#if defined(__x86_64__)
constexpr const char* kClock = "rdtscp";
constexpr bool kFlushes = true;
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
constexpr const char* kClock = "clock_gettime";
constexpr bool kFlushes = false;
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

Subject subject_of(const Predictor& predictor) {
  const Subject::Run run = [](const void* p, const float* x, float* y) -> int32_t {
    return static_cast<const Predictor*>(p)->run(x, y);
  };
  return {run, &predictor, {{predictor.block(), predictor.block_bytes()}}};
}
Subject nothing() {
  return {[](const void*, const float*, float*) -> int32_t { return 1; }, nullptr, {}};
}

Clock clock_of_calls() {
  std::vector<uint64_t> spans;  // of many lengths: the least by which two of them differ
  for (int i = 0; i < 4000; i++) {
    volatile int work = 0;
    const uint64_t a = first_reading();
    for (int k = 0; k < i % 61; k++) work = work + k;
    spans.push_back(second_reading() - a);
  }
  std::sort(spans.begin(), spans.end());
  uint64_t least = ~uint64_t(0);
  for (size_t i = 1; i < spans.size(); i++)
    if (spans[i] != spans[i - 1]) least = std::min(least, spans[i] - spans[i - 1]);
  return {kClock, static_cast<double>(least) * nanoseconds_per_tick(), kFlushes};
}

std::vector<float> time_calls(const Subject& subject, const float* x, int64_t rows, int32_t inputs, int32_t outputs,
                              int64_t calls, const Before& before) {
  std::vector<float> y(static_cast<size_t>(outputs));
  std::vector<float> times(static_cast<size_t>(calls) + 1);
  const double tick = nanoseconds_per_tick();
  std::vector<uint64_t> empty(1001);
  for (uint64_t& e : empty) {
    const uint64_t a = first_reading();
    e = second_reading() - a;
  }
  std::nth_element(empty.begin(), empty.begin() + 500, empty.end());
  times.back() = static_cast<float>(static_cast<double>(empty[500]) * tick);
  Other other(static_cast<size_t>(before.other_bytes));
  const Subject::Run run = subject.run;
  for (int64_t i = 0; i < 100; i++) run(subject.context, x + i % rows * inputs, y.data());
  for (int64_t i = 0; i < calls; i++) {
    const float* event = x + i % rows * inputs;
    other.pass();
    if (before.flush) {
      for (const auto& [data, bytes] : subject.weights) flush(data, bytes);
      flush(event, sizeof(float) * static_cast<size_t>(inputs));
    }
    if (before.idle_us) std::this_thread::sleep_for(std::chrono::microseconds(before.idle_us));
    const uint64_t a = first_reading();
    run(subject.context, event, y.data());
    const uint64_t b = second_reading();
    times[static_cast<size_t>(i)] = static_cast<float>(static_cast<double>(b - a) * tick);
  }
  return times;
}

}  // namespace realtime

#define TG_REALTIME_PROBES(NS)          \
  namespace NS {                        \
  extern const realtime::Probes probes; \
  }
TG_REALTIME_PROBES(isa_baseline)
#if defined(__x86_64__)
TG_REALTIME_PROBES(isa_avx2)
TG_REALTIME_PROBES(isa_avx512)
#endif

namespace realtime {
namespace {

const Probes& probes_of(const char* isa) {
#if defined(__x86_64__)
  if (!std::strcmp(isa, "avx512")) return isa_avx512::probes;
  if (!std::strcmp(isa, "avx2")) return isa_avx2::probes;
#endif
  return isa_baseline::probes;
}

// Nanoseconds of one turn: the best of nine measurements of about 200 microseconds.
template <class Body>
double best(Body body) {
  double least = 1e30;
  int64_t turns = 1;
  for (int kept = 0; kept < 9;) {
    const double begin = seconds_now();
    body(turns);
    const double spent = seconds_now() - begin;
    if (spent < 100e-6) {
      turns *= 2;
      continue;
    }
    least = std::min(least, spent * 1e9 / static_cast<double>(turns));
    kept++;
  }
  return least;
}

}  // namespace

Limits limits(const char* isa, size_t bytes) {
  const Probes& p = probes_of(isa);
  float out[64];
  const int64_t floats = (static_cast<int64_t>(bytes / sizeof(float)) / kProbeFloats + 1) * kProbeFloats;
  const std::vector<float> data(static_cast<size_t>(floats), 1.0f);
  const double chain = best([&](int64_t turns) { p.chain(turns, out); });
  const double fmas = best([&](int64_t turns) { p.fmas(turns, out); });
  const double loads = best([&](int64_t turns) { p.loads(data.data(), floats, turns, out); });
  return {chain, kProbeChains * p.lanes / fmas, static_cast<double>(floats) * sizeof(float) / loads};
}

int64_t longest_chain(const Program& p) {
  std::vector<int64_t> depth(p.width.size());
  for (const Instruction& i : p.instructions) {
    const auto a = static_cast<size_t>(i.a), out = static_cast<size_t>(i.out);
    int64_t before = depth[a];
    if (i.b != kNone) before = std::max(before, depth[static_cast<size_t>(i.b)]);
    if (i.code == Code::dense) before += p.width[a] / dense_chains(p.width[a], p.width[out]);
    depth[out] = std::max(depth[out], before);
  }
  return depth[static_cast<size_t>(p.instructions.back().out)];
}

}  // namespace realtime
}  // namespace tg
